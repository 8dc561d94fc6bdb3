//! Taking connections: a listener that says why it cannot listen, keeps to its limits and outlives a shortage.

mod activity;
mod limits;
mod observed;
mod opening;
mod proxy_header;
mod stream;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

pub use activity::{Activity, Work};
pub use limits::{Guard, Limits, Refusal, counted_as};
pub use observed::{ObservedStream, Observer};
pub use opening::{Accepted, Connection};
pub use stream::Stream;

use crate::config::{Network, variable};

/// How long to wait when there are no file descriptors or no memory: time enough for some connections to end.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(200);

/// Why an address cannot be listened on, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {hint}; it is set by {setting} ({})", variable(setting))]
pub struct BindError {
    pub address: SocketAddr,
    pub setting: &'static str,
    hint: String,
    #[source]
    pub source: io::Error,
}

/// A bound TCP socket with limits.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    setting: &'static str,
    limits: Limits,
    trusted_peers: Vec<Network>,
    tls: Option<Arc<ServerConfig>>,
}

impl Listener {
    /// Listens on `address`, which the setting of this name says: `proxy.rtmp_listen`.
    ///
    /// # Errors
    /// When the address is taken, is not one of this machine's, or is not allowed.
    pub async fn bind(address: SocketAddr, setting: &'static str, limits: Limits) -> Result<Self, BindError> {
        let bound = async {
            let tcp = TcpListener::bind(address).await?;
            let address = tcp.local_addr()?;
            Ok((tcp, address))
        };
        match bound.await {
            Ok((tcp, address)) => {
                Ok(Self { tcp, address, setting, limits, trusted_peers: Vec::new(), tls: None })
            }
            Err(source) => Err(BindError { address, setting, hint: hint(address, &source), source }),
        }
    }

    /// Believes the PROXY protocol headers of load balancers in these networks, and requires them.
    /// [`Accepted::open`] reads them.
    #[must_use]
    pub fn trust_peers(self, trusted_peers: Vec<Network>) -> Self {
        Self { trusted_peers, ..self }
    }

    /// Speaks TLS, behind the PROXY protocol header where there is one. [`Accepted::open`] does the handshake.
    #[must_use]
    pub fn encrypt(self, tls: Arc<ServerConfig>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Whether it speaks TLS.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// The address that is really listened on, also where port 0 asked for any free one.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Limits of the listener's connections.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Waits for the next connection within the limits. One beyond them takes the place of an idle one, or is closed at
    /// once, and counted. Those of trusted load balancers count in total only, until their clients are known. Errors that
    /// only concern one connection, and shortages that pass, are outlived. Safe to cancel.
    ///
    /// # Errors
    /// When the listener itself is broken, which no waiting repairs.
    pub async fn accept(&mut self) -> io::Result<Accepted> {
        loop {
            match self.tcp.accept().await {
                Ok((stream, peer)) => match self.admit(stream, peer) {
                    Ok(accepted) => {
                        self.note_displaced(&accepted.guard);
                        return Ok(accepted);
                    }
                    Err(refusal) => self.refuse_peer(peer, refusal),
                },
                Err(error) => self.survive_error(error).await?,
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Result<Accepted, Refusal> {
        let is_trusted = self.trusted_peers.iter().any(|network| network.contains(peer.ip()));
        let guard = if is_trusted { self.limits.admit_unknown() } else { self.limits.admit(peer.ip()) }?;
        // Small messages must not wait for more; a socket that refuses is about to fail anyway.
        let _ = stream.set_nodelay(true);
        Ok(Accepted { stream, peer, guard, is_trusted, tls: self.tls.clone(), setting: self.setting })
    }

    fn note_displaced(&self, guard: &Guard) {
        if guard.displaces {
            counter!("headwater_connections_displaced_total", "listener" => self.setting).increment(1);
        }
    }

    fn refuse_peer(&self, peer: SocketAddr, refusal: Refusal) {
        counter!("headwater_connections_refused_total", "listener" => self.setting, "reason" => refusal.metric_label())
            .increment(1);
        debug!(%peer, listener = self.setting, "connection refused: {refusal}");
    }

    async fn survive_error(&self, error: io::Error) -> io::Result<()> {
        match AcceptFailure::classify_error(&error) {
            AcceptFailure::Connection => {
                debug!(%error, listener = self.setting, "a connection failed before it began")
            }
            AcceptFailure::Exhausted => {
                warn!(%error, listener = self.setting, "no connections for a moment: raise the limit of open files");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            AcceptFailure::Unknown => return Err(error),
        }
        Ok(())
    }
}

/// Extent of an error of `accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcceptFailure {
    /// That one connection: the next one may be fine (accept(2): "treat them like EAGAIN by retrying").
    Connection,
    /// File descriptors or memory have run out, of the process or of the system.
    Exhausted,
    /// The listener.
    Unknown,
}

impl AcceptFailure {
    fn classify_error(error: &io::Error) -> Self {
        /// Linux error numbers, the same on all architectures that Rust's tier 1 has.
        const ENOMEM: i32 = 12;
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        const EPROTO: i32 = 71;
        const ENOBUFS: i32 = 105;
        match (error.kind(), error.raw_os_error()) {
            (_, Some(ENOMEM | ENFILE | EMFILE | ENOBUFS)) => Self::Exhausted,
            (_, Some(EPROTO)) => Self::Connection,
            (kind, _) if concerns_one_connection(kind) => Self::Connection,
            _ => Self::Unknown,
        }
    }
}

fn concerns_one_connection(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(
        kind,
        ConnectionAborted
            | ConnectionReset
            | ConnectionRefused
            | Interrupted
            | TimedOut
            | HostUnreachable
            | NetworkUnreachable
            | NetworkDown
            | PermissionDenied
            | WouldBlock
    )
}

fn hint(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!("port {} is in use: stop who has it or choose another", address.port())
        }
        ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this machine: 0.0.0.0 means all", address.ip())
        }
        ErrorKind::PermissionDenied => {
            format!("port {} needs privileges: choose one from 1024 on", address.port())
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;

    use super::*;

    async fn listener(limits: Limits) -> Listener {
        Listener::bind("127.0.0.1:0".parse().unwrap(), "proxy.rtmp_listen", limits).await.unwrap()
    }

    #[tokio::test]
    async fn a_port_in_use_names_its_setting() {
        let first = listener(Limits::total(1)).await;
        let error =
            Listener::bind(first.local_addr(), "proxy.rtmp_listen", Limits::total(1)).await.unwrap_err();
        let port = first.local_addr().port();
        let text = format!(
            "cannot listen on 127.0.0.1:{port}: port {port} is in use: stop who has it or choose another; it is set by \
             proxy.rtmp_listen (HEADWATER_PROXY_RTMP_LISTEN)"
        );
        assert_eq!(error.to_string(), text);
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_is_closed_and_the_next_one_gets_the_freed_place() {
        let mut listener = listener(Limits::total(1)).await;
        let address = listener.local_addr();
        let _first = TcpStream::connect(address).await.unwrap();
        let held = listener.accept().await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        let closed = async { second.read(&mut [0; 1]).await };
        let closed = tokio::select! {
            closed = tokio::time::timeout(Duration::from_secs(5), closed) => closed.unwrap(),
            _ = listener.accept() => panic!("accepted beyond the limit"),
        };
        assert!(matches!(closed, Ok(0) | Err(_)));
        drop(held);
        let third = TcpStream::connect(address).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().peer, third.local_addr().unwrap());
    }

    #[test]
    fn accept_errors_are_sorted() {
        let of = |number| AcceptFailure::classify_error(&io::Error::from_raw_os_error(number));
        assert_eq!(of(24), AcceptFailure::Exhausted);
        assert_eq!(of(23), AcceptFailure::Exhausted);
        assert_eq!(of(103), AcceptFailure::Connection);
        assert_eq!(of(71), AcceptFailure::Connection);
        assert_eq!(of(22), AcceptFailure::Unknown);
    }
}
