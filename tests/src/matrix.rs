//! The matrix of failures: what fails, and how much of each thing that is carried from encoder to viewers may be lost by it.
//!
//! `tests/tests/matrix.rs` makes each row happen to real services and holds every cell against what came out; the table in
//! docs/failover.md is printed from here.

use std::fmt::Write;

/// Kind of failure, and its greatest cost.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Failing party, and how it fails; also the name by which its test finds it.
    pub failure: &'static str,
    pub encoder: Encoder,
    pub hls: Live,
    pub dash: Live,
    /// Pictures that are missing in the DVR window.
    pub dvr: usize,
    /// Pictures that are missing in the recording.
    pub recording: usize,
}

/// Fate of the encoder's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// It notices nothing.
    Stays,
    /// It has to connect again, within the reconnect window: viewers see one discontinuity.
    ConnectsAgain,
}

/// Loss of viewers who watch live, at most.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// Pictures that were sent and are never shown.
    pub pictures: usize,
    /// The longest time without anything new, from when an encoder is there that can send, in milliseconds.
    pub standstill_ms: u64,
}

/// Pictures in an encoder's hands and in the connection's buffers when its connection breaks: a quarter of a second.
const IN_HAND: usize = crate::publish::IN_HAND;
/// Pictures of the segment that is being made, and of the one before it where the last commit was still under way: what only
/// a proxy and a server had between them.
const IN_THE_MAKING: usize = 4 * 30 + IN_HAND;

/// Row without any loss. The slowest way to notice is a peer that falls silent (1.5 s), and a segment is made anew in less
/// than its length; the rest is for a machine that does other things as well.
const fn unseen(failure: &'static str) -> Row {
    Row {
        failure,
        encoder: Encoder::Stays,
        hls: Live { pictures: 0, standstill_ms: 6_000 },
        dash: Live { pictures: 0, standstill_ms: 8_000 },
        dvr: 0,
        recording: 0,
    }
}

/// The encoder's connection is gone, and with it at most so many pictures.
const fn reconnected(failure: &'static str, pictures: usize) -> Row {
    Row {
        failure,
        encoder: Encoder::ConnectsAgain,
        hls: Live { pictures, standstill_ms: 10_000 },
        dash: Live { pictures, standstill_ms: 12_000 },
        dvr: pictures,
        recording: pictures,
    }
}

pub const ROWS: &[Row] = &[
    reconnected("encoder killed", IN_HAND),
    reconnected("encoder frozen", IN_HAND),
    reconnected("proxy killed", IN_HAND),
    reconnected("proxy frozen", IN_HAND),
    unseen("server killed"),
    unseen("server frozen"),
    unseen("server told to stop"),
    unseen("server cut off from Redis"),
    unseen("worker killed"),
    unseen("worker frozen"),
    unseen("origin killed"),
    unseen("Redis killed, and back empty"),
    unseen("Redis frozen"),
    unseen("store cut off"),
    unseen("server and origin killed"),
    reconnected("proxy and origin killed", IN_HAND),
    reconnected("proxy and server killed", IN_THE_MAKING),
    reconnected("proxy, server and origin killed", IN_THE_MAKING),
    reconnected("proxy and server killed, Redis back empty", IN_THE_MAKING),
];

/// The row of a failure.
pub fn row(failure: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.failure == failure)
}

/// The matrix as a Markdown table.
pub fn table() -> String {
    let mut out = String::from(
        "| What fails | RTMP in | HLS | DASH | DVR | Recording |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for row in ROWS {
        let encoder = match row.encoder {
            Encoder::Stays => "stays",
            Encoder::ConnectsAgain => "connects again",
        };
        let Row { failure, hls, dash, dvr, recording, .. } = row;
        let dvr = pictures(*dvr);
        let recording = pictures(*recording);
        let _ =
            writeln!(out, "| {failure} | {encoder} | {} | {} | {dvr} | {recording} |", live(hls), live(dash));
    }
    out
}

fn live(Live { pictures: count, standstill_ms }: &Live) -> String {
    format!("{}, {standstill_ms} ms", pictures(*count))
}

fn pictures(count: usize) -> String {
    match count {
        0 => "0".into(),
        count => format!("≤ {count}"),
    }
}
