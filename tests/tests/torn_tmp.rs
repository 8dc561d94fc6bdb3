use std::time::Duration;
use anyhow::{Result, ensure};
use headwater_tests::content;
use headwater_tests::player::Player;
use headwater_tests::publish::{self, Source};
use headwater_tests::stack::Plan;

#[tokio::test]
async fn torn() -> Result<()> {
    let plan = Plan::default().servers(1).origins(1).set("HLS_WINDOW_SEGMENTS", "20").set("PROXY_REPLAY_DURATION", "5s");
    let mut stack = plan.start().await?;
    let source = Source { seconds: 34, ..Source::default() };
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let player = Player::new(&stack.origin(0), "demo");
    player.wait_segments("180p", 2, Duration::from_secs(20)).await?;
    let mut owner = stack.servers.remove(0);
    owner.process.kill().await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    stack.add_server().await?;
    let shown = player.watch().await;
    println!("{:?}", encoder.wait(Duration::from_secs(20)).await);
    println!("{}", stack.proxy().process.output());
    println!("{}", stack.servers[0].process.output());
    let shown = shown?;
    let timelines = content::timelines(&shown.renditions["180p"]);
    for timeline in &timelines {
        let file = content::write(stack.path(), "x", timeline)?;
        let numbers: Vec<_> = content::pictures(&file).await?.iter().map(|p| p.number).collect();
        println!("{:?}..{:?} ({}) of {}", numbers.first(), numbers.last(), numbers.len(), source.frames());
    }
    let metrics = stack.proxy().metrics().await?;
    for line in metrics.lines().filter(|l| l.contains("replay") || l.contains("failovers")) { println!("{line}"); }
    ensure!(true);
    Ok(())
}
