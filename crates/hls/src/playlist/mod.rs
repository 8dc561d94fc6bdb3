//! Playlists, each a pure function of the live window.
//!
//! Addresses are relative: a stream's multivariant playlist stands beside a directory for each rendition, which
//! holds `index.m3u8`, `init-<first sequence of its period>.mp4`, `<sequence>.m4s` and `<sequence>.<part>.m4s`.

mod bitrate;
mod media;
mod multivariant;

pub use media::{MediaOptions, media};
pub use multivariant::multivariant;
