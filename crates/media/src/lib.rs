//! Values that flow through Headwater: names, timestamps, media tags, codec configuration, the ladder and
//! the timeline. No sockets, no clock, no environment: the same input always gives the same output.

pub mod aac;
mod access_unit;
pub mod avc;
mod bits;
pub mod broadcast;
mod error;
pub mod flv;
pub mod ids;
pub mod ladder;
pub mod lock;
pub mod publisher;
pub mod replay;
pub mod segmentation;
pub mod stats;
pub mod tag;
pub mod time;
pub mod timeline;

pub use aac::{AacExtension, AudioConfig};
pub use access_unit::{AccessUnit, Codec, CodecConfiguration, SourceMedia, Track, TrackId, TrackKind};
pub use avc::{AvcConfig, Colours, Sps};
pub use broadcast::{
    EncodedFrame, MediaEvent, Opening, PeriodStart, Piece, Record, Rendition, RenditionKind, ResumePoint,
    StoredSegment, VIDEO_TIMESCALE,
};
pub use error::MediaError;
pub use flv::{AudioMessage, FlvReader, VideoMessage};
pub use ids::{
    BroadcastId, BroadcastTag, Epoch, MediaSequence, OutputUid, PartIndex, PeriodNumber, RenditionId,
    StreamId, StreamKey,
};
pub use ladder::{Fitted, Ladder, LadderError, Rung};
pub use publisher::{AnnouncedRates, PublisherFacts};
pub use replay::{Loss, ReplayBuffer, ReplayLimits};
pub use segmentation::{Cut, Cutter, Grid, Placement, SegmentSettings};
pub use stats::{AudioStats, EncoderStats, PublisherStats, SourceMeter, SourceStats, VideoStats};
pub use tag::{OutputTag, Period, Tag, TagKind, TimelineEvent};
pub use time::{MediaTime, SourceTime, UnixMillis};
pub use timeline::{Announced, Limits, Notice, Timeline};

#[cfg(test)]
mod testing;
