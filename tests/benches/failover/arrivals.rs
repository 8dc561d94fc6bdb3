//! When each part of a rendition came into the playlist of an origin, seen by blocking reload.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use headwater_tests::http;
use headwater_tests::player::Media;

/// Seconds since the Unix epoch.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Part as it arrived. Seconds; `start` and `end` count media from the first playlist on.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub at: f64,
    pub start: f64,
    pub end: f64,
}

/// Everything that has come so far.
#[derive(Clone, Default)]
pub struct Arrivals(Arc<Mutex<Vec<Arrival>>>);

impl Arrivals {
    pub fn all(&self) -> Vec<Arrival> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes down what comes into this playlist until it is dropped.
    pub async fn follow(self, url: String) -> Result<()> {
        let mut positions = BTreeMap::new();
        let mut known = None;
        loop {
            let ask =
                known.map_or_else(String::new, |(msn, part)| format!("?_HLS_msn={msn}&_HLS_part={part}"));
            let Some(media) = reload(&format!("{url}{ask}")).await? else {
                // The origin has waited as long as it does; a player asks again, and not in a hurry.
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let at = now();
            let parts = place(&media, &mut positions);
            let new = parts.into_iter().filter(|(key, _, _)| known.is_none_or(|known| *key >= known));
            let new = new.map(|(_, start, end)| Arrival { at, start, end });
            // The first playlist is full of parts that came before anybody looked.
            if known.is_some() {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
            }
            known = Some(media.next());
        }
    }
}

const AGAIN: Duration = Duration::from_millis(20);

async fn reload(url: &str) -> Result<Option<Media>> {
    let answer = http::get(url).await.context("the origin does not answer")?;
    (answer.status == 200).then(|| Media::parse(answer.text())).transpose()
}

/// Every part of the playlist: its key, and where it starts and ends.
fn place(media: &Media, positions: &mut BTreeMap<u64, f64>) -> Vec<((u64, usize), f64, f64)> {
    let mut parts = Vec::new();
    for segment in &media.segments {
        let start = *positions.entry(segment.sequence).or_insert(0.0);
        let mut at = start;
        for (index, part) in segment.parts.iter().enumerate() {
            parts.push(((segment.sequence, index), at, at + part.duration));
            at += part.duration;
        }
        if segment.uri.is_some() {
            positions.insert(segment.sequence + 1, start + segment.duration);
        }
    }
    parts
}
