//! A broadcast on this server: what viewers get of it, who publishes it, and how long it lives.

mod failures;
mod feed;
mod handover;
mod life;
mod publisher;
mod session;
mod table;

pub use feed::{Feed, Subscription};
pub use publisher::{Attachment, Place, Publisher, Responses};
use table::draining;
pub use table::{Broadcasts, Home, OnAir, Settings};
