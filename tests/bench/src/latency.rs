//! How far behind the lens a viewer is: `headwater up` as it comes, a camera whose pictures carry the time, the player
//! page in Chromium (`tests/browser/latency.mjs`).

mod parts;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::processes::{self, Process, free_address};
use crate::series::Series;
use crate::{Common, machine};

/// The stream whose latency is measured.
const STREAM: &str = "glass";
/// Pictures that a browser may skip: more would mean that the machine was too slow to measure anything.
const MISSED: f64 = 0.1;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// How often a broadcast is begun before a waiting page, and a page opened while one runs
    #[arg(long, default_value_t = 9)]
    starts: u32,
    /// Seconds that pictures are measured, once the player has settled
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: u64,
}

pub async fn run(arguments: &Arguments) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let all = AllInOne::start(directory.path()).await?;
    let watched = parts::Measured::start(&all.grpc, &all.http, STREAM);
    let arguments_of_page = all.page(arguments);
    let page = tokio::task::spawn_blocking(move || browser(&arguments_of_page)).await?;
    let page = page.with_context(|| all.process.output())?;
    section(arguments, &page, &watched.stop()?)
}

/// `headwater up` with its default settings, on other ports.
struct AllInOne {
    process: Process,
    rtmp: String,
    http: String,
    grpc: String,
}

impl AllInOne {
    async fn start(directory: &Path) -> Result<Self> {
        let address = || free_address().map(|address| address.to_string());
        let rtmp = address()?;
        let http = address()?;
        let grpc = address()?;
        let metrics = address()?;
        let settings = [
            ("PROXY_RTMP_LISTEN", rtmp.clone()),
            ("ORIGIN_HTTP_LISTEN", http.clone()),
            ("SERVER_GRPC_LISTEN", grpc.clone()),
            ("UP_METRICS_LISTEN", metrics.clone()),
            // A broadcast that is over makes room for the next one.
            ("SERVER_RECONNECT_WINDOW", "1s".into()),
            ("STORE_URL", format!("file://{}", directory.join("store").display())),
            ("RECORDING_SPOOL", directory.join("spool").to_string_lossy().into_owned()),
        ];
        let process = Process::start(directory, "headwater", ["up"], &settings)?;
        let metrics = metrics.parse()?;
        let ready =
            || processes::get(metrics, "/readyz").ok().filter(|answer| answer.starts_with("HTTP/1.1 200"));
        processes::until("headwater to be ready", ready).await.with_context(|| process.output())?;
        Ok(Self { process, rtmp, http, grpc })
    }

    fn page(&self, arguments: &Arguments) -> Vec<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../browser/latency.mjs");
        let mut told = vec![script.to_string_lossy().into_owned()];
        let mut tell = |name: &str, value: String| told.extend([format!("--{name}"), value]);
        tell("http", format!("http://{}", self.http));
        tell("rtmp", self.rtmp.clone());
        tell("stream", STREAM.into());
        tell("seconds", arguments.watch.to_string());
        tell("starts", arguments.starts.to_string());
        if let Some(film) = &arguments.common.source {
            tell("source", film.to_string_lossy().into_owned());
        }
        told
    }
}

/// Runs the browser, and gives the measurements from the page.
fn browser(arguments: &[String]) -> Result<Value> {
    let output = Command::new("node").args(arguments).output().context("node could not be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the page could not be measured: {said}");
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(text.lines().last().unwrap_or_default()).context("the script said something else")
}

fn series(page: &Value, name: &str) -> Result<Series> {
    let values = page[name].as_array().with_context(|| format!("there is no {name}"))?;
    Ok(values.iter().filter_map(Value::as_f64).collect())
}

fn section(arguments: &Arguments, page: &Value, parts: &Series) -> Result<String> {
    let latency = series(page, "latency_ms")?;
    let edge = series(page, "behind_edge_ms")?;
    let expected = page["expected"].as_f64().unwrap_or(f64::NAN);
    ensure!(
        latency.len() as f64 >= expected * (1.0 - MISSED),
        "only {} of {expected} pictures were shown: the machine is too busy",
        latency.len()
    );
    ensure!(page["fatalErrors"] == 0, "the player has failed: {}", page["lastError"]);
    let rows = [
        ("Glass to glass (aim: p95 ≤ 1.8 s)", latency),
        ("of that, the page's distance to the live edge", edge),
        ("First picture after `publish`, on a page that waits (aim: ≤ 1.5 s)", series(page, "waiting_ms")?),
        ("the same after the first picture was taken", series(page, "camera_ms")?),
        ("First picture after the page was opened, broadcast running", series(page, "join_ms")?),
    ];
    let mut text = heading(arguments, page);
    for (what, values) in rows {
        text.push_str(&row(what, &values, 2, 1e3));
    }
    text.push_str(&row("Part ready at the server → in the origin's playlist", parts, 4, 1e3));
    Ok(text)
}

fn row(what: &str, milliseconds: &Series, digits: usize, unit: f64) -> String {
    let [p50, p95, most] =
        [0.5, 0.95, 1.0].map(|share| format!("{:.digits$}", milliseconds.quantile(share) / unit));
    format!("| {what} | {} | {p50} | {p95} | {most} |\n", milliseconds.len())
}

fn heading(arguments: &Arguments, page: &Value) -> String {
    let seconds = arguments.watch;
    format!(
        "## Latency\n\n`make bench-latency`. `headwater up` with default settings (720p, 480p, 360p; a broadcast that has ended is not waited for), and the player page in \
         headless Chromium on the same machine, at its own choice of rendition ({heights} lines on the screen). The camera is \
         an ffmpeg: 1280x720 at 30 pictures a second, each let go when it is due, and stamped with the wall clock in that \
         moment, as a strip of 24 black and white fields. The page reads the strip from each picture that \
         `requestVideoFrameCallback` announces, and compares it with the clock of the moment in which the browser expects the \
         picture on the screen. So this is all of it but a camera's and a screen's own delay, and that of the \
         publisher's encoder: x264 with `zerolatency` here; OBS with its defaults adds what its lookahead holds. {seconds} s, \
         each picture counted; {stalls} stand-stills longer than three pictures, {errors} errors that the player got over. A \
         broadcast was begun {starts} times before a page that waits for it, at other moments of its questions; `publish` is \
         RTMP's command, seen by a relay in front of the proxy. A part is ready when a second subscriber of the server has it, and in \
         the playlist when the origin has answered a blocking reload for it.\n\n{machine}\n\n\
         | Seconds | measured | p50 | p95 | most |\n| --- | --- | --- | --- | --- |\n",
        heights = page["heights"].as_array().map_or_else(String::new, |all| {
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }),
        stalls = page["stalls"],
        errors = page["errors"],
        starts = arguments.starts,
        machine = machine::describe(),
    )
}
