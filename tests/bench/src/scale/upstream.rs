//! Requests of an origin to a server, with few viewers and with many.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Stack;

/// Until all viewers have begun.
const BEGIN: Duration = Duration::from_secs(3);

/// The table, one row for each number of viewers of the one stream.
pub(super) async fn measure(stack: &Stack, viewers: &[u32], window: Duration) -> Result<String> {
    let mut text = String::from(
        "\n![What one stream costs: flat lines](docs/benchmarks/scale.svg)\n\nViewers of one stream (`headwater bench view`) \
         cost its server nothing: the origin has one `Watch` call open. Bytes are those that the kernel has received on the \
         origin's connections to the server.\n\n\
         | Viewers | `Watch` calls begun meanwhile | open | kB/s from the server | kB/s a viewer |\n| --- | --- | --- | --- | --- |\n",
    );
    for number in viewers {
        text.push_str(&row(stack, *number, window).await?);
    }
    Ok(text)
}

async fn row(stack: &Stack, viewers: u32, window: Duration) -> Result<String> {
    let calls = || stack.server.metric("headwater_server_watches_total");
    let before = calls()?;
    let url = format!("http://{}/load/live.m3u8", stack.origin.address);
    let duration = format!("{}s", (BEGIN + window).as_secs() + 1);
    let program = std::env::current_exe()?.with_file_name("headwater");
    let load = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .args(["bench", "view", "-n", &viewers.to_string(), "--url", &url, "--duration", &duration])
            .output()
    });
    tokio::time::sleep(BEGIN).await;
    let bytes = received(stack)?;
    tokio::time::sleep(window).await;
    let rate = (received(stack)? - bytes) as f64 / 1e3 / window.as_secs_f64();
    let open = stack.origin.metric("headwater_origin_upstream_watches")?;
    let output = load.await?.context("headwater bench view could not be started")?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the viewers met trouble: {said}");
    let begun = calls()? - before;
    Ok(format!("| {viewers} | {begun:.0} | {open:.0} | {rate:.1} | {:.2} |\n", rate / f64::from(viewers)))
}

/// Bytes that the origin has received from the server, by its sockets.
fn received(stack: &Stack) -> Result<u64> {
    let server = stack.server.address.to_string();
    let output = Command::new("ss").args(["-tinpHO", "dst", &server]).output();
    let output = output.context("ss is missing: deploy/setup.sh test")?;
    let id = format!("pid={},", stack.origin.process.id());
    sum(&String::from_utf8_lossy(&output.stdout), &id).context("the origin has no connection to the server")
}

fn sum(sockets: &str, owner: &str) -> Option<u64> {
    let own = sockets.lines().filter(|line| line.contains(owner));
    let bytes: Vec<u64> = own
        .filter_map(|line| line.split_once("bytes_received:")?.1.split(' ').next()?.parse().ok())
        .collect();
    (!bytes.is_empty()).then(|| bytes.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_origins_sockets_count() {
        let sockets = "ESTAB 0 0 a b users:((\"o\",pid=7,fd=3)) cubic bytes_sent:1 bytes_received:20 x\n\
                       ESTAB 0 0 a b users:((\"p\",pid=70,fd=3)) cubic bytes_received:500 x\n";
        assert_eq!(sum(sockets, "pid=7,"), Some(20));
        assert_eq!(sum(sockets, "pid=8,"), None);
    }
}
