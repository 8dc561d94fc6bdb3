//! gRPC connections to servers: one per address, kept as long as the server is there.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// A server that has not answered a connection attempt by then is taken for dead.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Servers die without a word. A ping every second, answered within the next one, finds out in two.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(1);
/// HTTP/2 flow control: more than a second of any stream, and a few megabytes for all streams of a connection.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

#[derive(Debug, Default)]
pub struct Channels(Mutex<HashMap<String, Channel>>);

impl Channels {
    /// A channel to `address` (host and port). It connects when it is used.
    pub fn to(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .tcp_nodelay(true)
            .connect_lazy();
        channels.insert(address.into(), channel.clone());
        Ok(channel)
    }

    /// Forgets the channels to all other addresses. Calls that are under way keep theirs.
    pub fn keep(&self, addresses: &HashSet<&str>) {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|address, _| addresses.contains(address.as_str()));
    }
}
