//! A broadcast on this server: what viewers get of it, who publishes it, and how long it lives.

mod feed;
mod life;
mod publisher;
mod session;
mod table;

pub use feed::{Feed, Subscription};
pub use publisher::{Attachment, Place, Publisher, Responses};
pub use table::{Broadcasts, Home, OnAir, Settings};
