//! RTMP: an encoder's connection, from the handshake to its publish requests, and the codes that refusals have.

mod connection;
mod serve;
mod source;
mod status;

pub use connection::{RtmpConnection, Socket};
pub use serve::{Client, serve_connection};
