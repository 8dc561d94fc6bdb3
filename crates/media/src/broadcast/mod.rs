//! Vocabulary of a broadcast that proxy, server and origin share: its events and the encoded frames that they are made of,
//! the point where another server goes on with it, the records of what is stored of it, and its report for operators.

mod event;
mod frame;
mod policy;
mod record;
mod report;

pub use event::{MediaEvent, Opening, PeriodStart, Rendition, RenditionKind, ResumePoint, VIDEO_TIMESCALE};
pub use frame::EncodedFrame;
pub use policy::{Policy, PolicyOverrides, RecordedRenditions};
pub use record::{Piece, Record, StoredSegment};
pub use report::{BroadcastReport, PublisherReport};
