//! Publishers by RTMPS, and publishers behind a load balancer: ffmpeg, which checks the certificate, and HAProxy.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_runtime::config::CertificateFiles;
use headwater_runtime::tls::testing::Authority;
use headwater_tests::broadcasts;
use headwater_tests::player::Player;
use headwater_tests::process::{Process, binary};
use headwater_tests::publish;
use headwater_tests::stack::{Plan, Stack, free_port};
use headwater_tests::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Time for a program to start, or for a change to be noticed.
const SOON: Duration = Duration::from_secs(20);
/// Length of the broadcasts, in seconds.
const SECONDS: u32 = 12;

fn certificates(files: &CertificateFiles) -> String {
    format!("{}:{}", files.certificate.display(), files.key.display())
}

/// Waits until the metrics of the first proxy have this line.
async fn wait_for_metric(stack: &Stack, line: &str) -> Result<()> {
    wait::until(line, SOON, || async {
        let metrics = stack.proxies[0].metrics().await.ok()?;
        metrics.lines().any(|metric| metric == line).then_some(())
    })
    .await
}

#[tokio::test]
async fn ffmpeg_by_rtmps_is_shown_frame_by_frame_while_the_certificate_is_replaced() -> Result<()> {
    let authority = Authority::new();
    let files = authority.write("live", "localhost", 4000);
    let port = free_port()?;
    let plan = Plan::tiny().set("PROXY_RTMPS_LISTEN", &format!("127.0.0.1:{port}"));
    let stack = plan.set("PROXY_TLS_CERTIFICATES", &certificates(&files)).start().await?;
    let source = broadcasts::tiny(SECONDS);
    let file = source.make(stack.path(), "source").await?;
    let url = |stream: &str| format!("rtmps://localhost:{port}/live/{stream}");
    let publish = |stream: &str, trusted: &Authority| {
        publish::ffmpeg_encrypted(stack.path(), stream, &file, &url(stream), &trusted.file())
    };

    let _encoder = publish("demo", &authority)?;
    let player = Player::new(&stack.origin(0), "demo");
    player.wait_live(SOON).await?;
    let next_authority = Authority::new();
    let next = next_authority.write("next", "localhost", 4000);
    std::fs::copy(&next.key, &files.key)?;
    std::fs::copy(&next.certificate, &files.certificate)?;
    wait_for_metric(&stack, "headwater_tls_reloads_total{result=\"replaced\"} 1").await?;

    let mut wary = publish("wary", &authority)?;
    ensure!(!wary.wait(SOON).await?.success() && wary.output().contains("verification"), "{}", wary.output());
    let _other = publish("other", &next_authority)?;
    Player::new(&stack.origin(0), "other").wait_live(SOON).await?;
    let shown = player.watch().await?;
    broadcasts::shown_in_one_go(&stack, &shown, source.frames()).await
}

#[tokio::test]
async fn a_proxy_with_an_expired_certificate_exits_with_the_settings_name() -> Result<()> {
    let authority = Authority::new();
    let files = authority.write("live", "localhost", 2021);
    let environment = [
        ("HEADWATER_REGISTRY_URL", "redis://127.0.0.1:1"),
        ("HEADWATER_PROXY_RTMPS_LISTEN", "127.0.0.1:0"),
        ("HEADWATER_PROXY_TLS_CERTIFICATES", &certificates(&files)),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let proxy = binary("headwater-proxy")?;
    let none: [&str; 0] = [];
    let mut process = Process::start(authority.directory(), "proxy", &proxy, none, &environment)?;
    let status = process.wait(SOON).await?;
    let said = process.output();
    ensure!(status.code() == Some(2), "{status}: {said}");
    let start = "HEADWATER_PROXY_TLS_CERTIFICATES: proxy.tls_certificates: the certificate in ";
    ensure!(said.starts_with(start) && said.contains("has expired on 2021-01-01"), "{said}");
    Ok(())
}

/// HAProxy in front of an RTMP port, with its health checks, until it is dropped.
async fn haproxy(directory: &Path, proxy: &str) -> Result<(Process, SocketAddr)> {
    let address: SocketAddr = format!("127.0.0.1:{}", free_port()?).parse()?;
    let configuration = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         listen rtmp\n bind {address}\n server proxy {proxy} send-proxy-v2 check inter 200ms\n"
    );
    let file = directory.join("haproxy.cfg");
    std::fs::write(&file, configuration)?;
    let arguments = [Path::new("-db"), Path::new("-f"), &file];
    let process = Process::start(directory, "haproxy", Path::new("haproxy"), arguments, &[])?;
    wait::until("HAProxy to listen", SOON, || async { TcpStream::connect(address).await.ok().map(drop) })
        .await?;
    Ok((process, address))
}

/// Connection of the client at this address, which has said the first byte of RTMP.
async fn connect_from(client: &str, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(client.parse()?, 0))?;
    let mut stream = socket.connect(to).await?;
    stream.write_all(&[3]).await?;
    Ok(stream)
}

#[tokio::test]
async fn publishers_behind_haproxy_are_counted_by_their_own_addresses() -> Result<()> {
    let plan = Plan::tiny().set("PROXY_TRUSTED_PEERS", "127.0.0.0/8");
    let plan = plan.set("PROXY_MAX_CONNECTIONS_PER_ADDRESS", "1").set("PROXY_PUBLISH_DEADLINE", "60s");
    let stack = plan.start().await?;
    let (_haproxy, address) = haproxy(stack.path(), &stack.proxies[0].address()).await?;
    let source = broadcasts::tiny(SECONDS);
    let file = source.make(stack.path(), "source").await?;
    let mut others = Vec::new();
    for client in 2..=9 {
        others.push(connect_from(&format!("127.0.0.{client}"), address).await?);
    }
    wait_for_metric(&stack, "headwater_proxy_connections 8").await?;
    let mut second = connect_from("127.0.0.2", address).await?;
    let closed = tokio::time::timeout(SOON, second.read_to_end(&mut Vec::new())).await;
    // A reset is as good as an end.
    let _ = closed.context("a second connection of one client is kept")?;
    let _encoder = publish::ffmpeg(stack.path(), &file, &format!("rtmp://{address}/live/demo"))?;
    let shown = Player::new(&stack.origin(0), "demo").watch().await?;
    broadcasts::shown_in_one_go(&stack, &shown, source.frames()).await?;
    let metrics = stack.proxies[0].metrics().await?;
    let refused: Vec<_> =
        metrics.lines().filter(|line| line.starts_with("headwater_connections_refused_total")).collect();
    let expected = "headwater_connections_refused_total{listener=\"proxy.rtmp_listen\",reason=\"address\"} 1";
    ensure!(refused == [expected], "health checks are no refusals: {refused:?}");
    Ok(())
}
