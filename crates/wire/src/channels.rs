//! gRPC connections from one service to others.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint, Error};

/// A server that has not answered a connection attempt by then is taken for dead.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Servers die without a word. A ping every half second, answered within a second, finds out in one and a half. A player
/// keeps one second in hand, so it stands still for less than one.
const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(500);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(1);
/// HTTP/2 flow control, bytes that may be sent before they are read: more than a second of any stream, and a live window
/// as fast as the network has it.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// More than any installation has servers; beyond it those that were are forgotten too.
const MOST_CHANNELS: usize = 1_024;

/// One connection to each address, shared by all calls.
pub struct Channels {
    channels: Mutex<HashMap<String, Channel>>,
    connect: Connect,
}

/// Makes a channel of an endpoint; it connects when it is used.
type Connect = Box<dyn Fn(Endpoint) -> Channel + Send + Sync>;

impl Default for Channels {
    /// By TCP.
    fn default() -> Self {
        Self::new(|endpoint| endpoint.connect_lazy())
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").finish_non_exhaustive()
    }
}

impl Channels {
    /// On another network than TCP: a simulated one.
    pub fn new(connect: impl Fn(Endpoint) -> Channel + Send + Sync + 'static) -> Self {
        Self { channels: Mutex::default(), connect: Box::new(connect) }
    }

    /// A channel to `address` (host and port). It connects when it is used, and again after it broke.
    ///
    /// # Errors
    /// When the address is none.
    pub fn to(&self, address: &str) -> Result<Channel, Error> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        if channels.len() >= MOST_CHANNELS {
            // Calls that are under way keep theirs.
            channels.clear();
        }
        let channel = (self.connect)(endpoint(address)?);
        channels.insert(address.into(), channel.clone());
        Ok(channel)
    }
}

fn endpoint(address: &str) -> Result<Endpoint, Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .tcp_nodelay(true))
}
