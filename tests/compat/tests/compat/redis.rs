//! Documents in Redis as the registry of a release has written them.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_compat::{is_update, release_folder, releases_with, write_document};
use headwater_media::{Epoch, StreamId};
use headwater_registry::testing::RedisServer;
use headwater_registry::{
    Claim, Handoff, Ownership, RedisRegistry, RedisSettings, Registry, RegistryError, ServerRecord,
};
use headwater_wire::Handoff as Point;

use crate::values;

/// Deadline of the servers in the documents, in Unix milliseconds: the year 2100.
const DEADLINE_MS: u64 = 4_102_444_800_000;
/// Epoch of the documents' owner.
const OWNER_EPOCH: Epoch = Epoch(1_800_000_000_124);

/// Connection to Redis that sends commands as text lines (inline commands) and reads the replies.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(redis: &RedisServer) -> Self {
        Self(BufReader::new(TcpStream::connect(redis.address()).unwrap()))
    }

    /// Texts of the reply to a command, those of nested replies too.
    fn run(&mut self, command: &str) -> Vec<String> {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut texts = Vec::new();
        self.read_reply(&mut texts);
        texts
    }

    fn read_reply(&mut self, texts: &mut Vec<String>) {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "*" => (0..rest.parse::<usize>().unwrap()).for_each(|_| self.read_reply(texts)),
            "$" => {
                let mut text = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut text).unwrap();
                texts.push(String::from_utf8(text).unwrap().trim_end().to_owned());
            }
            "+" | ":" => texts.push(rest.to_owned()),
            _ => panic!("Redis says {line}"),
        }
    }
}

fn connect(redis: &RedisServer) -> RedisRegistry {
    RedisRegistry::connect(RedisSettings::new(redis.url())).unwrap()
}

fn stream() -> StreamId {
    "demo".parse().unwrap()
}

fn server_record(id: &str) -> ServerRecord {
    ServerRecord {
        id: id.parse().unwrap(),
        address: "10.0.0.1:7000".into(),
        capacity_millicores: 8_000,
        used_millicores: 2_500,
        broadcasts: 2,
        draining: true,
        version: "0.2.0".into(),
    }
}

fn owner() -> Ownership {
    Ownership {
        server: "server-1".parse().unwrap(),
        address: "10.0.0.1:7000".into(),
        epoch: OWNER_EPOCH,
        broadcast: Some(values::broadcast(1)),
    }
}

/// Has the registry of today write all that it writes, and records it as commands.
async fn make_documents() {
    let redis = RedisServer::start();
    let registry = connect(&redis);
    let expected = Some(Epoch(OWNER_EPOCH.0 - 2));
    let Ownership { server, address, .. } = owner();
    let Claim::Granted(claimed) = registry.claim(&stream(), &server, &address, expected).await.unwrap()
    else {
        panic!("nobody else has the stream");
    };
    assert_eq!(registry.next_turn(&stream(), &claimed).await.unwrap(), OWNER_EPOCH);
    registry.renew(&stream(), &owner()).await.unwrap();
    let document = STANDARD.encode(values::handoff().encode());
    let handoff = Handoff { document, lasts: Duration::from_secs(60) };
    registry.hand_off(&stream(), &owner(), Some(&handoff)).await.unwrap();
    registry.register_server(&server_record("server-1")).await.unwrap();
    write_document("redis/commands.txt", record(&mut Client::connect(&redis)));
}

/// Commands that write the keys of a Redis. No key runs out.
fn record(client: &mut Client) -> String {
    let mut keys = client.run("KEYS *");
    keys.sort();
    let mut commands = String::new();
    for key in keys {
        let quoted = quote(&key);
        let texts = match client.run(&format!("TYPE {quoted}"))[0].as_str() {
            "hash" => ("HSET", client.run(&format!("HGETALL {quoted}"))),
            "string" => ("SET", client.run(&format!("GET {quoted}"))),
            "zset" => ("ZADD", deadlines(&client.run(&format!("ZRANGE {quoted} 0 -1")))),
            other => panic!("{key} is a {other}"),
        };
        let arguments: Vec<_> = texts.1.iter().map(|text| quote(text)).collect();
        writeln!(commands, "{} {quoted} {}", texts.0, arguments.join(" ")).unwrap();
    }
    commands
}

fn deadlines(members: &[String]) -> Vec<String> {
    members.iter().flat_map(|member| [DEADLINE_MS.to_string(), member.clone()]).collect()
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Redis that holds the documents of a release.
fn restore(release: &str) -> RedisServer {
    let redis = RedisServer::start();
    let commands = fs::read_to_string(release_folder(release).join("redis/commands.txt")).unwrap();
    let mut client = Client::connect(&redis);
    commands.lines().for_each(|command| drop(client.run(command)));
    redis
}

#[tokio::test]
async fn what_the_registry_of_every_release_has_written_is_read() {
    if is_update() {
        make_documents().await;
    }
    for release in releases_with("redis") {
        let redis = restore(&release);
        let registry = connect(&redis);
        assert_eq!(registry.owner(&stream()).await.unwrap(), Some(owner()), "{release}: lease");
        assert_eq!(registry.servers().await.unwrap(), [server_record("server-1")], "{release}: servers");
        let left = registry.handoff(&stream()).await.unwrap().unwrap();
        let point = Point::decode(&STANDARD.decode(left.document).unwrap()).unwrap();
        assert_eq!(point, values::handoff(), "{release}: handoff");
        go_on(&release, &registry).await;
    }
}

/// Has a server of today go on with a stream that a server of the release has, as in a rolling update.
async fn go_on(release: &str, registry: &RedisRegistry) {
    registry.renew(&stream(), &owner()).await.unwrap_or_else(|error| panic!("{release}: {error}"));
    let past = Ownership { epoch: Epoch(OWNER_EPOCH.0 - 1), ..owner() };
    let fenced = registry.renew(&stream(), &past).await.unwrap_err();
    assert!(matches!(fenced, RegistryError::Fenced { newest: OWNER_EPOCH, .. }), "{release}: {fenced}");
    let next = "server-2".parse().unwrap();
    let claimed = registry.claim(&stream(), &next, "10.0.0.2:7000", Some(OWNER_EPOCH)).await.unwrap();
    let Claim::Granted(ownership) = claimed else { panic!("{release}: {claimed:?}") };
    assert!(ownership.epoch > OWNER_EPOCH, "{release}: {ownership:?}");
    let fenced = registry.renew(&stream(), &owner()).await.unwrap_err();
    assert!(matches!(fenced, RegistryError::Fenced { .. }), "{release}: {fenced}");
    registry.unregister_server(&"server-1".parse().unwrap()).await.unwrap();
    assert_eq!(registry.servers().await.unwrap(), []);
}
