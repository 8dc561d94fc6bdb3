//! Keys are never written down. Alone in its process, because logs and metrics are the process's.
#![allow(clippy::unwrap_used, reason = "only tests are in here")]

#[path = "proxy/support/mod.rs"]
mod support;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use headwater_runtime::config::{Input, InputMode, StoreUrl};
use headwater_wire::v2::failure::Code;
use support::{Encoder, TestProxy, TestServer, failure, media};
use tracing_subscriber::filter::LevelFilter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_key_is_in_a_log_a_metric_or_what_others_are_told() {
    let log = Log::default();
    let writer = log.clone();
    let everything = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
    everything.with_writer(move || writer.clone()).init();
    let metrics = headwater_runtime::telemetry::start_metrics().unwrap();
    let proxy = TestProxy::with(|config| {
        config.input_mode = InputMode::Keys;
        config.directory.url = StoreUrl::None;
        config.inputs = vec![Input { stream: "show".parse().unwrap(), key: "right-secret".parse().unwrap() }];
    })
    .await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;

    let mut told = vec![Encoder::request(proxy.address, "wrong-secret?token=secret").await.refused().await];
    let encoder = Encoder::request(proxy.address, "right-secret").await;
    server.call().await.reject(failure(Code::StreamInUse, "in use")).await;
    told.push(encoder.refused().await);
    let mut encoder = Encoder::request(proxy.address, "right-secret?youtube=secret").await;
    let call = server.call().await;
    assert!(!format!("{:?}", call.open).contains("secret"));
    call.accept(0).await;
    encoder.accepted().await;
    encoder.headers().await;
    encoder.video(0, media::keyframe(b"picture")).await;
    encoder.video(33, media::hevc_header()).await;
    told.push(encoder.sent_away().await);

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let counted = metrics.render();
    assert!(logged.contains("stream=show") && logged.contains("epoch=1"), "{logged}");
    assert!(counted.contains("headwater_proxy_refused_total{reason=\"key\"} 1"), "{counted}");
    assert!(counted.contains("headwater_proxy_failed_total{reason=\"media\"} 1"), "{counted}");
    for text in [logged, counted, format!("{told:?}")] {
        let line = text.lines().find(|line| line.contains("secret"));
        // The test's own client writes to the same log.
        assert_eq!(line, None);
    }
}
