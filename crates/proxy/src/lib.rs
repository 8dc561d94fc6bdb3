//! The protocol edge: speaks RTMP with encoders, holds their connections, finds them a server and passes their media on
//! over gRPC. The only service that knows RTMP.
//!
//! A new protocol enters by implementing `Source` (`source.rs`) in a module of its own beside `rtmp`, which hands each
//! publish request to `publisher::publish`.

mod context;
pub mod cost;
mod drain;
mod gauge_guard;
mod inputs;
mod publisher;
mod refusal;
mod routing;
mod rtmp;
mod settings;
mod source;
mod start;

pub use rtmp::Socket;
pub use settings::Settings;
pub use start::{ConnectionHandler, Proxy, ProxyError, run};
