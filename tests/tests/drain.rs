//! Servers and proxies that are told to stop: every broadcast goes on elsewhere, and nobody sees it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts::{self, tiny};
use headwater_tests::content;
use headwater_tests::encoder::{self, First};
use headwater_tests::feed::Feed;
use headwater_tests::player::{Player, Shown};
use headwater_tests::process::Process;
use headwater_tests::publish;
use headwater_tests::stack::{Plan, Service, Stack, channels};
use headwater_tests::wait;
use headwater_wire::v2::DrainRequest;
use headwater_wire::v2::operator_client::OperatorClient;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

const LIVE: Duration = Duration::from_secs(20);
/// How long a server may take to stop that has three broadcasts. Fargate kills after 120 s.
const DRAINED: Duration = Duration::from_secs(30);
const STREAMS: [&str; 3] = ["one", "two", "three"];
/// How long a proxy lets its encoders stay. Longer than two segments take.
const DEADLINE: Duration = Duration::from_secs(6);
/// Time on a slow machine for steps that wait for nobody.
const AT_ONCE: Duration = Duration::from_secs(3);
/// Long enough for all three to be on the air, and for two segments after they have moved.
const SECONDS: u32 = 16;

/// Three broadcasts on one server, and another server that is there since.
struct Evening {
    stack: Stack,
    full: Service,
    encoders: Vec<Process>,
}

impl Evening {
    async fn start() -> Result<Self> {
        let mut stack = Plan::tiny().origins(2).set("HLS_WINDOW_SEGMENTS", "20").start().await?;
        let file = tiny(SECONDS).make(stack.path(), "source").await?;
        let mut encoders = Vec::new();
        for stream in STREAMS {
            encoders.push(publish::ffmpeg_named(stack.path(), stream, &file, &stack.publish_url(stream))?);
            // One after the other, so that their segments end at different times.
            Player::new(&stack.origin(0), stream).wait_live(LIVE).await?;
        }
        stack.add_server().await?;
        let full = stack.servers.remove(0);
        Ok(Self { stack, full, encoders })
    }

    /// Has the full server stop by `how`, and checks everything that anybody can see of it.
    async fn drain_by(mut self, how: impl AsyncFnOnce(&Service) -> Result<()>) -> Result<()> {
        let players: Vec<_> = STREAMS
            .iter()
            .flat_map(|stream| {
                [0, 1].map(|origin| (*stream, Player::new(&self.stack.origin(origin), stream)))
            })
            .collect();
        let drained = async {
            for (_, player) in &players {
                player.wait_segments("90p", 2, LIVE).await?;
            }
            let feeds = follow_all(&self.full.address()).await?;
            how(&self.full).await?;
            let status = self.full.process.wait(DRAINED).await?;
            ensure!(status.success(), "{status}: {}", self.full.process.output());
            check_feeds(feeds, &self.stack.servers[0].address()).await
        };
        let watched = watch_all(&players);
        let (shown, ()) = tokio::try_join!(watched, drained)?;
        self.check(shown).await
    }

    async fn check(mut self, shown: Vec<(&str, Shown)>) -> Result<()> {
        for encoder in &mut self.encoders {
            ensure!(encoder.wait(LIVE).await?.success(), "an encoder noticed: {}", encoder.output());
        }
        let metrics = self.stack.proxy().metrics().await?;
        ensure!(metrics.contains("headwater_proxy_failovers_total 3\n"), "{metrics}");
        for pair in shown.chunks(2) {
            let [(stream, first), (_, second)] = pair else { anyhow::bail!("each stream has two players") };
            broadcasts::same(first, second).with_context(|| format!("stream {stream}"))?;
            let whole = broadcasts::shown_in_one_go(&self.stack, first, tiny(SECONDS).frames()).await;
            whole.with_context(|| format!("stream {stream}"))?;
        }
        Ok(())
    }
}

async fn watch_all<'a>(players: &[(&'a str, Player)]) -> Result<Vec<(&'a str, Shown)>> {
    let watches = players.iter().map(|(stream, player)| async move {
        anyhow::Ok((*stream, player.watch().await.with_context(|| format!("stream {stream}"))?))
    });
    futures::future::try_join_all(watches).await
}

type Following = (&'static str, tokio::task::JoinHandle<Result<Feed>>);

/// Follows what a server itself shows of each stream, to its end.
async fn follow_all(server: &str) -> Result<Vec<Following>> {
    let mut feeds = Vec::new();
    for stream in STREAMS {
        feeds.push((stream, tokio::spawn(Feed::open(server, stream).await?.follow())));
    }
    Ok(feeds)
}

/// Each stream was handed over between two segments: the old server has begun none that it has not ended, in any
/// rendition, and the new one begins with the next.
async fn check_feeds(feeds: Vec<Following>, new: &str) -> Result<()> {
    for (stream, feed) in feeds {
        let old = feed.await??;
        let last = old.last_whole().with_context(|| format!("stream {stream} at the old server"))?;
        ensure!(!old.ended, "the old server has ended {stream}");
        let new =
            Feed::open(new, stream).await.with_context(|| format!("stream {stream} at the new server"))?;
        let first = new.opening.first_sequence;
        ensure!(
            first == last + 1,
            "{stream}: the old server's last segment is {last}, the new one's first {first}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_hands_each_broadcast_over_between_two_segments() -> Result<()> {
    Evening::start().await?.drain_by(async |server| server.process.signal("TERM").await).await
}

#[tokio::test]
async fn a_server_is_drained_by_a_call() -> Result<()> {
    let drain = async |server: &Service| {
        let mut operator = OperatorClient::new(channels().to(&server.address())?);
        let answer = operator.drain(DrainRequest {}).await?.into_inner();
        let mut streams: Vec<_> =
            answer.broadcasts.iter().map(|broadcast| broadcast.stream.as_str()).collect();
        streams.sort_unstable();
        ensure!(streams == ["one", "three", "two"], "it says that it drains {streams:?}");
        Ok(())
    };
    Evening::start().await?.drain_by(drain).await
}

/// Every server is replaced, one after the other, while somebody broadcasts.
#[tokio::test]
async fn a_rolling_restart_is_seen_by_nobody() -> Result<()> {
    let plan = Plan::tiny().servers(2).origins(2).set("HLS_WINDOW_SEGMENTS", "20");
    let mut stack = plan.start().await?;
    let source = tiny(25);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let players = [0, 1].map(|origin| Player::new(&stack.origin(origin), "demo"));
    let restarted = async {
        players[0].wait_segments("90p", 2, LIVE).await?;
        let registry = stack.registry()?;
        for _ in 0..2 {
            // The one with the broadcast, so that it moves twice.
            let owner = broadcasts::owner(registry.as_ref(), "demo", LIVE).await?;
            stack.take_server(&owner.address)?.stop().await?;
            stack.add_server().await?;
        }
        encoder.must_run()?;
        anyhow::Ok(stack)
    };
    let (first, second, mut stack) = tokio::try_join!(players[0].watch(), players[1].watch(), restarted)?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    let metrics = stack.proxy().metrics().await?;
    ensure!(metrics.contains("headwater_proxy_failovers_total 2\n"), "{metrics}");
    broadcasts::shown_in_one_go(&stack, &first, source.frames()).await?;
    broadcasts::same(&first, &second)
}

/// Encoders that can't be told to connect again may stay until the deadline, and lose nothing until then. Nobody new is
/// taken.
#[tokio::test]
async fn a_proxy_that_stops_leaves_encoders_alone_until_its_deadline() -> Result<()> {
    let plan = Plan::tiny().set("PROXY_DRAIN_TIMEOUT", &format!("{}s", DEADLINE.as_secs()));
    let mut stack = plan.set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let file = tiny(40).make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let player = Player::new(&stack.origin(0), "demo");
    let stopped = async {
        player.wait_segments("90p", 2, LIVE).await?;
        let told = Instant::now();
        stack.proxy().process.signal("TERM").await?;
        refuses_everybody(&mut stack).await?;
        let shown = player.playlist("90p").await?.next().0;
        player.wait_sequence("90p", shown + 2, LIVE).await?;
        ensure!(told.elapsed() < DEADLINE, "two segments took too long for this test");
        encoder.must_run()?;
        let status = stack.proxy().process.wait(LIVE).await?;
        ensure!(status.success(), "{status}: {}", stack.proxy().process.output());
        ensure!(told.elapsed() >= DEADLINE, "the encoder was left alone for {:?} only", told.elapsed());
        ensure!(!encoder.wait(LIVE).await?.success(), "the encoder was not told");
        publish::sent(stack.path(), "ffmpeg")
    };
    let (shown, sent) = tokio::try_join!(player.watch(), stopped)?;
    let numbers = content::numbers(stack.path(), "180p", &shown.renditions["180p"]).await?;
    let [numbers] = numbers.as_slice() else { anyhow::bail!("{} timelines", numbers.len()) };
    ensure!(numbers.iter().copied().eq(0..numbers.len() as u32), "it shows {numbers:?}");
    ensure!(numbers.len() + publish::IN_HAND >= sent, "{} of {sent} were shown", numbers.len());
    Ok(())
}

/// A proxy does not wait for its deadline when its last publisher has left.
#[tokio::test]
async fn a_proxy_that_stops_ends_with_its_last_publisher() -> Result<()> {
    let mut stack = Plan::tiny().set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let source = tiny(10);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let player = Player::new(&stack.origin(0), "demo");
    let stopped = async {
        player.wait_segments("90p", 2, LIVE).await?;
        stack.proxy().process.signal("TERM").await?;
        ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
        let status = stack.proxy().process.wait(AT_ONCE).await?;
        ensure!(status.success(), "{status}: {}", stack.proxy().process.output());
        anyhow::Ok(())
    };
    let (shown, ()) = tokio::try_join!(player.watch(), stopped)?;
    broadcasts::shown_in_one_go(&stack, &shown, source.frames()).await
}

/// Encoders that said that they can (Enhanced RTMP, `capsEx`) are asked to connect again at once, and go to another proxy
/// without the loss of a picture; those that didn't stay until the deadline.
#[tokio::test]
async fn a_proxy_that_stops_asks_encoders_that_can_to_connect_again() -> Result<()> {
    let seconds = u32::try_from(DEADLINE.as_secs())?;
    let plan = Plan::tiny().proxies(2).set("PROXY_DRAIN_TIMEOUT", &format!("{seconds}s"));
    let mut stack = plan.set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let moves = tiny(SECONDS);
    let stays = tiny(40);
    let files = [moves.make(stack.path(), "moves").await?, stays.make(stack.path(), "stays").await?];
    let mut able = tokio::spawn(encoder(&stack, &files[0], First::Leaves));
    let mut unable = publish::ffmpeg(stack.path(), &files[1], &stack.publish_url("stays"))?;
    let players = ["moves", "stays"].map(|stream| Player::new(&stack.origin(0), stream));
    let stopped = async {
        for player in &players {
            player.wait_segments("90p", 2, LIVE).await?;
        }
        let told = Instant::now();
        stack.proxies[0].process.signal("TERM").await?;
        let sent = timeout(LIVE, &mut able).await???;
        let status = stack.proxies[0].process.wait(LIVE).await?;
        ensure!(status.success(), "{status}: {}", stack.proxies[0].process.output());
        ensure!(told.elapsed() >= DEADLINE, "nobody was left alone until the deadline: {:?}", told.elapsed());
        ensure!(!unable.wait(LIVE).await?.success(), "the encoder was not told");
        anyhow::Ok((sent, publish::sent(stack.path(), "ffmpeg")?))
    };
    let (moved, stayed, (sent, staying)) = tokio::try_join!(players[0].watch(), players[1].watch(), stopped)?;
    shown_across(&stack, &moved, &sent, moves.frames(), 0).await?;
    let shown = content::numbers(stack.path(), "stays", &stayed.renditions["180p"]).await?;
    let [shown] = shown.as_slice() else { anyhow::bail!("{} timelines", shown.len()) };
    ensure!(shown.iter().copied().eq(0..shown.len() as u32), "it shows {shown:?}");
    // Up to the deadline.
    ensure!(shown.len() + publish::IN_HAND >= staying, "{} of {staying} were shown", shown.len());
    ensure!(shown.len() >= (seconds * stays.frame_rate) as usize, "only {} pictures", shown.len());
    Ok(())
}

/// An encoder may connect anew while it still sends to the old proxy. Whoever comes is taken at once, and then the old
/// connection is heard no more: up to the keyframe that the new one begins with, what it sends is lost, and no more.
#[tokio::test]
async fn an_encoder_that_connects_anew_before_it_leaves_loses_one_group_at_most() -> Result<()> {
    let mut stack = Plan::tiny().proxies(2).set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let source = tiny(SECONDS);
    let file = source.make(stack.path(), "source").await?;
    let mut able = tokio::spawn(encoder(&stack, &file, First::Connects));
    let player = Player::new(&stack.origin(0), "moves");
    let stopped = async {
        player.wait_segments("90p", 2, LIVE).await?;
        stack.proxies[0].process.signal("TERM").await?;
        let sent = timeout(LIVE, &mut able).await???;
        let status = stack.proxies[0].process.wait(AT_ONCE).await?;
        ensure!(status.success(), "{status}: {}", stack.proxies[0].process.output());
        anyhow::Ok(sent)
    };
    let (shown, sent) = tokio::try_join!(player.watch(), stopped)?;
    let group = source.keyframe_interval;
    shown_across(&stack, &shown, &sent, source.frames(), group).await
}

/// Publishes to both proxies, the second one when the first asks for it.
fn encoder(
    stack: &Stack,
    file: &Path,
    first: First,
) -> impl Future<Output = Result<Vec<usize>>> + Send + use<> {
    let proxies: Vec<_> = stack.proxies.iter().map(Service::address).collect();
    let file = file.to_owned();
    async move { encoder::publish(&file, &proxies, "moves", first).await }
}

/// Everything that the two proxies were sent was shown once, in two timelines with the change between them, but for this
/// many of the last pictures that the first one was sent.
async fn shown_across(stack: &Stack, shown: &Shown, sent: &[usize], all: usize, lost: u32) -> Result<()> {
    let &[before, after] = sent else {
        anyhow::bail!("it was asked to connect again {} times", sent.len() - 1)
    };
    ensure!(before + after == all, "it has sent {before} and {after} of {all}");
    for name in broadcasts::TINY_RENDITIONS {
        let numbers = content::numbers(stack.path(), name, &shown.renditions[name]).await?;
        let [first, second] = numbers.as_slice() else { anyhow::bail!("{} timelines", numbers.len()) };
        let before = before as u32;
        let all = all as u32;
        let count = first.len() as u32;
        ensure!(first.iter().copied().eq(0..count), "{name} shows {first:?} first");
        ensure!((before - lost..=before).contains(&count), "{name} shows {count} of {before} first");
        ensure!(
            second.iter().copied().eq(before..all),
            "{name} shows {second:?} from {before} to {all} then"
        );
    }
    Ok(())
}

/// Waits until the proxy takes no connection any more.
async fn refuses_everybody(stack: &mut Stack) -> Result<()> {
    let address = stack.proxy().address();
    let refused = || async { TcpStream::connect(&address).await.is_err().then_some(()) };
    wait::until("the proxy to take no connection", AT_ONCE, refused).await
}
