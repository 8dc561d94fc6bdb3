//! A viewer.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::DEADLINE;

#[derive(Clone)]
pub struct Viewer {
    client: Client<HttpConnector, Empty<Bytes>>,
    address: SocketAddr,
}

#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub version: http::Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Viewer {
    pub fn new(address: SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), address }
    }

    pub fn http2(address: SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).http2_only(true).build_http(), address }
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Got {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let asked = async {
            let response = self.client.request(request.body(Empty::new()).unwrap()).await.unwrap();
            let (head, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Got { status: head.status, version: head.version, headers: head.headers, body }
        };
        tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| panic!("no answer: {path}"))
    }

    /// An answer whose body is still to be read.
    pub async fn open(&self, path: &str) -> Response<Incoming> {
        let request = Request::get(format!("http://{}{path}", self.address)).body(Empty::new()).unwrap();
        let asked = tokio::time::timeout(DEADLINE, self.client.request(request));
        asked.await.unwrap_or_else(|_| panic!("no answer: {path}")).unwrap()
    }

    pub async fn get(&self, path: &str) -> Got {
        self.ask(Method::GET, path, &[]).await
    }

    /// The text of something that must be there.
    pub async fn text(&self, path: &str) -> String {
        let got = self.get(path).await;
        assert_eq!(got.status, StatusCode::OK, "{path}: {}", got.text());
        got.text()
    }
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", self.headers)).to_str().unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}
