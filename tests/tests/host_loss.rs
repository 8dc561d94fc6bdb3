//! The host of a server is unplugged in the middle of a broadcast: no packet says so. Those who talk to it find out, another
//! server takes over, and nobody sees it. When the host is back, its server finds that it has lost the stream.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::feed::Feed;
use headwater_tests::network::{Host, isolated};
use headwater_tests::player::Player;
use headwater_tests::publish;
use headwater_tests::relay::Relay;
use headwater_tests::stack::{Plan, Service, Stack};
use headwater_tests::{broadcasts, wait};

const LIVE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_server_whose_host_is_unplugged_is_replaced_and_fenced() -> Result<()> {
    isolated("a_server_whose_host_is_unplugged_is_replaced_and_fenced", unplug).await
}

async fn unplug() -> Result<()> {
    let mut stack = Plan::tiny().servers(0).origins(2).set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let relay = Relay::start(stack.redis.address()).await?;
    let hosts = hosts(&mut stack, relay.port()).await?;
    let source = broadcasts::tiny(18);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let players = [0, 1].map(|origin| Player::new(&stack.origin(origin), "demo"));
    let happens = async {
        // Both origins show the broadcast by then.
        for player in &players {
            player.wait_segments("180p", 2, LIVE).await?;
        }
        let owner = broadcasts::owner(stack.registry()?.as_ref(), "demo", LIVE).await?;
        let lost = stack.servers.iter().position(|server| server.address() == owner.address);
        let lost = lost.context("a server of the stack has the broadcast")?;
        hosts[lost].unplug().await?;
        taken_over(&stack, 1 - lost).await?;
        hosts[lost].plug().await?;
        fenced(&stack.servers[lost]).await
    };
    let (first, second, ()) = tokio::try_join!(players[0].watch(), players[1].watch(), happens)?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    broadcasts::same_bytes(&first, &second)?;
    for shown in [&first, &second] {
        broadcasts::shown_in_one_go(&stack, shown, source.frames()).await?;
    }
    let metrics = stack.proxy().metrics().await?;
    ensure!(metrics.contains("headwater_proxy_failovers_total 1\n"), "{metrics}");
    ensure!(metrics.contains("headwater_proxy_failover_seconds_count 1\n"), "{metrics}");
    Ok(())
}

/// Two hosts with a server each.
async fn hosts(stack: &mut Stack, redis_port: u16) -> Result<[Host; 2]> {
    let hosts = [Host::new(stack.path(), 1).await?, Host::new(stack.path(), 2).await?];
    for host in &hosts {
        stack.add_server_at(&host.place(redis_port)?).await?;
    }
    Ok(hosts)
}

/// Waits until the proxy has moved its publisher to this server, while the other one's host is unplugged.
async fn taken_over(stack: &Stack, server: usize) -> Result<()> {
    let is_moved = async || -> Result<bool> {
        let moved = stack.proxies[0].metrics().await?.contains("headwater_proxy_failovers_total 1\n");
        Ok(moved && stack.servers[server].metrics().await?.contains("headwater_server_broadcasts 1\n"))
    };
    wait::until("the proxy to move its publisher", LIVE, || async {
        is_moved().await.ok().filter(|moved| *moved).map(drop)
    })
    .await
}

/// Waits until the server knows that it has lost the stream, and shows nothing of it any more.
async fn fenced(server: &Service) -> Result<()> {
    let is_told = || async { server.process.output().contains("fenced").then_some(()) };
    wait::until("the late server to find itself fenced", LIVE, is_told).await?;
    let is_silent = || async { Feed::open(&server.address(), "demo").await.is_err().then_some(()) };
    wait::until("the late server to show nothing", LIVE, is_silent).await
}
