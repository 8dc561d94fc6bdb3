//! Encoders behind a load balancer that speaks the PROXY protocol.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Encoder, TestProxy, TestServer, within};

/// Proxy behind a load balancer on this machine. Each client may have one connection.
async fn proxy_behind_load_balancer() -> TestProxy {
    TestProxy::with(|config| {
        config.proxy.trusted_peers = vec!["127.0.0.0/8".parse().unwrap()];
        config.proxy.max_connections_per_address = 1;
    })
    .await
}

/// Connection whose header of version 1 names this client.
async fn connect_for(proxy: &TestProxy, client: &str) -> TcpStream {
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    let header = format!("PROXY TCP4 {client} 10.0.0.1 40000 1935\r\n");
    socket.write_all(header.as_bytes()).await.unwrap();
    socket
}

async fn is_closed(mut socket: TcpStream) {
    // A reset is as good as an end.
    let _ = within("the connection is closed", socket.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn only_clients_of_the_allowed_networks_may_connect() {
    let proxy = TestProxy::with(|config| {
        config.proxy.trusted_peers = vec!["127.0.0.0/8".parse().unwrap()];
        config.proxy.allowed_addresses = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let stranger = connect_for(&proxy, "192.0.3.7").await;
    let (code, text) = Encoder::refused_connection(stranger, Encoder::config(proxy.address, "demo")).await;
    assert_eq!(code, "NetConnection.Connect.Rejected");
    assert_eq!(text, "publishing from your address is not allowed");
    let client = connect_for(&proxy, "192.0.2.7").await;
    let mut encoder = Encoder::greet(client, Encoder::config(proxy.address, "demo")).await;
    encoder.ask().await;
    server.call().await.accept(0).await;
    encoder.accepted().await;
}

#[tokio::test]
async fn publishers_behind_one_load_balancer_are_limited_by_their_own_addresses() {
    const CLIENTS: usize = 200;
    let proxy = proxy_behind_load_balancer().await;
    let mut publishers = Vec::new();
    for client in 0..CLIENTS {
        let socket = connect_for(&proxy, &format!("192.0.2.{client}")).await;
        publishers.push(Encoder::greet(socket, Encoder::config(proxy.address, "demo")).await);
    }
    let mut second = connect_for(&proxy, "192.0.2.7").await;
    second.write_all(&[3]).await.unwrap();
    is_closed(second).await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    publishers[7].ask().await;
    server.call().await.accept(0).await;
    publishers[7].accepted().await;
}

#[tokio::test]
async fn connections_without_a_header_and_strangers_with_one_are_closed() {
    let proxy = proxy_behind_load_balancer().await;
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket.write_all(&[3; 1537]).await.unwrap();
    is_closed(socket).await;
    let proxy = TestProxy::start().await;
    is_closed(connect_for(&proxy, "192.0.2.1").await).await;
}

#[tokio::test]
async fn half_a_header_keeps_nobody_waiting_and_ends_by_the_publish_deadline() {
    let proxy = TestProxy::with(|config| {
        config.proxy.trusted_peers = vec!["127.0.0.1".parse().unwrap()];
        config.proxy.publish_deadline = Duration::from_secs(1);
    })
    .await;
    let mut slow = TcpStream::connect(proxy.address).await.unwrap();
    slow.write_all(b"PROXY TCP4 192.0.2.1").await.unwrap();
    let quick = connect_for(&proxy, "192.0.2.2").await;
    let greeted = Encoder::greet(quick, Encoder::config(proxy.address, "demo"));
    let waits = slow.read_u8();
    tokio::select! {
        _ = greeted => {}
        _ = waits => panic!("the slow one is closed before the quick one was heard"),
    }
    is_closed(slow).await;
}
