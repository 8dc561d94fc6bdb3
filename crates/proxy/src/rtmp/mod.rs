//! RTMP: an encoder's connection, from the handshake to its publish requests.

mod connection;
mod serve;

pub use connection::{Link, LinkError, Socket};
pub use serve::serve;
