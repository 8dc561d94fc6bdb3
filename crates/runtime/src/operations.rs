//! The operations listener: `/livez`, `/readyz` and `/metrics` for orchestrators and Prometheus.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::http::{Handler, Patience, Versions, serve};
use crate::listener::Listener;
use crate::readiness::Readiness;

/// Orchestrators and Prometheus keep a handful of connections; more are a mistake or an attack. Of more, those give way
/// that have not asked for anything for the longest: an orchestrator that gets no answer kills a healthy process.
pub const MAX_CONNECTIONS: usize = 64;
/// How often the metrics recorder frees what it has aggregated; its own exporter does it as often.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// State that the operations listener answers from.
#[derive(Clone, Debug)]
pub struct Operations {
    pub readiness: Readiness,
    pub metrics: PrometheusHandle,
}

impl Operations {
    /// Answers until `stop` is cancelled, which should be the last thing of a process: a draining one is watched too.
    ///
    /// # Errors
    /// When the listener is broken.
    pub async fn serve(self, listener: Listener, stop: CancellationToken) -> std::io::Result<()> {
        let metrics = self.metrics.clone();
        let served =
            serve(Arc::new(self), listener, Versions::Http1, Patience::OPERATORS, CancellationToken::new());
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            served = served => served,
            () = keep_up(&metrics) => Ok(()),
        }
    }

    fn answer_request<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return make_response(StatusCode::METHOD_NOT_ALLOWED, TEXT_TYPE, "only GET\n".into());
        }
        match request.uri().path() {
            "/livez" => make_response(StatusCode::OK, TEXT_TYPE, "alive\n".into()),
            "/readyz" => self.answer_readyz(),
            "/metrics" => make_response(StatusCode::OK, PROMETHEUS_TYPE, self.metrics.render()),
            _ => make_response(StatusCode::NOT_FOUND, TEXT_TYPE, "try /livez, /readyz or /metrics\n".into()),
        }
    }

    fn answer_readyz(&self) -> Response<Full<Bytes>> {
        let missing = self.readiness.missing();
        let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = serde_json::json!({ "ready": missing.is_empty(), "not_ready": missing });
        make_response(status, JSON_TYPE, format!("{body}\n"))
    }
}

impl Handler for Operations {
    type Body = Full<Bytes>;

    async fn handle(&self, _from: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.answer_request(&request)
    }
}

/// Frees what the metrics recorder has aggregated, again and again. Never ends.
async fn keep_up(metrics: &PrometheusHandle) {
    let mut upkeep = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        upkeep.tick().await;
        metrics.run_upkeep();
    }
}

const TEXT_TYPE: &str = "text/plain; charset=utf-8";
const JSON_TYPE: &str = "application/json";
/// The Prometheus text exposition format.
const PROMETHEUS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

fn make_response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::listener::{Limits, Listener};

    async fn get(address: SocketAddr, request_line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn orchestrators_and_prometheus_get_their_answers() {
        let recorder = crate::telemetry::prometheus_builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || metrics::gauge!("publishers").set(3.0));
        let readiness = Readiness::default();
        let operations = Operations { readiness: readiness.clone(), metrics: recorder.handle() };
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(address, "test.listen", Limits::total(MAX_CONNECTIONS)).await.unwrap();
        let address = listener.local_addr();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(operations.serve(listener, stop.clone()));

        let redis = readiness.latch("redis");
        assert!(get(address, "GET /livez").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "GET /readyz").await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.contains(r#""not_ready":["redis"]"#),
            "{answer}"
        );
        redis.set();
        let answer = get(address, "GET /readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""ready":true"#), "{answer}");
        assert!(get(address, "GET /metrics").await.contains("\npublishers 3"));
        assert!(get(address, "GET /else").await.starts_with("HTTP/1.1 404"));
        assert!(get(address, "POST /livez").await.starts_with("HTTP/1.1 405"));

        let mut halves = Vec::new();
        for _ in 0..2 * MAX_CONNECTIONS {
            let mut half = TcpStream::connect(address).await.unwrap();
            // Those that have given way may not take it any more.
            let _ = half.write_all(b"GET /livez HTTP/1.1\r\n").await;
            halves.push(half);
            let answer = get(address, "GET /livez").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{} half requests: {answer}", halves.len());
        }

        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
