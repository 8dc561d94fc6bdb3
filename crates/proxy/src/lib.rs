//! The protocol edge: speaks RTMP with encoders, holds their connections, finds them a server and passes their media on
//! over gRPC. The only service that knows RTMP.

mod context;
pub mod cost;
mod counted;
mod drain;
mod failover;
mod failures;
mod inputs;
mod leaving;
mod memory;
mod publisher;
mod refusal;
mod replay;
mod routing;
mod rtmp;
mod source;
mod start;
mod uplink;

pub use rtmp::Socket;
pub use start::{Front, Proxy, ProxyError, run};
