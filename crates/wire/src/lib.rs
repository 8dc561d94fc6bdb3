//! The gRPC contract (`headwater.v2`) and the worker's protocol: generated messages and services, and conversions into
//! the types that the rest of the house speaks. A message that came from outside is checked here, once. The clients of
//! the Publish call and of `Operator` are here too, and so is how services know each other.

mod channels;
mod convert;
pub mod frames;
pub mod http2;
pub mod operator;
pub mod publish;
mod secret;
mod tls;
pub mod version;

/// Messages and services that the `.proto` files define.
#[allow(clippy::all, clippy::unwrap_used, unreachable_pub, missing_docs)]
pub mod v2 {
    include!("generated/headwater.v2.rs");
}

pub use channels::{Channels, ServiceChannel};
pub use convert::{
    ConvertError, Handoff, JournalBlock, JournalIndex, SampleIndex, SegmentSamples, WatchMessage,
    broadcast_bytes, broadcast_id, output_tag_of, tag_of,
};
pub use secret::ClusterSecrets;
