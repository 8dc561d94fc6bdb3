//! A stream that costs its worker each time: it is tried again in place, then refused with a reason, and it is nobody
//! else's matter.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::player::{Player, Shown};
use headwater_tests::process::Process;
use headwater_tests::publish;
use headwater_tests::stack::{Plan, Stack};
use headwater_tests::{broadcasts, wait, workers};

const LIVE: Duration = Duration::from_secs(20);
/// How long an encoder may need to be refused: four hung workers are waited for.
const REFUSED: Duration = Duration::from_secs(40);
const HEALTHY: [&str; 3] = ["one", "two", "three"];
/// How often the worker may fail: once, and `server.worker_restarts` times again.
const FAILURES: usize = 4;

#[tokio::test]
async fn a_stream_that_crashes_its_worker_is_refused_and_disturbs_nobody() -> Result<()> {
    a_stream_that_costs_its_worker("KILL", 18).await
}

#[tokio::test]
async fn a_stream_that_hangs_its_worker_is_refused_and_disturbs_nobody() -> Result<()> {
    a_stream_that_costs_its_worker("STOP", 30).await
}

/// `signal` is what becomes of each worker of the stream as soon as it has media.
async fn a_stream_that_costs_its_worker(signal: &str, seconds: u32) -> Result<()> {
    let plan = Plan::tiny().proxies(2).set("HLS_WINDOW_SEGMENTS", "30").set("SERVER_CAPACITY", "8");
    let plan = plan.set("SERVER_WORKER_STALL_TIMEOUT", "2s").set("SERVER_WORKER_STOP_TIMEOUT", "2s");
    let mut stack = plan.start().await?;
    let source = broadcasts::tiny(seconds);
    let file = source.make(stack.path(), "source").await?;
    let mut encoders = Vec::new();
    for name in HEALTHY {
        encoders.push(publish::ffmpeg_named(stack.path(), name, &file, &stack.publish_url(name))?);
    }
    let players = HEALTHY.map(|stream| Player::new(&stack.origin(0), stream));
    let poisoned = async {
        for player in &players {
            player.wait_live(LIVE).await?;
        }
        let healthy = workers::of(&stack.servers[0])?;
        ensure!(healthy.len() == HEALTHY.len(), "workers {healthy:?}");
        let encoder = publish::ffmpeg_named(stack.path(), "poison", &file, &stack.publish_url("poison"))?;
        // It could go there.
        wait_calls(&stack, 1).await?;
        stack.add_server().await?;
        refused(&stack, encoder, &healthy, signal).await?;
        for proxy in [0, 1] {
            refused_at_once(&stack, proxy, &file, &healthy).await?;
        }
        anyhow::Ok(healthy)
    };
    let [one, two, three] = &players;
    let (one, two, three, healthy) = tokio::try_join!(one.watch(), two.watch(), three.watch(), poisoned)?;
    for mut encoder in encoders {
        ensure!(encoder.wait(LIVE).await?.success(), "an encoder noticed: {}", encoder.output());
    }
    undisturbed(&stack, &[one, two, three], source.frames()).await.with_context(|| format!("{healthy:?}"))
}

/// Lets something happen to each worker of the poisoned stream, until its encoder has to leave.
async fn refused(stack: &Stack, mut encoder: Process, healthy: &BTreeSet<u32>, signal: &str) -> Result<()> {
    let mut lost = BTreeSet::new();
    for failure in 1..=FAILURES {
        wait_calls(stack, failure).await.with_context(|| encoder.output())?;
        let worker = wait::until("the stream's next worker", REFUSED, || async {
            let all = workers::of(&stack.servers[0]).ok()?;
            all.into_iter().find(|id| !healthy.contains(id) && !lost.contains(id))
        });
        let worker = worker.await?;
        workers::signal(worker, signal).await?;
        lost.insert(worker);
    }
    let status = encoder.wait(REFUSED).await?;
    ensure!(!status.success(), "the encoder was not refused: {}", encoder.output());
    is_told_why(&encoder)
}

/// Waits until the stream's publisher was taken so often.
async fn wait_calls(stack: &Stack, calls: usize) -> Result<()> {
    let taken = |line: &&str| {
        line.contains("stream=poison")
            && (line.contains(": publishing") || line.contains("gone on with another call"))
    };
    let are_taken = || async {
        let said = stack.proxies[0].process.output();
        (said.lines().filter(taken).count() >= calls).then_some(())
    };
    wait::until(&format!("publish call {calls}"), REFUSED, are_taken).await
}

/// The encoder comes again: no worker is started for it, here or elsewhere.
async fn refused_at_once(
    stack: &Stack,
    proxy: usize,
    file: &std::path::Path,
    healthy: &BTreeSet<u32>,
) -> Result<()> {
    let name = format!("again-{proxy}");
    let url = stack.publish_url_at(proxy, "poison");
    let mut again = publish::ffmpeg_named(stack.path(), &name, file, &url)?;
    ensure!(!again.wait(LIVE).await?.success(), "it was taken again: {}", again.output());
    is_told_why(&again)?;
    ensure!(workers::of(&stack.servers[0])? == *healthy, "the healthy ones have other workers");
    ensure!(workers::of(&stack.servers[1])?.is_empty(), "it has walked to the other server");
    Ok(())
}

fn is_told_why(encoder: &Process) -> Result<()> {
    let words = encoder.output();
    ensure!(words.contains("its transcoder failed 4 times"), "the encoder was told: {words}");
    Ok(())
}

/// The other broadcasts have lost nothing, and the other server never had one.
async fn undisturbed(stack: &Stack, shown: &[Shown], sent: usize) -> Result<()> {
    for shown in shown {
        broadcasts::shown_in_one_go(stack, shown, sent).await?;
    }
    let said = stack.servers[1].process.output();
    ensure!(!said.contains("on air"), "the stream came to the other server: {said}");
    Ok(())
}
