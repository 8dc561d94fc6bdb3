//! The own address: what a server writes into the registry.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;
use tracing::warn;

use crate::ecs;

/// How others reach this process. Shown as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    /// A name or an IP address, the latter without brackets.
    pub host: String,
    pub port: u16,
    pub found: Found,
}

/// Source of an address that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// An operator said it.
    Advertised,
    /// The process listens on this one address only.
    Listener,
    /// The metadata of the ECS task.
    Ecs,
    /// The interface with the default route.
    Route,
    /// There is no network: only processes of this machine can reach it.
    Loopback,
}

/// Configured address that others should use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertised<'a> {
    pub host: &'a str,
    /// The port of the listener when there is none.
    pub port: Option<u16>,
}

/// Error of the search for a process's own address.
#[derive(Debug, thiserror::Error)]
pub enum OwnAddressError {
    /// Another address could be the wrong one, so nothing else is tried.
    #[error("the metadata of this ECS task does not tell its address")]
    Ecs(#[from] ecs::MetadataError),
    #[error("no socket to ask for the own address")]
    Socket(#[source] io::Error),
}

/// Finds the address of this process, which listens on `listener`: what the operator said; the one address listened on;
/// the address of the ECS task, when `metadata` (the value of [`METADATA_VARIABLE`](crate::METADATA_VARIABLE)) is there;
/// the address of the interface with the default route; loopback.
///
/// # Errors
/// When ECS should know the address and does not, or when there are no sockets at all.
pub async fn own_address(
    advertised: Option<Advertised<'_>>,
    listener: SocketAddr,
    metadata: Option<&str>,
) -> Result<OwnAddress, OwnAddressError> {
    let port = listener.port();
    if let Some(Advertised { host, port: said }) = advertised {
        return Ok(OwnAddress { host: host.into(), port: said.unwrap_or(port), found: Found::Advertised });
    }
    let (host, found) = match metadata {
        _ if !listener.ip().is_unspecified() => (listener.ip(), Found::Listener),
        Some(url) => (ecs::task_address(url).await?.into(), Found::Ecs),
        None => outgoing_address().await?,
    };
    if found == Found::Loopback {
        warn!("there is no network: only this machine reaches {host}; set server.advertise if that is wrong");
    }
    Ok(OwnAddress { host: host.to_string(), port, found })
}

/// Addresses that no interface of ours has: only the default route leads there. Connecting a UDP socket sends nothing.
const OUTSIDE_ADDRESSES: [(IpAddr, IpAddr); 2] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
];

async fn outgoing_address() -> Result<(IpAddr, Found), OwnAddressError> {
    let mut failure = None;
    for (any, elsewhere) in OUTSIDE_ADDRESSES {
        let socket = match UdpSocket::bind((any, 0)).await {
            Ok(socket) => socket,
            Err(error) => {
                failure.get_or_insert(error);
                continue;
            }
        };
        let routed = socket.connect((elsewhere, 9)).await.and_then(|()| socket.local_addr());
        if let Some(address) = routed.ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified()) {
            let found = if address.is_loopback() { Found::Loopback } else { Found::Route };
            return Ok((address, found));
        }
    }
    match failure {
        Some(error) => Err(OwnAddressError::Socket(error)),
        None => Ok((IpAddr::V4(Ipv4Addr::LOCALHOST), Found::Loopback)),
    }
}

impl fmt::Display for OwnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANYWHERE: &str = "0.0.0.0:7000";

    async fn find(advertised: Option<Advertised<'_>>, listener: &str) -> OwnAddress {
        own_address(advertised, listener.parse().unwrap(), None).await.unwrap()
    }

    #[tokio::test]
    async fn an_operator_is_believed() {
        let host = Advertised { host: "server-1", port: None };
        assert_eq!(find(Some(host), ANYWHERE).await.to_string(), "server-1:7000");
        let mapped = Advertised { host: "fd00::7", port: Some(17000) };
        assert_eq!(find(Some(mapped), ANYWHERE).await.to_string(), "[fd00::7]:17000");
    }

    #[tokio::test]
    async fn a_listener_on_one_address_has_that_address() {
        let own = find(None, "127.0.0.1:7001").await;
        assert_eq!((own.to_string().as_str(), own.found), ("127.0.0.1:7001", Found::Listener));
    }

    #[tokio::test]
    async fn without_anybody_to_ask_the_route_tells() {
        let own = find(None, ANYWHERE).await;
        let ip: IpAddr = own.host.parse().unwrap();
        assert!(!ip.is_unspecified());
        assert_eq!(ip.is_loopback(), own.found == Found::Loopback);
    }
}
