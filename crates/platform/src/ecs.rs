//! The metadata endpoint of Amazon ECS, version 4: a plain HTTP server beside every task.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The environment variable with the URL of a container's metadata, which ECS sets in every container.
pub const METADATA_VARIABLE: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// The endpoint is on the same machine; one that takes longer is not going to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Answers have about 2 KiB.
const LARGEST_ANSWER: usize = 64 << 10;

/// Error of a request to the ECS metadata endpoint.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error("{0:?} is no URL of a metadata endpoint")]
    Url(String),
    #[error("no answer within {ANSWER_TIMEOUT:?}")]
    Deadline,
    #[error("the endpoint cannot be reached")]
    Connect(#[source] io::Error),
    #[error("the endpoint does not speak HTTP")]
    Http(#[from] hyper::Error),
    #[error("the endpoint answers {0}")]
    Status(StatusCode),
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is not what ECS answers")]
    Json(#[from] serde_json::Error),
    #[error("the container has no IPv4 address")]
    NoAddress,
}

/// The needed part of a container's metadata.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(default)]
    networks: Vec<Network>,
}

#[derive(Deserialize)]
struct Network {
    #[serde(rename = "IPv4Addresses", default)]
    addresses: Vec<Ipv4Addr>,
}

/// The first address of the first network of this task.
pub(crate) async fn task_address(url: &str) -> Result<Ipv4Addr, MetadataError> {
    let body = timeout(ANSWER_TIMEOUT, get(url)).await.map_err(|_| MetadataError::Deadline)??;
    let container: Container = serde_json::from_slice(&body)?;
    let mut addresses = container.networks.into_iter().flat_map(|network| network.addresses);
    addresses.next().ok_or(MetadataError::NoAddress)
}

async fn get(url: &str) -> Result<Bytes, MetadataError> {
    let wrong = || MetadataError::Url(url.into());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).header(header::HOST, authority.as_str()).body(Empty::<Bytes>::new());
    let request = request.map_err(|_| wrong())?;

    let peer = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(peer).await.map_err(MetadataError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(MetadataError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
        body.map(|body| body.to_bytes()).map_err(MetadataError::Body)
    };
    drive_connection(connection, answer).await
}

/// Waits for `answer` while `connection` moves the bytes; an error of the connection reaches the answer as well.
async fn drive_connection<T>(
    connection: impl Future<Output = hyper::Result<()>>,
    answer: impl Future<Output = T>,
) -> T {
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::{Found, own_address};

    /// Answers one request with `answer`, and gives its URL and what was asked.
    async fn stub(answer: String) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v4/abc", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        (url, asked)
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn the_address_of_the_task_is_the_own_address() {
        let body = r#"{"DockerId":"x","Networks":[{"NetworkMode":"awsvpc","IPv4Addresses":["10.0.2.61"]}],"Limits":{}}"#;
        let (url, asked) = stub(answer("200 OK", body)).await;
        let own = own_address(None, "0.0.0.0:7000".parse().unwrap(), Some(&url)).await.unwrap();
        assert_eq!((own.to_string().as_str(), own.found), ("10.0.2.61:7000", Found::Ecs));
        assert!(asked.await.unwrap().starts_with("GET /v4/abc HTTP/1.1\r\n"));
    }

    #[tokio::test]
    async fn an_endpoint_that_does_not_know_is_an_error() {
        let (url, _) = stub(answer("500 Oops", "")).await;
        assert!(matches!(
            task_address(&url).await,
            Err(MetadataError::Status(StatusCode::INTERNAL_SERVER_ERROR))
        ));
        let (url, _) = stub(answer("200 OK", r#"{"Networks":[]}"#)).await;
        assert!(matches!(task_address(&url).await, Err(MetadataError::NoAddress)));
        let (url, _) = stub(answer("200 OK", "no json")).await;
        assert!(matches!(task_address(&url).await, Err(MetadataError::Json(_))));
        assert!(matches!(task_address("nonsense").await, Err(MetadataError::Url(_))));
    }

    /// Paused time runs ahead while nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn a_silent_endpoint_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        assert!(matches!(task_address(&url).await, Err(MetadataError::Deadline)));
    }
}
