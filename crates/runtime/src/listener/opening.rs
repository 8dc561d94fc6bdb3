//! Opening of a connection that was accepted: the PROXY protocol header of a trusted load balancer, and the TLS handshake. Both
//! take as long as the peer likes, so they happen in the connection's own task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::Stream;
use super::limits::{Guard, Refusal};
use super::proxy_header::{Beginning, Client, HeaderError, peek_beginning, read_header};

/// Connection that a listener has accepted, and that has said nothing yet.
#[derive(Debug)]
pub struct Accepted {
    pub stream: TcpStream,
    /// Address that the connection comes from: the client's or its load balancer's.
    pub peer: SocketAddr,
    /// Place within the limits, to be kept as long as the connection.
    pub guard: Guard,
    /// Whether the peer is a load balancer whose header is believed.
    pub(super) is_trusted: bool,
    /// TLS of the listener, where it speaks it.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Name of the listener's setting.
    pub(super) setting: &'static str,
}

/// Connection whose client is known, ready for the protocol of its listener.
#[derive(Debug)]
pub struct Connection {
    pub stream: Stream,
    /// Address of the client, also behind a load balancer.
    pub client: SocketAddr,
    /// Place within the limits, to be kept as long as the connection.
    pub guard: Guard,
}

/// Reason why a connection is closed before it is opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("a PROXY protocol header came from a peer that is not in trusted_peers")]
    Untrusted,
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Limit(#[from] Refusal),
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    #[error("the connection broke before anything was said: {0}")]
    Broken(#[from] io::Error),
}

impl Accepted {
    /// Learns the client's address, waits for its first byte, and does the TLS handshake. `None` when the connection is
    /// closed: for a fault, which is counted and logged, or by a load balancer that only looked whether anybody is there.
    /// Takes as long as the peer likes.
    pub async fn open(self) -> Option<Connection> {
        let setting = self.setting;
        let mut client = self.peer;
        match self.begin(&mut client).await {
            Ok(Some((stream, guard))) => return Some(Connection { stream, client, guard }),
            Ok(None) => {
                debug!(peer = %client, listener = setting, "closed without a word, as by a health check")
            }
            Err(error) => report(&error, client, setting),
        }
        None
    }

    /// The connection of a listener that has no trusted peers: after the handshake where it speaks TLS. `None` as
    /// [`Accepted::open`], and when that takes longer than `limit`, or another connection needs the place meanwhile.
    pub async fn open_within(self, limit: Duration) -> Option<Connection> {
        if self.tls.is_none() {
            let Self { stream, peer, guard, .. } = self;
            return Some(Connection { stream: Stream::Plain(stream), client: peer, guard });
        }
        let _idle = self.guard.give_way();
        let given_up = self.guard.given_up();
        tokio::select! {
            opened = timeout(limit, self.open()) => opened.ok().flatten(),
            () = given_up => None,
        }
    }

    /// The stream behind header and handshake, with its place; none after a health check. Corrects the address of the client.
    async fn begin(mut self, client: &mut SocketAddr) -> Result<Option<(Stream, Guard)>, OpenError> {
        if self.is_trusted {
            match read_header(&mut self.stream).await? {
                Client::Address(address) => *client = address,
                Client::HealthCheck => return Ok(None),
            }
            self.guard.count_for(client.ip())?;
        }
        match peek_beginning(&self.stream).await? {
            Beginning::Closed => Ok(None),
            Beginning::Header => Err(OpenError::Untrusted),
            Beginning::Other => {
                let stream = shake_hands(self.stream, self.tls).await?;
                Ok(Some((stream, self.guard)))
            }
        }
    }
}

/// The stream as the listener speaks it.
async fn shake_hands(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Result<Stream, OpenError> {
    match tls {
        None => Ok(Stream::Plain(stream)),
        Some(tls) => {
            let stream = TlsAcceptor::from(tls).accept(stream).await.map_err(OpenError::Handshake)?;
            Ok(Stream::Tls(Box::new(stream)))
        }
    }
}

impl OpenError {
    /// Label of the metric; none for connections that nobody refused.
    fn label(&self) -> Option<&'static str> {
        match self {
            Self::Untrusted => Some("untrusted_header"),
            Self::Header(HeaderError::Missing) => Some("missing_header"),
            Self::Header(HeaderError::TooLong { .. } | HeaderError::Malformed(_)) => Some("malformed_header"),
            Self::Limit(refusal) => Some(refusal.metric_label()),
            Self::Handshake(_) => Some("tls_handshake"),
            Self::Header(HeaderError::Io(_)) | Self::Broken(_) => None,
        }
    }
}

/// Counts and logs a connection that is closed. A fault of a trusted load balancer is the operator's to mend; strangers
/// must not be able to fill the log with warnings.
fn report(error: &OpenError, peer: SocketAddr, setting: &'static str) {
    let Some(reason) = error.label() else {
        return debug!(%peer, listener = setting, "{error}");
    };
    counter!("headwater_connections_refused_total", "listener" => setting, "reason" => reason).increment(1);
    match error {
        OpenError::Header(_) => warn!(%peer, listener = setting, "connection refused: {error}"),
        OpenError::Untrusted | OpenError::Handshake(_) => {
            info!(%peer, listener = setting, "connection refused: {error}")
        }
        _ => debug!(%peer, listener = setting, "connection refused: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusHandle;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::{Limits, Listener};
    use super::*;

    const HEADER: &[u8] = b"PROXY TCP6 2001:db8::7 ::1 40000 1935\r\n";

    /// Listener on a free port that trusts these networks.
    async fn listener(limits: Limits, trusted: &[&str]) -> Listener {
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(address, "proxy.rtmp_listen", limits).await.unwrap();
        listener.trust_peers(trusted.iter().map(|network| network.parse().unwrap()).collect())
    }

    /// Connection whose peer has said this, and its other end.
    async fn open(listener: &mut Listener, said: &[u8]) -> (Option<Connection>, TcpStream) {
        let mut peer = TcpStream::connect(listener.local_addr()).await.unwrap();
        peer.write_all(said).await.unwrap();
        if said.is_empty() {
            peer.shutdown().await.unwrap();
        }
        (listener.accept().await.unwrap().open().await, peer)
    }

    fn refused(metrics: &PrometheusHandle) -> Vec<String> {
        let text = metrics.render();
        let lines = text.lines().filter(|line| line.starts_with("headwater_connections_refused_total{"));
        lines.map(|line| line.split("reason=").nth(1).unwrap().replace('"', "")).collect()
    }

    #[tokio::test]
    async fn each_fault_closes_the_connection_and_is_counted_by_its_reason() {
        let recorder = crate::telemetry::prometheus_builder().unwrap().build_recorder();
        let metrics = recorder.handle();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let mut stranger = listener(Limits::total(9), &["10.0.0.0/8"]).await;
        let mut trusted = listener(Limits::new(9, 1), &["127.0.0.0/8"]).await;
        for said in [&b""[..], b"PROXY UNKNOWN\r\n"] {
            assert!(open(&mut trusted, said).await.0.is_none());
        }
        assert!(open(&mut stranger, b"").await.0.is_none());
        assert_eq!(refused(&metrics), [""; 0], "health checks are no refusals");

        let (kept, _peer) = open(&mut trusted, &[HEADER, b"\x03"].concat()).await;
        assert_eq!(kept.as_ref().unwrap().client, "[2001:db8::7]:40000".parse().unwrap());
        for (is_trusted, said, reason) in [
            (false, HEADER, "untrusted_header} 1"),
            (true, b"\x03\0\0", "missing_header} 1"),
            (true, b"PROXY SCTP\r\n", "malformed_header} 1"),
            (true, HEADER, "address} 1"),
        ] {
            let from = if is_trusted { &mut trusted } else { &mut stranger };
            let (opened, mut peer) = open(from, said).await;
            assert!(opened.is_none(), "{reason}");
            assert!(refused(&metrics).contains(&reason.into()), "{reason}: {:?}", refused(&metrics));
            // A reset is as good as an end.
            let _ = peer.read_to_end(&mut Vec::new()).await;
        }
    }

    #[tokio::test]
    async fn what_follows_the_header_is_left_to_be_read() {
        let mut listener = listener(Limits::total(9), &["127.0.0.1"]).await;
        let (opened, _peer) = open(&mut listener, &[HEADER, b"\x03media"].concat()).await;
        let mut rest = [0; 6];
        opened.unwrap().stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"\x03media");
    }
}
