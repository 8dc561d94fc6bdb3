//! Certificates as clients meet them, made by an authority of the test.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use headwater_media::UnixMillis;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::{Certificate, Contents};
use super::testing::Authority;
use super::*;
use crate::config::CertificateFiles;
use crate::listener::{Connection, Limits, Listener};

fn fault(files: &CertificateFiles) -> String {
    let faults = check_files(std::slice::from_ref(files));
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn file(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn each_fault_of_a_certificate_names_the_file_and_the_cure() {
    let authority = Authority::new();
    let good = authority.write("good", "live.test", 4000);
    assert_eq!(fault(&good), "");
    let other = authority.write("other", "live.test", 4000);
    let expired = authority.write("expired", "live.test", 2021);
    assert!(
        fault(&expired).ends_with("expired.pem has expired on 2021-01-01T00:00:00.000Z: renew it"),
        "{}",
        fault(&expired)
    );
    let missing = CertificateFiles { certificate: "/nowhere.pem".into(), ..good.clone() };
    assert!(fault(&missing).starts_with("/nowhere.pem cannot be read: "), "{}", fault(&missing));
    let mismatched = CertificateFiles { key: other.key.clone(), ..good.clone() };
    let text =
        format!("{} is not the key of the certificate in {}", file(&other.key), file(&good.certificate));
    assert_eq!(fault(&mismatched), text);
    let swapped = CertificateFiles { certificate: good.key.clone(), key: good.certificate.clone() };
    assert!(fault(&swapped).contains("holds no certificate in PEM"), "{}", fault(&swapped));
    let no_key = CertificateFiles { key: good.certificate.clone(), ..good.clone() };
    assert!(fault(&no_key).contains("holds no private key in PEM"), "{}", fault(&no_key));
    std::fs::write(&other.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    assert!(fault(&other).contains("other.pem is malformed"), "{}", fault(&other));
}

#[test]
fn the_time_of_expiry_is_the_certificates() {
    let authority = Authority::new();
    let files = authority.write("good", "live.test", 2100);
    let certificate = Certificate::parse(&files, &Contents::read(&files).unwrap()).unwrap();
    assert_eq!(certificate.not_after, UnixMillis(4_102_444_800_000));
}

/// Listener with these certificates, which greets every connection.
async fn serve(certificates: &Certificates) -> SocketAddr {
    let address = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(address, "proxy.rtmps_listen", Limits::total(9)).await.unwrap();
    let mut listener = listener.encrypt(certificates.server_config(&[]).unwrap());
    let address = listener.local_addr();
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let Some(Connection { mut stream, .. }) = accepted.open().await else { return };
                let (mut read, mut write) = tokio::io::split(&mut stream);
                tokio::io::copy(&mut read, &mut write).await.unwrap();
                stream.shutdown().await.unwrap();
            });
        }
    });
    address
}

async fn connect(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
    server: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(server.to_owned()).unwrap();
    let mut stream = TlsConnector::from(client.clone()).connect(name, tcp).await?;
    echo(&mut stream).await;
    Ok(stream)
}

async fn echo(stream: &mut TlsStream<TcpStream>) {
    let mut answer = [0; 4];
    stream.write_all(b"ping").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");
}

fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(files: &CertificateFiles) -> Vec<u8> {
    let certificate = Certificate::parse(files, &Contents::read(files).unwrap()).unwrap();
    certificate.certified.cert[0].to_vec()
}

#[tokio::test]
async fn a_client_is_shown_the_certificate_of_the_server_that_it_asks_for() {
    let authority = Authority::new();
    let first = authority.write("first", "live.test", 4000);
    let second = authority.write("second", "*.second.test", 4000);
    let address = serve(&Certificates::load(&[first.clone(), second.clone()]).unwrap()).await;
    for versions in [[&rustls::version::TLS12], [&rustls::version::TLS13]] {
        let client = Arc::new(authority.client(&versions));
        assert_eq!(shown(&connect(address, &client, "live.test").await.unwrap()), der(&first));
        assert_eq!(shown(&connect(address, &client, "a.second.test").await.unwrap()), der(&second));
        let unknown = connect(address, &client, "other.test").await.unwrap_err().to_string();
        assert!(unknown.contains("certificate"), "{unknown}");
    }
}

#[tokio::test]
async fn a_client_without_a_name_is_shown_the_first_certificate() {
    let authority = Authority::new();
    let by_address = authority.write("address", "127.0.0.1", 4000);
    let other = authority.write("other", "live.test", 4000);
    let address = serve(&Certificates::load(&[by_address.clone(), other]).unwrap()).await;
    let client = Arc::new(authority.client(rustls::ALL_VERSIONS));
    assert_eq!(shown(&connect(address, &client, "127.0.0.1").await.unwrap()), der(&by_address));
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session() {
    let authority = Authority::new();
    let files = authority.write("live", "live.test", 4000);
    let address = serve(&Certificates::load(&[files]).unwrap()).await;
    for versions in [[&rustls::version::TLS12], [&rustls::version::TLS13]] {
        let client = Arc::new(authority.client(&versions));
        let kind = |stream: &TlsStream<TcpStream>| stream.get_ref().1.handshake_kind();
        let first = connect(address, &client, "live.test").await.unwrap();
        assert_eq!(kind(&first), Some(HandshakeKind::Full));
        let second = connect(address, &client, "live.test").await.unwrap();
        assert_eq!(kind(&second), Some(HandshakeKind::Resumed));
    }
}

#[tokio::test]
async fn a_protocol_that_is_named_by_alpn_changes_nothing() {
    let authority = Authority::new();
    let files = authority.write("live", "live.test", 4000);
    let address = serve(&Certificates::load(&[files]).unwrap()).await;
    let mut client = authority.client(rustls::ALL_VERSIONS);
    client.alpn_protocols = vec![b"rtmp".to_vec()];
    connect(address, &Arc::new(client), "live.test").await.unwrap();
}

#[tokio::test]
async fn a_client_that_closes_without_a_word_has_ended() {
    let authority = Authority::new();
    let files = authority.write("live", "live.test", 4000);
    let certificates = Certificates::load(&[files]).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(listen, "proxy.rtmps_listen", Limits::total(9)).await.unwrap();
    let mut listener = listener.encrypt(certificates.server_config(&[]).unwrap());
    let client = Arc::new(authority.client(rustls::ALL_VERSIONS));
    let address = listener.local_addr();
    let connecting = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("live.test").unwrap();
        let mut stream = TlsConnector::from(client).connect(name, tcp).await.unwrap();
        stream.write_all(b"last").await.unwrap();
        stream.flush().await.unwrap();
        // Closes TCP only.
        drop(stream);
    };
    let opening = async { listener.accept().await.unwrap().open().await.unwrap() };
    let (mut opened, ()) = tokio::join!(opening, connecting);
    let mut said = Vec::new();
    opened.stream.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"last");
}

/// Waits until new clients are shown this certificate. One that comes back would resume its session.
async fn wait_until_shown(address: SocketAddr, authority: &Authority, expected: &[u8]) {
    let new_client = || Arc::new(authority.client(rustls::ALL_VERSIONS));
    let waiting = async {
        while shown(&connect(address, &new_client(), "live.test").await.unwrap()) != expected {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
        .await
        .expect("the certificate is replaced");
}

#[tokio::test]
async fn a_certificate_is_replaced_under_open_connections() {
    let authority = Authority::new();
    let files = authority.write("live", "live.test", 4000);
    let before = der(&files);
    let certificates = Certificates::load(std::slice::from_ref(&files)).unwrap();
    let address = serve(&certificates).await;
    let client = Arc::new(authority.client(rustls::ALL_VERSIONS));
    let mut open = connect(address, &client, "live.test").await.unwrap();
    let watching = tokio::spawn(certificates.keep_current());
    let next = authority.write("next", "live.test", 3999);
    std::fs::copy(&next.key, &files.key).unwrap();
    std::fs::copy(&next.certificate, &files.certificate).unwrap();
    wait_until_shown(address, &authority, &der(&next)).await;
    echo(&mut open).await;
    assert_eq!(shown(&open), before);
    watching.abort();
}
