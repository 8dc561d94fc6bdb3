//! The protocol edge: speaks RTMP with encoders, holds their connections, finds them a server and passes their media on
//! over gRPC. The only service that knows RTMP.

mod context;
pub mod cost;
mod counted;
mod drain;
mod inputs;
mod publisher;
mod refusal;
mod routing;
mod rtmp;
mod start;
mod uplink;

pub use rtmp::Socket;
pub use start::{Front, Proxy, ProxyError, run};
