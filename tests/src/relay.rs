//! A way to a service that can be cut: a partition between two that both run.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on to one address. While it is cut nothing comes through and nobody is told, as with a network that
/// drops everything; when it is healed, what was sent meanwhile arrives late, as TCP sends it again.
pub struct Relay {
    port: u16,
    open: watch::Sender<bool>,
    /// Ended with this.
    _accepting: JoinSet<()>,
}

impl Relay {
    /// Listens on every address of this host.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let port = listener.local_addr()?.port();
        let (open, is_open) = watch::channel(true);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target, is_open));
        Ok(Self { port, open, _accepting: accepting })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    pub fn heal(&self) {
        self.open.send_replace(true);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                connections.spawn(connection(stream, target, open.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Ends, and so closes both connections, when one of them breaks or both have been closed.
async fn connection(near: TcpStream, target: SocketAddr, mut open: watch::Receiver<bool>) {
    if open.wait_for(|open| *open).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    // An error is a closed connection, which the other side gets to see.
    let _ = tokio::try_join!(pass(near_in, far_out, open.clone()), pass(far_in, near_out, open));
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut open: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        if open.wait_for(|open| *open).await.is_err() || count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
