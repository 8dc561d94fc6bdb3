//! HTTP/2 between the services. A call whose messages are not read costs no other call anything: the connection's flow
//! control has room for all calls together.

use std::time::Duration;

use tonic::transport::{Endpoint, Server};
use tower::layer::util::{Identity, Stack};

use crate::secret::{ClusterSecrets, SecretLayer};
use crate::version::VersionLayer;

/// Bytes of one call that may be sent to a server before it has read them: more than a second of any stream.
pub const UPLOAD_WINDOW_BYTES: u32 = 2 << 20;
/// Bytes of one call that may be sent to a client before it has read them: a live window as fast as the network has it,
/// on another continent too.
const DOWNLOAD_WINDOW_BYTES: u32 = 4 << 20;
/// Calls that may be open on one connection. Long calls have a connection each (`Channels::dedicated`); this is for many
/// short ones at a time.
pub const MAX_CALLS: u32 = 256;

/// Window of a connection: each call may leave its whole window unread, and the next one still has its own.
const fn connection_window(window: u32) -> u32 {
    let all = window as u64 * MAX_CALLS as u64;
    assert!(all <= i32::MAX as u64, "a flow-control window has 31 bits (RFC 9113 §6.9.1)");
    all as u32
}

/// Pings of a server, for a peer that sends none: our clients ping twice a second.
const SERVER_PING_INTERVAL: Duration = Duration::from_secs(5);
const SERVER_PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a connection attempt, after which the server is taken for dead.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Pings of a client. Servers die without a word: a ping every half second, answered within a second, finds out in one
/// and a half. A player keeps one second in hand, so it stands still for less than one.
const CLIENT_PING_INTERVAL: Duration = Duration::from_millis(500);
const CLIENT_PING_TIMEOUT: Duration = Duration::from_secs(1);

/// Layers of a gRPC server of ours.
pub type Layers = Stack<VersionLayer, Stack<SecretLayer, Identity>>;

/// gRPC server with the settings of all services, which answers callers that know one of these secrets.
pub fn server(secrets: &ClusterSecrets) -> Server<Layers> {
    Server::builder()
        .layer(SecretLayer(secrets.clone()))
        .layer(VersionLayer)
        .http2_keepalive_interval(Some(SERVER_PING_INTERVAL))
        .http2_keepalive_timeout(Some(SERVER_PING_TIMEOUT))
        .max_concurrent_streams(MAX_CALLS)
        .initial_stream_window_size(UPLOAD_WINDOW_BYTES)
        .initial_connection_window_size(const { connection_window(UPLOAD_WINDOW_BYTES) })
}

/// Endpoint with the settings of all services' clients.
pub(crate) fn configure_client(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(CLIENT_PING_INTERVAL)
        .keep_alive_timeout(CLIENT_PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(DOWNLOAD_WINDOW_BYTES)
        .initial_connection_window_size(const { connection_window(DOWNLOAD_WINDOW_BYTES) })
        .tcp_nodelay(true)
}
