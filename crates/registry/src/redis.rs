//! The registry that any number of processes share.
//!
//! # What is in Redis
//!
//! For operators. `P` is the key prefix, `headwater:` unless configured otherwise. Braces are part of the key: in a
//! Redis Cluster, all keys of a stream are in one slot.
//!
//! | Key | Type | Content | Lives |
//! | --- | --- | --- | --- |
//! | `P{<stream>}:lease` | hash | `server`, `address` (`host:port`), `epoch`, and `broadcast` (UUID) once the server has renewed | 10 s after the last renewal ([`Ttls::lease`]) |
//! | `P{<stream>}:turn` | hash | `newest`: the newest epoch, an integer below 2^53; `server`: whose it is; `aired`: the newest one that was on air | a day after the last claim, renewal or release |
//! | `P{<stream>}:handoff` | string | what the next owner needs to go on with the broadcast, should this one die | the reconnect window, from the last segment or renewal on |
//! | `Pservers:{all}:records` | hash | server id → JSON of [`ServerRecord`] | until its deadline has passed and somebody asks for the servers |
//! | `Pservers:{all}:until` | sorted set | server id → deadline, Unix milliseconds on Redis' clock, 5 s after the last heartbeat ([`Ttls::server`]) | as above |
//! | `Pviewers:{all}:<origin>` | hash | stream → viewers at this origin; `*` where it has more streams than are named | 30 s after its last report ([`Ttls::viewers`]) |
//! | `Porigins:{all}:until` | sorted set | origin → deadline of its report, Unix milliseconds on Redis' clock | as above |
//! | `Pevents` | pub/sub channel | `owner <stream>`, `servers`, `input <uid>` | |
//!
//! Everything that changes a key is a Lua script, run by `EVALSHA`; times are Redis' own. Nothing has to survive a
//! restart of Redis: persistence may be off. Deleting a lease makes its server write it again; adding 1 to `newest` in
//! the `turn` of a stream takes it away from its server.
//!
//! It needs Redis 6 or later (RESP3). These rights of an ACL user suffice: `~P* &Pevents +@connection +info +subscribe
//! +evalsha +script|load +hmget +hset +hget +hvals +hdel +zadd +zscore +zrangebyscore +zrem +get +set +pttl
//! +del +pexpire +publish +time`.

mod connection;
mod keys;
mod listener;
mod scripts;
mod url;

use std::time::Duration;

use async_trait::async_trait;
use fred::interfaces::{ClientLike, HashesInterface, PubsubInterface};
use fred::types::Value;
use fred::types::scripts::Script;
use headwater_media::{Epoch, StreamId};

use self::connection::Connection;
use self::scripts::Scripts;
use crate::event::{EventSender, event_channel};
use crate::{
    Claim, EPOCH_LIMIT, EPOCH_RETENTION, Handoff, Ownership, Registry, RegistryError, ServerId, ServerRecord,
    Ttls, ViewerReport, Watch,
};

pub use self::keys::{KeyPrefix, KeyPrefixError};
pub use self::url::{RedisUrl, RedisUrlError};

/// Which Redis, and how to use it.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    pub url: RedisUrl,
    pub prefix: KeyPrefix,
    pub ttls: Ttls,
}

impl RedisSettings {
    /// Defaults for all but the place.
    pub fn new(url: RedisUrl) -> Self {
        Self { url, prefix: KeyPrefix::default(), ttls: Ttls::default() }
    }
}

/// A [`Registry`] on Redis. Dropping it closes the connection.
pub struct RedisRegistry {
    connection: Connection,
    scripts: Scripts,
    prefix: KeyPrefix,
    ttls: Ttls,
    events: EventSender,
}

impl RedisRegistry {
    /// Starts to connect, and keeps trying for ever: Redis may be down now. Fails only when TLS can't be set up.
    /// Must be called within a tokio runtime; for `rediss://`, after a rustls provider was installed.
    pub fn connect(settings: RedisSettings) -> Result<Self, RegistryError> {
        let RedisSettings { url, prefix, ttls } = settings;
        let events = event_channel();
        let connection = Connection::open_connection(&url, prefix.channel_name(), events.clone())?;
        Ok(Self { connection, scripts: Scripts::new(), prefix, ttls, events })
    }

    /// Closes the connection and waits until it is closed, about a second at most.
    pub async fn close(&self) {
        self.connection.close_client().await;
    }

    fn stream_keys(&self, stream: &StreamId) -> Vec<String> {
        vec![self.prefix.lease_key(stream), self.prefix.turn_key(stream)]
    }

    fn server_keys(&self) -> Vec<String> {
        vec![self.prefix.server_records(), self.prefix.server_deadlines()]
    }

    /// Runs a script that only the owner may run.
    async fn as_owner(
        &self,
        script: &Script,
        stream: &StreamId,
        ownership: &Ownership,
    ) -> Result<Vec<String>, RegistryError> {
        let args = vec![
            stream.to_string(),
            ownership.server.to_string(),
            ownership.address.clone(),
            ownership.epoch.to_string(),
            ownership.broadcast.map(|broadcast| broadcast.to_string()).unwrap_or_default(),
            millis_text(self.ttls.lease),
            millis_text(EPOCH_RETENTION),
            self.prefix.channel_name(),
        ];
        let answer: Vec<String> = self.connection.run(script, self.stream_keys(stream), args).await?;
        self.unless_fenced(stream, ownership, &answer)?;
        Ok(answer)
    }

    fn unless_fenced(
        &self,
        stream: &StreamId,
        ownership: &Ownership,
        answer: &[String],
    ) -> Result<(), RegistryError> {
        match answer {
            [word, newest, server] if word == "fenced" => Err(RegistryError::Fenced {
                stream: stream.clone(),
                epoch: ownership.epoch,
                newest: self.read_epoch(stream, newest)?,
                server: server.parse().ok(),
            }),
            _ => Ok(()),
        }
    }

    fn read_ownership(
        &self,
        stream: &StreamId,
        fields: [Option<String>; 4],
    ) -> Result<Ownership, RegistryError> {
        read_ownership(fields)
            .map_err(|reason| RegistryError::Unreadable { key: self.prefix.lease_key(stream), reason })
    }

    fn read_epoch(&self, stream: &StreamId, text: &str) -> Result<Epoch, RegistryError> {
        let unreadable = |reason| RegistryError::Unreadable { key: self.prefix.turn_key(stream), reason };
        parse_epoch(text).map_err(unreadable)
    }

    /// A record that can't be read is left out: one server of another version must not hide all others.
    fn read_record(&self, json: &str) -> Option<ServerRecord> {
        let unreadable = |error: &serde_json::Error| {
            tracing::warn!(key = %self.prefix.server_records(), %error, "skipping a server's record");
        };
        serde_json::from_str(json).inspect_err(unreadable).ok()
    }
}

#[async_trait]
impl Registry for RedisRegistry {
    async fn claim(
        &self,
        stream: &StreamId,
        server: &ServerId,
        address: &str,
        expected: Option<Epoch>,
    ) -> Result<Claim, RegistryError> {
        let args = vec![
            stream.to_string(),
            server.to_string(),
            address.to_owned(),
            expected.map(|epoch| epoch.to_string()).unwrap_or_default(),
            millis_text(self.ttls.lease),
            millis_text(EPOCH_RETENTION),
            self.prefix.channel_name(),
        ];
        let answer: Vec<String> =
            self.connection.run(&self.scripts.claim, self.stream_keys(stream), args).await?;
        match answer.as_slice() {
            [word, epoch] if word == "granted" => Ok(Claim::Granted(Ownership {
                server: server.clone(),
                address: address.to_owned(),
                epoch: self.read_epoch(stream, epoch)?,
                broadcast: None,
            })),
            [word, epoch] if word == "passed" => Ok(Claim::Passed(self.read_epoch(stream, epoch)?)),
            [_, held @ ..] => {
                let fields = std::array::from_fn(|n| held.get(n).cloned());
                self.read_ownership(stream, fields).map(Claim::Held)
            }
            [] => self.read_ownership(stream, [const { None }; 4]).map(Claim::Held),
        }
    }

    async fn renew(&self, stream: &StreamId, ownership: &Ownership) -> Result<(), RegistryError> {
        self.as_owner(&self.scripts.renew, stream, ownership).await.map(drop)
    }

    async fn next_turn(&self, stream: &StreamId, ownership: &Ownership) -> Result<Epoch, RegistryError> {
        let answer = self.as_owner(&self.scripts.next_turn, stream, ownership).await?;
        self.read_epoch(stream, answer.get(1).map_or("", String::as_str))
    }

    async fn release(&self, stream: &StreamId, server: &ServerId, epoch: Epoch) -> Result<(), RegistryError> {
        let args = vec![
            stream.to_string(),
            server.to_string(),
            epoch.to_string(),
            millis_text(EPOCH_RETENTION),
            self.prefix.channel_name(),
        ];
        self.connection.run(&self.scripts.release, self.stream_keys(stream), args).await
    }

    async fn hand_off(
        &self,
        stream: &StreamId,
        ownership: &Ownership,
        handoff: Option<&Handoff>,
    ) -> Result<(), RegistryError> {
        let keys = [self.stream_keys(stream), vec![self.prefix.handoff_key(stream)]].concat();
        let args = vec![
            ownership.server.to_string(),
            ownership.epoch.to_string(),
            handoff.map(|handoff| handoff.document.clone()).unwrap_or_default(),
            millis_text(
                handoff.map_or(Duration::ZERO, |handoff| handoff.lasts).max(Duration::from_millis(1)),
            ),
        ];
        let answer: Vec<String> = self.connection.run(&self.scripts.hand_off, keys, args).await?;
        self.unless_fenced(stream, ownership, &answer)
    }

    async fn handoff(&self, stream: &StreamId) -> Result<Option<Handoff>, RegistryError> {
        let keys = vec![self.prefix.handoff_key(stream)];
        let answer: Vec<String> = self.connection.run(&self.scripts.handoff, keys, Vec::new()).await?;
        let [document, left] = answer.as_slice() else { return Ok(None) };
        let lasts = Duration::from_millis(left.parse().unwrap_or(0));
        Ok(Some(Handoff { document: document.clone(), lasts }))
    }

    async fn owner(&self, stream: &StreamId) -> Result<Option<Ownership>, RegistryError> {
        let fields = vec!["server", "address", "epoch", "broadcast"];
        let answer = self.connection.client.hmget(self.prefix.lease_key(stream), fields).await;
        let values: Vec<Option<String>> = self.connection.map_failure(answer)?;
        let fields: [_; 4] = std::array::from_fn(|n| values.get(n).cloned().flatten());
        if fields.iter().all(Option::is_none) {
            return Ok(None);
        }
        self.read_ownership(stream, fields).map(Some)
    }

    async fn register_server(&self, record: &ServerRecord) -> Result<(), RegistryError> {
        let json = serde_json::to_string(record).expect("a record of strings and numbers has a JSON form");
        let args =
            vec![record.id.to_string(), json, millis_text(self.ttls.server), self.prefix.channel_name()];
        self.connection.run(&self.scripts.register, self.server_keys(), args).await
    }

    async fn unregister_server(&self, server: &ServerId) -> Result<(), RegistryError> {
        let args = vec![server.to_string(), self.prefix.channel_name()];
        self.connection.run(&self.scripts.unregister, self.server_keys(), args).await
    }

    async fn servers(&self) -> Result<Vec<ServerRecord>, RegistryError> {
        let args = vec![self.prefix.channel_name()];
        let records: Vec<String> =
            self.connection.run(&self.scripts.servers, self.server_keys(), args).await?;
        let mut servers: Vec<_> = records.iter().filter_map(|json| self.read_record(json)).collect();
        servers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(servers)
    }

    async fn report_viewers(&self, report: &ViewerReport) -> Result<(), RegistryError> {
        let ViewerReport { origin, streams, is_cut } = report;
        let viewers_key = format!("{}{origin}", self.prefix.viewers_prefix());
        let is_cut = if *is_cut { "1" } else { "" };
        let mut args = vec![origin.to_string(), millis_text(self.ttls.viewers), is_cut.to_owned()];
        args.extend(streams.iter().flat_map(|(stream, viewers)| [stream.to_string(), viewers.to_string()]));
        let keys = vec![self.prefix.origin_deadlines(), viewers_key];
        self.connection.run(&self.scripts.report_viewers, keys, args).await
    }

    async fn viewers(&self, streams: &[StreamId]) -> Result<Vec<Option<u64>>, RegistryError> {
        let mut args = vec![self.prefix.viewers_prefix()];
        args.extend(streams.iter().map(ToString::to_string));
        let keys = vec![self.prefix.origin_deadlines()];
        let sums: Vec<String> = self.connection.run(&self.scripts.viewers, keys, args).await?;
        Ok(sums.iter().map(|sum| sum.parse().ok()).collect())
    }

    async fn announce_input(&self, uid: &StreamId) -> Result<(), RegistryError> {
        let message = format!("input {uid}");
        let told = self.connection.client.publish::<Value, _, _>(self.prefix.channel_name(), message).await;
        self.connection.map_failure(told).map(drop)
    }

    fn watch(&self) -> Watch {
        Watch::new(&self.events)
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn ready(&self) -> Result<(), RegistryError> {
        self.connection.map_failure(self.connection.client.ping::<Value>(None).await).map(drop)
    }
}

fn millis_text(duration: Duration) -> String {
    duration.as_millis().to_string()
}

fn parse_epoch(text: &str) -> Result<Epoch, String> {
    let epoch = text.parse().map(Epoch).ok().filter(|epoch| *epoch < EPOCH_LIMIT);
    epoch.ok_or_else(|| format!("{text:?} is not an epoch"))
}

fn read_ownership([server, address, epoch, broadcast]: [Option<String>; 4]) -> Result<Ownership, String> {
    let missing = |what: &str| format!("{what} is missing");
    let server = server.ok_or_else(|| missing("server"))?;
    let broadcast = broadcast.filter(|text| !text.is_empty()).map(|text| text.parse()).transpose();
    Ok(Ownership {
        server: server.parse().map_err(|error| format!("{error}"))?,
        address: address.ok_or_else(|| missing("address"))?,
        epoch: parse_epoch(&epoch.ok_or_else(|| missing("epoch"))?)?,
        broadcast: broadcast.map_err(|error| format!("broadcast: {error}"))?,
    })
}
