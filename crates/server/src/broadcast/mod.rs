//! A broadcast on this server: its live window for viewers (`feed`), its publisher (`publisher`, `session`), and its lifetime
//! (`lifecycle`, `lease`).

mod admit;
mod budget;
mod failures;
mod feed;
mod handoff;
mod history;
mod lease;
mod lifecycle;
mod publisher;
mod session;
mod table;
mod takeover;

pub(crate) use admit::Applicant;
pub use feed::{Feed, FeedEvent, Subscription};
pub(crate) use handoff::HandoffSource;
pub use publisher::{Attachment, Place, Publisher, Responses};
pub use table::Home;
use table::draining;
pub(crate) use table::{Broadcasts, Commit, OnAir, Settings};
