//! A viewer's HTTP connection: HTTP/1.1, kept alive, made again when it broke.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than an origin may hold a blocking reload: three target durations (RFC 8216bis §6.2.5.2), and then some.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes read at once. Media is counted and thrown away, so that ten thousand viewers fit into memory.
const READ_SIZE: usize = 16 << 10;
/// No playlist is longer: it would hold some thousand segments.
const MAX_TEXT_BYTES: usize = 1 << 20;
const HTTP_PORT: u16 = 80;

/// Address that all requests of a viewer go to.
#[derive(Clone, Debug)]
pub struct Origin {
    host: String,
    port: u16,
}

impl Origin {
    /// `http` addresses only: viewers' TLS ends before an origin.
    pub fn of(uri: &Uri) -> Option<Self> {
        let host = uri.host().filter(|host| !host.is_empty() && uri.scheme_str() == Some("http"))?;
        Some(Self { host: host.into(), port: uri.port_u16().unwrap_or(HTTP_PORT) })
    }
}

/// HTTP client of a viewer, with one connection.
pub struct Client {
    origin: Origin,
    open: Option<Open>,
}

struct Open {
    requests: SendRequest<Empty<Bytes>>,
    /// Drives the connection; ended with it.
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    /// A client of this origin that is not connected yet.
    pub fn new(origin: Origin) -> Self {
        Self { origin, open: None }
    }

    /// The status and the text of a playlist.
    pub async fn fetch_text(&mut self, path: &str) -> Result<(StatusCode, String)> {
        let mut text = Vec::new();
        let status = self.get(path, |data| {
            ensure!(text.len() + data.len() <= MAX_TEXT_BYTES, "a playlist without an end");
            text.extend_from_slice(data);
            Ok(())
        });
        Ok((status.await?, String::from_utf8(text)?))
    }

    /// The status and the number of bytes.
    pub async fn fetch_size(&mut self, path: &str) -> Result<(StatusCode, u64)> {
        let mut bytes = 0;
        let status = self.get(path, |data| {
            bytes += data.len() as u64;
            Ok(())
        });
        Ok((status.await?, bytes))
    }

    async fn get(&mut self, path: &str, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<StatusCode> {
        let whole = async {
            let mut body = self.send_request(path).await?;
            let status = body.status();
            while let Some(frame) = body.body_mut().frame().await {
                if let Some(data) = frame?.data_ref() {
                    take(data)?;
                }
            }
            anyhow::Ok(status)
        };
        let answer = timeout(ANSWER_TIMEOUT, whole).await.context("no answer").and_then(|answer| answer);
        if answer.is_err() {
            self.open = None;
        }
        answer
    }

    async fn send_request(&mut self, path: &str) -> Result<http::Response<Incoming>> {
        if self.open.as_mut().is_none_or(|open| open.requests.is_closed()) {
            self.open = Some(self.open_connection().await?);
        }
        let open = self.open.as_mut().context("it was just opened")?;
        open.requests.ready().await?;
        let request = Request::get(path).header(header::HOST, &self.origin.host).body(Empty::new())?;
        Ok(open.requests.send_request(request).await?)
    }

    async fn open_connection(&self) -> Result<Open> {
        let Origin { host, port } = &self.origin;
        let socket = TcpStream::connect((host.trim_matches(['[', ']']), *port)).await?;
        socket.set_nodelay(true)?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(READ_SIZE);
        let (requests, connection) = builder.handshake(TokioIo::new(socket)).await?;
        let driver = tokio::spawn(async move {
            // What broke it is told to whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Open { requests, driver })
    }
}
