//! RTMP without sockets: bytes of a connection in, events and bytes to send out.
//!
//! [`ServerSession`] is the side that an encoder publishes to, [`ClientSession`] the side that publishes to another
//! server. Both are driven by their caller, who owns the socket, the clock and the policy:
//!
//! ```
//! use headwater_rtmp::{Event, ServerConfig, ServerSession};
//!
//! # fn read() -> bytes::Bytes { bytes::Bytes::new() }
//! # fn write(_: bytes::Bytes) {}
//! # fn main() -> Result<(), headwater_rtmp::RtmpError> {
//! let mut session = ServerSession::new(ServerConfig::default());
//! session.handle_input(read())?;
//! while let Some(event) = session.poll_event() {
//!     if let Event::Publish(request) = event {
//!         session.accept(request)?;
//!     }
//! }
//! while let Some(bytes) = session.poll_output() {
//!     write(bytes);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Everything that arrives is from a stranger. Reassembly of chunks (`chunk`) and reading of AMF0 (`amf`) are
//! our own and bounded by [`Limits`]; `rml_rtmp` serves for the handshake and for serialising what is sent.

mod amf;
mod chunk;
mod client;
mod command;
mod config;
mod error;
mod flow;
mod handshake;
mod message;
mod metadata;
mod outbox;
mod server;
mod status;
#[cfg(test)]
mod testing;

pub use amf::AmfError;
pub use client::{ClientConfig, ClientEvent, ClientSession};
pub use config::{Limits, Phase, ServerConfig};
pub use error::RtmpError;
pub use metadata::Metadata;
pub use server::{EVENT_COST, Event, MAX_EVENTS, PublishRequest, PublishType, ServerSession};
pub use status::{Rejection, StatusCode};
