//! A small HTTP client.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Longer than any blocking reload may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text answer is UTF-8")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The answer, if it is 200 OK.
    pub fn ok(self, url: &str) -> Result<Self> {
        ensure!(self.status == StatusCode::OK, "{url}: {} {}", self.status, self.text());
        Ok(self)
    }
}

pub async fn get(url: &str) -> Result<Answer> {
    send("GET", url, &[]).await
}

/// Sends one request without a body, on a connection of its own: every test has its own runtime.
pub async fn send(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send_request(request.body(Full::default())?).await.with_context(|| format!("{method} {url}"))
}

/// Sends one request with a JSON body.
pub async fn send_json(method: &str, url: &str, body: &serde_json::Value) -> Result<Answer> {
    let request = Request::builder().method(method).uri(url).header("content-type", "application/json");
    let request = request.body(Full::from(body.to_string()))?;
    send_request(request).await.with_context(|| format!("{method} {url}"))
}

async fn send_request(request: Request<Full<Bytes>>) -> Result<Answer> {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let whole = async {
        let (parts, body) = client.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        anyhow::Ok(Answer { status: parts.status, headers: parts.headers, body })
    };
    tokio::time::timeout(REQUEST_LIMIT, whole).await.context("no answer")?
}
