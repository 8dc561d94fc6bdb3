//! Limits for strangers.

use std::time::Duration;

use headwater_runtime::config::{Input, InputMode, StoreUrl};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::support::{Encoder, TestProxy, TestServer, within};

/// Waits until the proxy has closed the connection.
async fn closed(mut socket: TcpStream) {
    // A reset is as good as an end.
    let _ = within("the connection is closed", socket.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn whoever_does_not_publish_in_time_is_sent_away() {
    let proxy = TestProxy::with(|config| config.proxy.publish_deadline = Duration::from_millis(200)).await;
    closed(TcpStream::connect(proxy.address).await.unwrap()).await;
}

#[tokio::test]
async fn there_are_only_so_many_connections_from_one_address() {
    let proxy = TestProxy::with(|config| config.proxy.max_connections_per_address = 1).await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut first = Encoder::request(proxy.address, "demo").await;
    closed(TcpStream::connect(proxy.address).await.unwrap()).await;
    server.call().await.accept(0).await;
    first.accepted().await;
}

#[tokio::test]
async fn a_key_that_opens_nothing_is_refused() {
    let proxy = TestProxy::with(|config| {
        config.input_mode = InputMode::Keys;
        config.directory.url = StoreUrl::None;
        config.inputs = vec![Input { stream: "show".parse().unwrap(), key: "right-secret".parse().unwrap() }];
    })
    .await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let (code, text) = Encoder::request(proxy.address, "wrong-secret").await.refused().await;
    assert_eq!(code, "NetStream.Publish.BadName");
    assert_eq!(text, "the stream key is not known: copy it again from where you were given it");
    let _right = Encoder::request(proxy.address, "right-secret").await;
    assert_eq!(server.call().await.open.stream, "show");
}
