//! Playlists, each a pure function of the live window and of what is stored.
//!
//! Addresses are relative: a stream's multivariant playlist stands beside a directory for each rendition, which
//! holds `index.m3u8` (`dvr.m3u8` with what is stored before the live window) and the media files ([`LiveObject`]). A
//! recording has a directory of its own, where media files are named without a broadcast's tag ([`Object`]).
//!
//! [`LiveObject`]: crate::object::LiveObject
//! [`Object`]: crate::object::Object

mod bitrate;
pub mod dash;
mod lines;
mod media;
mod multivariant;
mod tail;
mod vod;

pub use media::{MediaOptions, dvr, media, media_after};
pub use multivariant::{dvr_multivariant, multivariant};
pub use tail::lists_before;
pub use vod::{Stage, ended_media, ended_multivariant, vod_media, vod_multivariant};
