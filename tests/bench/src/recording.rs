//! Costs of recording: requests to the store, how soon a segment that is whole is listed, what going back takes of memory,
//! and what a download costs: `headwater up` with its default settings, an S3-compatible store on the same machine, one
//! publisher.

mod download;
mod rewind;
mod upload;

use std::time::Duration;

use anyhow::Result;
use headwater_store::{TestStore, Traffic};

use crate::series::Series;
use crate::{Common, machine, nginx, source};
use download::{DOWNLOADS, Downloads};
use rewind::Memory;
use upload::Uploads;

const HOUR: f64 = 3600.0;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
}

pub async fn run(arguments: &Arguments) -> Result<String> {
    // First, while this process is small.
    let memory = rewind::measure().await?;
    let directory = tempfile::tempdir()?;
    let source = source::make(arguments.common.source.as_deref(), directory.path())?;
    let window = Duration::from_secs(arguments.common.seconds);
    let mut uploads = Vec::new();
    let mut downloads = Vec::new();
    for _ in 0..arguments.common.rounds {
        let store = TestStore::start().await;
        uploads.push(upload::measure(&store, &source, window).await?);
        downloads.push(download::measure(&store).await?);
    }
    let mut section = asked_of_the_store(&arguments.common, &uploads);
    section.push_str(&going_back(&memory));
    section.push_str(&downloading(&downloads)?);
    Ok(section)
}

fn asked_of_the_store(common: &Common, rounds: &[Uploads]) -> String {
    let per_hour = |value: &dyn Fn(&Uploads) -> f64| -> Series {
        rounds.iter().map(|round| value(round) / round.seconds * HOUR).collect()
    };
    let asked = |kind: &'static str| {
        per_hour(&move |round| {
            let count = |traffic: &Traffic| traffic.requests.get(kind).copied().unwrap_or_default();
            (count(&round.after) - count(&round.before)) as f64
        })
    };
    let bytes = per_hour(&|round| (round.after.bytes - round.before.bytes) as f64 / 1e6);
    let media = per_hour(&|round| round.media as f64 / 1e6);
    let index: Series = rounds
        .iter()
        .map(|round| (round.after.bytes - round.before.bytes) as f64 / round.media as f64 * 100.0 - 100.0)
        .collect();
    let lag: Series = rounds.iter().flat_map(|round| round.lag.iter().copied()).collect();
    let mut text = format!(
        "## Recording\n\n`make bench-recording`. `headwater up` with default settings, which stores all renditions in an \
         S3-compatible store (s3s) on the same machine; one publisher of 720p30. Segments of 2 s in three pictures and the \
         sound. {} s in each of {} rounds, counted at the store and projected to an hour of broadcast; median (least–greatest) of \
         the rounds. The lag is from the moment in which a segment is whole in its last rendition to its record, which is what \
         playlists list from; a real store adds the time of two requests.\n\n{}\n\n",
        common.seconds,
        rounds.len(),
        machine::describe(),
    );
    text.push_str("| Segment whole → stored and listed, ms | p50 | p95 | max |\n| --- | --- | --- | --- |\n");
    let [p50, p95, most] = [0.5, 0.95, 1.0].map(|share| lag.quantile(share));
    text.push_str(&format!("| {} segments | {p50:.0} | {p95:.0} | {most:.0} |\n\n", lag.len()));
    text.push_str("| Per hour of broadcast | |\n| --- | --- |\n");
    for (what, values) in [
        ("PUT requests", asked("PUT")),
        ("LIST requests", asked("LIST")),
        ("GET requests", asked("GET")),
        ("HEAD requests", asked("HEAD")),
        ("POST requests (deletions)", asked("POST")),
    ] {
        text.push_str(&format!("| {what} | {} |\n", values.show(0)));
    }
    text.push_str(&format!("| MB sent to the store | {} |\n", bytes.show(0)));
    text.push_str(&format!("| of that, MB of media | {} |\n", media.show(0)));
    text.push_str(&format!("| what indexes and requests add, % | {} |\n", index.show(2)));
    text
}

fn going_back(memory: &Memory) -> String {
    let Memory { streams, origin: [without, with, asked], index } = memory;
    format!(
        "\nMemory of going back: one origin mirrors {streams} streams of four renditions in parts of 29 KB (the bytes of the \
         default ladder), whose server tells it 1790 stored segments of each before the live window, an hour in all; \
         viewers have asked for each live playlist, compressed. Growth of the origin's peak, by stream. A server holds \
         the same index once for a stream, and no playlist of it.\n\n\
         | `recording.dvr_window` | MB a stream | Against none |\n| --- | --- | --- |\n\
         | origin, `0s` | {without:.2} | |\n\
         | origin, `60m`, nobody has gone back yet | {with:.2} | +{:.2} |\n\
         | origin, `60m`, all four playlists of the hour are asked for | {asked:.2} | +{:.2} |\n\
         | server, the index of `60m` alone | {index:.2} | +{index:.2} |\n",
        with - without,
        asked - without,
    )
}

fn downloading(rounds: &[Downloads]) -> Result<String> {
    let over = |value: &dyn Fn(&Downloads) -> f64| rounds.iter().map(value).collect::<Series>();
    let mut text = format!(
        "\nA recording of {:.0} s as one MP4 file of {:.0} MB (720p and the sound), downloaded again and again over loopback by \
         one and by {DOWNLOADS} clients, 3 s each; the first answer of each connection is compared byte by byte. A fresh \
         `headwater-origin` makes it of the stored segments, of which it holds four at a time for each download, whatever the \
         length of the file; the CPU of the store is not counted, nor is that of the clients. nginx {} has it as a file, with `sendfile`. For the first request to a file the origin \
         reads each segment to plan it: {} ms of CPU. Memory is the peak of what was resident, pages that nginx' processes share counted \
         in each, and what of it came with the downloads.\n\n\
         | Server | MB per CPU s, one download | {DOWNLOADS} downloads | Peak memory, MB | Of that by downloads |\n| --- | --- | --- | --- | --- |\n",
        over(&|round| round.seconds).median(),
        over(&|round| round.size).median(),
        nginx::version()?,
        over(&|round| round.plan).show(0),
    );
    let ways = rounds.iter().map(|round| round.ways.len()).min().unwrap_or_default();
    for way in 0..ways {
        let [one, many] = [0, 1].map(|index| over(&|round| round.ways[way].speed[index]));
        let [peak, more] = [0, 1].map(|index| over(&|round| round.ways[way].memory[index]));
        let name = rounds[0].ways[way].name;
        text.push_str(&format!(
            "| {name} | {} | {} | {} | {} |\n",
            one.show(0),
            many.show(0),
            peak.show(0),
            more.show(0)
        ));
    }
    Ok(text)
}
