//! Encoders that come by RTMPS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_runtime::config::CertificateFiles;
use headwater_runtime::tls::testing::Authority;
use headwater_wire::v2::publish_request::Message as Request;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Call, Encoder, TestProxy, TestServer, media, within};

const SERVER: &str = "live.test";

struct Encrypted {
    proxy: TestProxy,
    address: SocketAddr,
    authority: Authority,
    files: CertificateFiles,
}

impl Encrypted {
    async fn start() -> Self {
        let authority = Authority::new();
        let files = authority.write("live", SERVER, 4000);
        let proxy = TestProxy::with(|config| {
            config.proxy.rtmps_listen = Some("127.0.0.1:0".parse().unwrap());
            config.proxy.tls_certificates = vec![files.clone()];
            config.proxy.trusted_peers = vec!["127.0.0.2".parse().unwrap()];
            config.proxy.publish_deadline = Duration::from_secs(2);
        })
        .await;
        let address = proxy.encrypted_address.unwrap();
        Self { proxy, address, authority, files }
    }

    /// TLS of a client that has not been here before, and so resumes no session.
    async fn encrypt(&self, socket: TcpStream) -> TlsStream<TcpStream> {
        let client = Arc::new(self.authority.client(rustls::ALL_VERSIONS));
        let server = ServerName::try_from(SERVER).unwrap();
        TlsConnector::from(client).connect(server, socket).await.unwrap()
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        self.encrypt(TcpStream::connect(self.address).await.unwrap()).await
    }

    /// Encoder that is on air, and its call.
    async fn publish(
        &self,
        server: &mut TestServer,
        socket: TlsStream<TcpStream>,
    ) -> (Encoder<TlsStream<TcpStream>>, Call) {
        let mut encoder = Encoder::greet(socket, Encoder::config(self.address, "demo")).await;
        encoder.ask().await;
        let call = server.call().await;
        call.accept(0).await;
        encoder.accepted().await;
        (encoder, call)
    }
}

#[tokio::test]
async fn media_arrives_by_rtmps_and_the_encoders_end_is_heard() {
    let test = Encrypted::start().await;
    let mut server = TestServer::start(&test.proxy.registry, "a", 0).await;
    let (mut encoder, call) = test.publish(&mut server, test.connect().await).await;
    encoder.headers().await;
    for nth in 0..400 {
        encoder.video(nth * 33, media::keyframe(&[7; 4_096])).await;
    }
    // Without a word in RTMP or TLS.
    drop(encoder);
    let (messages, reason) = call.until_it_ends().await;
    assert_eq!((messages.len(), reason.as_str()), (401, "the publisher's connection ended"));
    let Request::Tag(last) = &messages[400] else { panic!("no tag") };
    assert_eq!((last.time_us, last.payload.len()), (399 * 33_000, 4_096));
}

#[tokio::test]
async fn a_certificate_is_replaced_under_a_publisher() {
    let test = Encrypted::start().await;
    let mut server = TestServer::start(&test.proxy.registry, "a", 0).await;
    let (mut encoder, mut call) = test.publish(&mut server, test.connect().await).await;
    let before = test.connect().await.get_ref().1.peer_certificates().unwrap().to_vec();
    let next = test.authority.write("next", SERVER, 3999);
    std::fs::copy(&next.key, &test.files.key).unwrap();
    std::fs::copy(&next.certificate, &test.files.certificate).unwrap();
    within("the certificate is replaced", async {
        while test.connect().await.get_ref().1.peer_certificates().unwrap() == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    encoder.headers().await;
    encoder.video(0, media::keyframe(b"first")).await;
    assert!(matches!(call.message().await.unwrap(), Some(Request::Period(_))));
}

#[tokio::test]
async fn a_slow_handshake_keeps_nobody_waiting_and_ends_by_the_publish_deadline() {
    let test = Encrypted::start().await;
    let mut slow = TcpStream::connect(test.address).await.unwrap();
    // The beginning of a ClientHello's record (RFC 8446 §5.1).
    slow.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    let mut server = TestServer::start(&test.proxy.registry, "a", 0).await;
    let mut rest = Vec::new();
    let closed = slow.read_to_end(&mut rest);
    tokio::pin!(closed);
    tokio::select! {
        _ = test.publish(&mut server, test.connect().await) => {}
        _ = &mut closed => panic!("the slow one is closed before the quick one was heard"),
    }
    // A reset is as good as an end.
    let _ = within("the slow one is closed", closed).await;
}

#[tokio::test]
async fn strangers_and_clients_that_do_not_trust_the_certificate_disturb_nobody() {
    let test = Encrypted::start().await;
    for greeting in
        [&b"\x03\0\0\0\0"[..], b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 192.0.2.1 10.0.0.1 4 1936\r\n"]
    {
        let mut socket = TcpStream::connect(test.address).await.unwrap();
        socket.write_all(greeting).await.unwrap();
        let _ = within("the stranger is sent away", socket.read_to_end(&mut Vec::new())).await;
    }
    let wary = Arc::new(Authority::new().client(rustls::ALL_VERSIONS));
    let socket = TcpStream::connect(test.address).await.unwrap();
    let refused = TlsConnector::from(wary).connect(ServerName::try_from(SERVER).unwrap(), socket).await;
    assert!(refused.unwrap_err().to_string().contains("invalid peer certificate"));
    let mut server = TestServer::start(&test.proxy.registry, "a", 0).await;
    test.publish(&mut server, test.connect().await).await;
}

#[tokio::test]
async fn a_load_balancer_puts_its_header_before_the_handshake() {
    let test = Encrypted::start().await;
    let mut server = TestServer::start(&test.proxy.registry, "a", 0).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut socket = socket.connect(test.address).await.unwrap();
    socket.write_all(b"PROXY TCP6 2001:db8::7 ::1 40000 1936\r\n").await.unwrap();
    let socket = test.encrypt(socket).await;
    test.publish(&mut server, socket).await;
}
