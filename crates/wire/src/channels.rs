//! gRPC connections from one service to others.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use headwater_media::lock::MutexExt;
use tonic::transport::{Channel, Endpoint, Error};

use crate::http2;

/// Shared channels that are kept: more than any installation has servers. Beyond it all are made anew.
const MAX_SHARED_CHANNELS: usize = 1_024;

/// Connections to servers: one to each address that all short calls share, and one of its own for each call that lasts.
pub struct Channels {
    shared: Mutex<HashMap<String, Channel>>,
    connect: Connect,
}

/// Makes a channel of an endpoint; it connects when it is used.
type Connect = Box<dyn Fn(Endpoint) -> Channel + Send + Sync>;

impl Default for Channels {
    /// Channels over TCP.
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
    /// Channels over another network than TCP: a simulated one.
    pub fn new(connect: impl Fn(Endpoint) -> Channel + Send + Sync + 'static) -> Self {
        Self { shared: Mutex::default(), connect: Box::new(connect) }
    }

    /// Channel to `address` (host and port) for calls with one small answer. It connects when it is used, and again
    /// after it broke.
    ///
    /// # Errors
    /// When `address` is no host and port.
    pub fn to(&self, address: &str) -> Result<Channel, Error> {
        let mut channels = self.shared.lock_ignoring_poison();
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        if channels.len() >= MAX_SHARED_CHANNELS {
            // Calls that are under way keep theirs.
            channels.clear();
        }
        let channel = self.dedicated(address)?;
        channels.insert(address.into(), channel.clone());
        Ok(channel)
    }

    /// New channel to `address` for one call that streams: media of one broadcast. The connection ends with the call,
    /// and has its own queue, flow control and congestion control: a peer that does not read one broadcast holds up no
    /// other one.
    ///
    /// # Errors
    /// When `address` is no host and port.
    pub fn dedicated(&self, address: &str) -> Result<Channel, Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        Ok((self.connect)(http2::configure_client(endpoint)))
    }
}
