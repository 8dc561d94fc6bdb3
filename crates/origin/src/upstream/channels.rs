//! One gRPC connection to each server, shared by all streams that it has.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use headwater_wire::v1::delivery_client::DeliveryClient;
use tonic::transport::{Channel, Endpoint};

use super::WatchError;

const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// A server that answers no ping within [`PING_LIMIT`] is dead: seen within 3 s, also where its machine has vanished.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_LIMIT: Duration = Duration::from_secs(2);
/// A part of a third of a second at 200 Mb/s has 8 MiB.
const MESSAGE_LIMIT: usize = 32 << 20;
/// What a server may send before it is read: a live window comes as fast as the network has it.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// More than any installation has servers; beyond it those that were are forgotten too.
const MOST_CHANNELS: usize = 1_024;

#[derive(Default)]
pub(super) struct Channels(Mutex<HashMap<String, Channel>>);

impl Channels {
    /// A client of the server at `host:port`. The connection is made when it is first used, and again after it broke.
    pub(super) fn client(&self, address: &str) -> Result<DeliveryClient<Channel>, WatchError> {
        let channel = self.channel(address)?;
        Ok(DeliveryClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT))
    }

    fn channel(&self, address: &str) -> Result<Channel, WatchError> {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        if channels.len() >= MOST_CHANNELS {
            channels.clear();
        }
        let channel = endpoint(address)?.connect_lazy();
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}

fn endpoint(address: &str) -> Result<Endpoint, WatchError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let endpoint = endpoint.map_err(|_| WatchError::Address(address.to_owned()))?;
    Ok(endpoint
        .connect_timeout(CONNECT_LIMIT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_LIMIT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}
