//! The worker: decodes a publisher's media once and makes the ladder of it, with GStreamer, which lives only here.
//!
//! The trip of a picture: [`Transcoder::tag`] → `video::Video` (decoder) → `video::FrameFanOut` (paced by `pacer::Pacer`,
//! placed by [`headwater_media::Cutter`]) → `video::Encoder`, one per rung → `video::Track` (met
//! with what was expected) → `output_collector::OutputCollector` → [`Sink`]. The trip of the sound: `audio::Audio` (decoder) →
//! `audio::AudioFeeder` (placed by `audio::AudioClock`) → encoder → `audio::Track` → the same collector.
//!
//! The server packages the frames that come out ([`headwater_media::EncodedFrame`]).
//!
//! Still pictures are made by a process of its own kind, [`still`].
//!
//! What is shown when, and where it is cut, follows from the source's timestamps and the settings alone.

mod audio;
mod cpu;
pub mod demo;
mod error;
mod fault;
mod interleaving;
pub mod launch;
mod memory;
mod output_collector;
mod pacer;
mod period;
mod pipeline;
mod preload;
mod progress;
mod rendition_set;
mod report;
pub mod sandbox;
mod sandbox_config;
mod scale;
mod stall_event;
pub mod still;
mod transcoder;
mod video;
pub mod worker;

pub use error::{Error, Result};
pub use preload::preload;
pub use progress::Stats;
pub use report::{Report, Sink};
pub use transcoder::{Start, Transcoder};
