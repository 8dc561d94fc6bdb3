//! The broadcasts of this server (`table`), and each one of them (`on_air`): its live window for viewers (`feed`), its publisher
//! (`publisher`, `session`), and its lifetime (`lifecycle`, `lease`).

mod admit;
mod budget;
mod call;
mod dismissal;
mod failure;
mod feed;
mod handoff;
mod history;
mod lease;
mod lifecycle;
mod on_air;
mod publisher;
mod session;
mod settings;
mod source_log;
mod start;
mod table;
mod takeover;
mod worker_failures;

pub(crate) use admit::{Applicant, EpochSource};
pub(crate) use call::{Attachment, Progress, Request, Requests, Response, Responses};
pub(crate) use failure::dismissed;
pub use feed::{FeedEvent, LiveFeed, Subscription};
#[cfg(test)]
pub(crate) use handoff::HandoffSource;
pub(crate) use on_air::{Commit, OnAir};
pub use publisher::{Publisher, PublisherSlot};
pub(crate) use settings::BroadcastSettings;
pub use settings::Home;
pub use source_log::{SourceHealth, SourceLog};
pub(crate) use table::Broadcasts;
