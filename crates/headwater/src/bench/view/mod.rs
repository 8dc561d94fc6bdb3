//! `headwater bench view`: many viewers of one stream.

mod buffer;
mod counts;
mod http;
mod playlist;
mod viewer;

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use ::http::Uri;
use anyhow::ensure;
use clap::ValueEnum;
use headwater_media::lock::MutexExt;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::run::{self, report_misuse};
use counts::ViewCounts;
use http::Origin;
use playlist::Playlist;
use viewer::Viewer;

/// Files that the process has open besides its viewers' connections.
const OTHER_FILES: u64 = 32;

/// Arguments of `bench view`.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many viewers
    #[arg(short = 'n', long = "viewers", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    viewers: u32,
    /// URL to watch: the multivariant playlist of a low-latency stream, by http
    #[arg(long, default_value = "http://127.0.0.1:8080/demo/live.m3u8", value_parser = parse_address)]
    url: Url,
    /// The rendition that all watch
    #[arg(long, value_enum, default_value_t = Choice::Highest)]
    rendition: Choice,
    #[command(flatten)]
    options: run::Options,
}

/// By the bandwidth that the multivariant playlist tells.
#[derive(Clone, Copy, ValueEnum)]
pub enum Choice {
    Highest,
    Lowest,
}

#[derive(Clone)]
struct Url {
    origin: Origin,
    /// With its query.
    path: String,
}

fn parse_address(text: &str) -> Result<Url, String> {
    let url = text.parse::<Uri>().ok().and_then(|uri| {
        let path = uri.path_and_query().map_or_else(|| "/".into(), ToString::to_string);
        Some(Url { origin: Origin::of(&uri)?, path })
    });
    url.ok_or_else(|| "it looks like http://host[:port]/stream/live.m3u8".into())
}

/// State that all viewers share.
struct Shared {
    path: String,
    rendition: Choice,
    counts: ViewCounts,
    /// The last playlist of each rendition, as text and parsed.
    last: Mutex<HashMap<String, (String, Arc<Playlist>)>>,
}

impl Shared {
    /// The same text leads to the same playlist for all: what a delta update leaves out is what all have.
    fn parse_playlist(
        &self,
        rendition: &str,
        text: String,
        before: Option<&Playlist>,
    ) -> Option<Arc<Playlist>> {
        let mut last = self.last.lock_ignoring_poison();
        if let Some((_, playlist)) = last.get(rendition).filter(|(known, _)| *known == text) {
            return Some(playlist.clone());
        }
        let playlist = Arc::new(Playlist::parse(&text)?.complete_delta(before)?);
        last.insert(rendition.into(), (text, playlist.clone()));
        Some(playlist)
    }
}

/// Watches as often as the arguments say, and prints the results.
pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { viewers, url, rendition, options } = arguments;
    if let Err(error) = raise_file_limit(*viewers) {
        return report_misuse(&error);
    }
    let counts = ViewCounts::new(*viewers);
    let shared = Shared {
        path: url.path.clone(),
        rendition: *rendition,
        counts: counts.clone(),
        last: Mutex::default(),
    };
    run::run(options, &counts, |tasks, stop| start_viewers(tasks, stop, Arc::new(shared), arguments))
}

fn start_viewers(tasks: &TaskTracker, stop: CancellationToken, shared: Arc<Shared>, arguments: &Arguments) {
    let began = Instant::now();
    for number in 0..arguments.viewers {
        let viewer = Viewer::new(arguments.url.origin.clone(), shared.clone());
        let at = began + arguments.options.ramp.saturating_mul(number);
        let stop = stop.clone();
        tasks.spawn(async move {
            if stop.run_until_cancelled(tokio::time::sleep_until(at)).await.is_some() {
                viewer.run(stop).await;
            }
        });
    }
}

/// Each viewer has a connection for the picture and one for the sound.
fn raise_file_limit(viewers: u32) -> anyhow::Result<()> {
    let needed = 2 * u64::from(viewers) + OTHER_FILES;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    ensure!(
        limit.maximum.is_none_or(|most| most >= needed),
        "{viewers} viewers need {needed} open files, and this process may have {}: raise the limit (ulimit -Hn)",
        limit.maximum.unwrap_or_default()
    );
    limit.current = Some(needed);
    Ok(setrlimit(Resource::Nofile, limit)?)
}
