//! How long a part takes from the server into the origin's playlist.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use headwater_hls::{LiveObject, Object};
use headwater_media::MediaEvent;
use headwater_media::lock::MutexExt;
use headwater_wire::v2::delivery_client::DeliveryClient;
use headwater_wire::{Channels, WatchMessage, v2};
use tokio::task::JoinSet;

use crate::processes;
use crate::series::Series;

/// How soon a stream that isn't there is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Parts of the window that a server has already: they are not measured.
const BACKLOG: usize = 30;

/// Number of the segment and index in it.
type Position = (u64, u32);
/// By the name of the rendition.
type Times = Arc<Mutex<HashMap<(String, Position), Instant>>>;

/// Two that watch a stream, until they are stopped: one behind the server, one behind the origin.
pub struct Measured {
    ready: Times,
    listed: Times,
    _tasks: JoinSet<()>,
}

impl Measured {
    pub fn start(server: &str, origin: &str, stream: &str) -> Self {
        let ready = Times::default();
        let listed = Times::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(again(server.to_owned(), stream.to_owned(), ready.clone()));
        tasks.spawn(follow(origin.to_owned(), stream.to_owned(), listed.clone()));
        Self { ready, listed, _tasks: tasks }
    }

    /// Milliseconds of each part.
    pub fn stop(self) -> Result<Series> {
        let lock = |times: &Times| times.lock_ignoring_poison().clone();
        let ready = lock(&self.ready);
        let listed = lock(&self.listed);
        let seen = |(at, ready)| {
            let listed = *listed.get(&at)?;
            Some((at, ready, listed))
        };
        let mut both: Vec<_> = ready.into_iter().filter_map(seen).collect();
        both.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
        ensure!(both.len() > BACKLOG, "only {} parts were seen by both", both.len());
        let delays = both.into_iter().skip(BACKLOG);
        Ok(delays
            .map(|(_, ready, listed)| listed.saturating_duration_since(ready).as_secs_f64() * 1e3)
            .collect())
    }
}

fn note(times: &Times, rendition: &str, at: Position) {
    let key = (rendition.to_owned(), at);
    times.lock_ignoring_poison().entry(key).or_insert_with(Instant::now);
}

async fn again(server: String, stream: String, ready: Times) {
    loop {
        // Not on air yet, or not any longer.
        let _ = watch(&server, &stream, &ready).await;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn watch(server: &str, stream: &str, ready: &Times) -> Result<()> {
    let channel = Channels::default().dedicated(server)?;
    let mut client =
        DeliveryClient::new(channel).max_decoding_message_size(headwater_wire::frames::MESSAGE_LIMIT);
    let mut messages = client.watch(v2::WatchRequest { stream: stream.into() }).await?.into_inner();
    while let Some(message) = messages.message().await? {
        if let WatchMessage::Event(MediaEvent::Part { rendition, sequence, index, .. }) =
            message.try_into()?
        {
            note(ready, rendition.as_str(), (sequence.0, index.0));
        }
    }
    Ok(())
}

/// Reloads the first rendition's playlist as players do.
async fn follow(origin: String, stream: String, listed: Times) {
    loop {
        let multivariant = ask(&origin, format!("/{stream}/live.m3u8")).await;
        if let Some(rendition) = multivariant.as_deref().and_then(first_rendition) {
            reload(&origin, &format!("/{stream}/{rendition}/index.m3u8"), rendition, &listed).await;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// As long as it goes on.
async fn reload(origin: &str, path: &str, rendition: &str, listed: &Times) {
    let mut directives = String::new();
    while let Some(last) = ask(origin, format!("{path}{directives}")).await.as_deref().and_then(last_part) {
        note(listed, rendition, last);
        directives = format!("?_HLS_msn={}&_HLS_part={}", last.0, last.1 + 1);
    }
}

async fn ask(origin: &str, path: String) -> Option<String> {
    let origin = origin.to_owned();
    let answer = tokio::task::spawn_blocking(move || playlist(&origin, &path)).await;
    answer.ok().and_then(Result::ok)
}

fn playlist(origin: &str, path: &str) -> Result<String> {
    let address: SocketAddr = origin.parse().context("the origin's address")?;
    let answer = processes::get(address, path)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "the origin has no playlist");
    Ok(answer)
}

/// The name of the first rendition that a multivariant playlist lists.
fn first_rendition(playlist: &str) -> Option<&str> {
    playlist.lines().find_map(|line| line.strip_suffix("/index.m3u8").filter(|name| !name.starts_with('#')))
}

/// The last part that a playlist lists, by its name.
fn last_part(playlist: &str) -> Option<Position> {
    let line = playlist.lines().rev().find(|line| line.starts_with("#EXT-X-PART:"))?;
    let (_, uri) = line.split_once("URI=\"")?;
    match LiveObject::parse(uri.split('"').next()?)?.object {
        Object::Part(sequence, index) => Some((sequence.0, index.0)),
        Object::Init(_) | Object::Segment(_) | Object::Timed(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_is_found() {
        let playlist = "#EXTM3U\n#EXT-X-PART:DURATION=0.3,URI=\"07070707-7.1.m4s\"\n#EXT-X-PART:DURATION=0.3,INDEPENDENT=YES,URI=\"07070707-8.0.m4s\"\n\
                        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"07070707-8.1.m4s\"\n";
        assert_eq!(last_part(playlist), Some((8, 0)));
        assert_eq!(last_part("#EXTM3U\n"), None);
    }

    #[test]
    fn the_first_rendition_is_found() {
        let playlist = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"audio/index.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n\
                        720p/index.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\n360p/index.m3u8\n";
        assert_eq!(first_rendition(playlist), Some("720p"));
        assert_eq!(first_rendition("#EXTM3U\n"), None);
    }
}
