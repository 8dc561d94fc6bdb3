//! Facts about a publisher that operators are shown.

use std::net::IpAddr;

use crate::time::UnixMillis;

/// Facts about one publisher, as its proxy knows them. They hold no stream key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublisherFacts {
    /// Time at which its publish request came.
    pub connected: UnixMillis,
    /// Address that it publishes from.
    pub address: Option<IpAddr>,
    /// Protocol that it publishes by, such as `rtmps`.
    pub protocol: String,
    /// Name and version of its program, as the program says.
    pub encoder: Option<String>,
    pub announced: AnnouncedRates,
}

/// Rates that an encoder has announced for its media.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AnnouncedRates {
    /// Pictures a second.
    pub frame_rate: Option<f64>,
    /// Bits a second of the video track.
    pub video_bitrate: Option<u64>,
}
