//! TLS from one service to others.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

/// Connects to servers by TLS, and checks their certificates.
#[derive(Clone, Debug)]
pub(crate) struct TlsDialer {
    pub(crate) config: Arc<ClientConfig>,
    /// Name that the certificates of all servers have, whatever their addresses are.
    pub(crate) server_name: ServerName<'static>,
}

impl Service<Uri> for TlsDialer {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let Self { config, server_name } = self.clone();
        Box::pin(async move {
            let address = server.authority().map_or("", |authority| authority.as_str());
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            Ok(TokioIo::new(TlsConnector::from(config).connect(server_name, tcp).await?))
        })
    }
}
