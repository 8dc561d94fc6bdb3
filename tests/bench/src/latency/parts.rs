//! How long a part takes from the server into the origin's playlist.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use headwater_hls::MediaEvent;
use headwater_wire::v1::delivery_client::DeliveryClient;
use headwater_wire::{Channels, WatchMessage, v1};
use tokio::task::JoinSet;

use crate::processes;
use crate::series::Series;

/// How soon a stream that isn't there is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// What is looked at.
const RENDITION: &str = "720p";
/// What a server sends of the window that it has already: not measured.
const BACKLOG: usize = 30;

/// Number of the segment and index in it.
type Position = (u64, u32);
type Times = Arc<Mutex<HashMap<Position, Instant>>>;

/// Two that watch a stream, until they are stopped: one behind the server, one behind the origin.
pub struct Measured {
    ready: Times,
    listed: Times,
    _tasks: JoinSet<()>,
}

impl Measured {
    pub fn start(server: &str, origin: &str, stream: &str) -> Self {
        let (ready, listed, mut tasks) = (Times::default(), Times::default(), JoinSet::new());
        tasks.spawn(again(server.to_owned(), stream.to_owned(), ready.clone()));
        tasks.spawn(follow(origin.to_owned(), stream.to_owned(), listed.clone()));
        Self { ready, listed, _tasks: tasks }
    }

    /// Milliseconds of each part.
    pub fn stop(self) -> Result<Series> {
        let lock = |times: &Times| times.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (ready, listed) = (lock(&self.ready), lock(&self.listed));
        let mut both: Vec<_> =
            ready.into_iter().filter_map(|(at, ready)| Some((at, ready, *listed.get(&at)?))).collect();
        both.sort_unstable_by_key(|(at, ..)| *at);
        ensure!(both.len() > BACKLOG, "only {} parts were seen by both", both.len());
        let delays = both.into_iter().skip(BACKLOG);
        Ok(delays
            .map(|(_, ready, listed)| listed.saturating_duration_since(ready).as_secs_f64() * 1e3)
            .collect())
    }
}

fn note(times: &Times, at: Position) {
    times.lock().unwrap_or_else(PoisonError::into_inner).entry(at).or_insert_with(Instant::now);
}

async fn again(server: String, stream: String, ready: Times) {
    loop {
        // Not on air yet, or not any longer.
        let _ = watch(&server, &stream, &ready).await;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn watch(server: &str, stream: &str, ready: &Times) -> Result<()> {
    let channel = Channels::default().to(server)?;
    let mut client =
        DeliveryClient::new(channel).max_decoding_message_size(headwater_wire::frames::MESSAGE_LIMIT);
    let mut messages = client.watch(v1::WatchRequest { stream: stream.into() }).await?.into_inner();
    while let Some(message) = messages.message().await? {
        if let WatchMessage::Event(MediaEvent::Part { rendition, sequence, index, .. }) =
            message.try_into()?
            && rendition.as_str() == RENDITION
        {
            note(ready, (sequence.0, index.0));
        }
    }
    Ok(())
}

/// Reloads the playlist as players do.
async fn follow(origin: String, stream: String, listed: Times) {
    let path = format!("/{stream}/{RENDITION}/index.m3u8");
    let mut next = None;
    loop {
        let directives = next
            .map_or_else(String::new, |(sequence, part)| format!("?_HLS_msn={sequence}&_HLS_part={part}"));
        let (origin, path) = (origin.clone(), format!("{path}{directives}"));
        let answer = tokio::task::spawn_blocking(move || playlist(&origin, &path)).await;
        let last = answer.ok().and_then(Result::ok).and_then(|playlist| last_part(&playlist));
        match last {
            Some(last) => {
                note(&listed, last);
                next = Some((last.0, last.1 + 1));
            }
            None => {
                next = None;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

fn playlist(origin: &str, path: &str) -> Result<String> {
    let address: SocketAddr = origin.parse().context("the origin's address")?;
    let answer = processes::get(address, path)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "the origin has no playlist");
    Ok(answer)
}

/// The last part that a playlist lists, by its name `<sequence>.<index>.m4s`.
fn last_part(playlist: &str) -> Option<Position> {
    let line = playlist.lines().rev().find(|line| line.starts_with("#EXT-X-PART:"))?;
    let (_, uri) = line.split_once("URI=\"")?;
    let (sequence, rest) = uri.split_once('.')?;
    Some((sequence.parse().ok()?, rest.split_once('.')?.0.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_is_found() {
        let playlist = "#EXTM3U\n#EXT-X-PART:DURATION=0.3,URI=\"7.1.m4s\"\n#EXT-X-PART:DURATION=0.3,INDEPENDENT=YES,URI=\"8.0.m4s\"\n\
                        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"8.1.m4s\"\n";
        assert_eq!(last_part(playlist), Some((8, 0)));
        assert_eq!(last_part("#EXTM3U\n"), None);
    }
}
