//! Ingest proxy: speaks RTMP with encoders, holds their connections, finds each publisher a server and sends it the
//! media over gRPC. No other service knows RTMP.
//!
//! A new protocol enters by implementing `Source` (`source.rs`) in a module of its own beside `rtmp`, which hands each
//! publish request to `publisher::publish`. Its listener is opened in `start.rs`, and its memory is added in `cost.rs`.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `rtmp` | an encoder's connection, from the handshake to its publish requests; the `onStatus` codes |
//! | `source` | the interface between a protocol and the publisher |
//! | `authority` | the stream that a key opens, and whether this publisher may publish it |
//! | `publisher` | one publisher: its request, timeline, replay buffer, failover, end |
//! | `routing` | the search for a server: registry, claims, last servers |
//! | `context` | state that all connections share |

mod authority;
mod context;
pub mod cost;
mod drain;
mod gauge_guard;
mod publisher;
mod refusal;
mod routing;
mod rtmp;
mod settings;
mod source;
mod start;

pub use authority::Authority;
pub use rtmp::Socket;
pub use settings::Settings;
pub use start::{ConnectionHandler, Proxy, ProxyError, run};
