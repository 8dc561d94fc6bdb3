//! `headwater drain`: has a server stop, and tells how its broadcasts leave it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use headwater_runtime::cli::Options;
use headwater_runtime::config::{ClusterConfig, Service};
use headwater_runtime::tls::ClusterTls;
use headwater_wire::v2::operator_client::OperatorClient;
use headwater_wire::v2::{Broadcast, DrainRequest, ListBroadcastsRequest};
use headwater_wire::{Channels, ClusterSecrets, ServiceChannel};
use http::uri::Authority;
use tokio::time::{Instant, sleep, timeout};

/// A server that lives answers at once; connecting may take a second.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How often the server is asked what it still has.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the server is watched. A container is killed 120 s after it was told to stop, at the latest.
const WATCH_TIMEOUT: Duration = Duration::from_secs(150);

/// Arguments of `drain`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Address of the server's gRPC (server.grpc_listen)
    #[arg(value_name = "HOST:PORT", value_parser = parse_address)]
    server: String,
    #[command(flatten)]
    options: Options,
}

/// Drains the server, and waits until its last broadcast has moved.
pub fn run(arguments: &Arguments) -> ExitCode {
    let cluster = match arguments.options.load(Service::AllInOne) {
        Ok(loaded) => loaded.config.cluster,
        Err(code) => return code,
    };
    let drained = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(drain_within(&cluster, &arguments.server)));
    match drained {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "headwater drain: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Drains a server of this cluster.
async fn drain_within(cluster: &ClusterConfig, server: &str) -> anyhow::Result<()> {
    let tls = ClusterTls::load(cluster)?;
    let caller = tls.as_ref().map(ClusterTls::caller).transpose()?;
    let channels = Channels::to_cluster(&ClusterSecrets::new(cluster.secrets()), caller);
    drain_server(&channels, server, &mut io::stdout()).await
}

fn parse_address(text: &str) -> Result<String, &'static str> {
    let wanted = "it looks like host:7000";
    let authority: Authority = text.parse().map_err(|_| wanted)?;
    let is_one = authority.port_u16().is_some() && !authority.host().is_empty() && !text.contains('@');
    if is_one { Ok(text.to_owned()) } else { Err(wanted) }
}

/// Returns when the server has stopped.
async fn drain_server(channels: &Channels, server: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut operator = OperatorClient::new(channels.to(server)?);
    let answer = timeout(ANSWER_LIMIT, operator.drain(DrainRequest {})).await;
    let answer = answer.with_context(|| format!("{server} does not answer"))?;
    let told = match answer {
        Ok(told) => told.into_inner().broadcasts,
        Err(status) if status.code() == tonic::Code::Unavailable => {
            bail!("no server can be reached at {server}: {}", status.message())
        }
        Err(status) => bail!("{server} refuses: {}", status.message()),
    };
    writeln!(out, "{server} takes no new broadcasts and stops; on air there: {}", told.len())?;
    let mut left = by_stream(told);
    for (stream, broadcast) in &left {
        let state = if broadcast.publishing { "on air" } else { "waits for its publisher" };
        writeln!(out, "  {stream} ({state})")?;
    }
    while began.elapsed() < WATCH_TIMEOUT {
        let Some(now) = list_broadcasts(&mut operator).await else {
            writeln!(out, "stopped after {:.1} s", began.elapsed().as_secs_f64())?;
            return Ok(());
        };
        for stream in left.keys().filter(|stream| !now.contains_key(*stream)) {
            writeln!(out, "  {stream} has left after {:.1} s", began.elapsed().as_secs_f64())?;
        }
        left = now;
        sleep(LOOK_INTERVAL).await;
    }
    let names: Vec<_> = left.into_keys().collect();
    bail!("{server} has not stopped within {} s; still there: {}", WATCH_TIMEOUT.as_secs(), names.join(", "))
}

/// Broadcasts that the server still has; `None` when it has stopped.
async fn list_broadcasts(
    operator: &mut OperatorClient<ServiceChannel>,
) -> Option<BTreeMap<String, Broadcast>> {
    let answer = timeout(ANSWER_LIMIT, operator.list_broadcasts(ListBroadcastsRequest::default())).await;
    Some(by_stream(answer.ok()?.ok()?.into_inner().broadcasts))
}

fn by_stream(broadcasts: Vec<Broadcast>) -> BTreeMap<String, Broadcast> {
    broadcasts.into_iter().map(|broadcast| (broadcast.stream.clone(), broadcast)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use headwater_registry::{MemoryRegistry, Registry, Ttls};
    use headwater_runtime::config::Config;
    use headwater_runtime::process::Process;
    use headwater_runtime::readiness::Readiness;
    use headwater_server::WorkerCommand;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test]
    async fn a_server_is_stopped() {
        let mut config = Config::defaults();
        config.server.grpc_listen = "127.0.0.1:0".parse().unwrap();
        let registry = MemoryRegistry::new(Ttls::default());
        let process = Process {
            config: config.into(),
            readiness: Readiness::default(),
            drain: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let worker = WorkerCommand { program: "true".into(), arguments: Vec::new() };
        let running = tokio::spawn(headwater_server::run(process, Arc::new(registry.clone()), worker));
        let mut changes = registry.watch();
        let address = loop {
            if let Some(server) = registry.servers().await.unwrap().pop() {
                break server.address;
            }
            timeout(ANSWER_LIMIT, changes.next()).await.unwrap();
        };
        let mut out = Vec::new();
        drain_server(&Channels::default(), &address, &mut out).await.unwrap();
        running.await.unwrap().unwrap();
        let said = String::from_utf8(out).unwrap();
        let expected =
            format!("{address} takes no new broadcasts and stops; on air there: 0\nstopped after ");
        assert!(said.starts_with(&expected), "{said}");
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_that_says_so() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        drop(taken);
        let error =
            format!("{:#}", drain_server(&Channels::default(), &address, &mut Vec::new()).await.unwrap_err());
        assert!(error.starts_with(&format!("no server can be reached at {address}: ")), "{error}");
    }

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(parse_address("server-1:7000").as_deref(), Ok("server-1:7000"));
        assert_eq!(parse_address("[::1]:7000").as_deref(), Ok("[::1]:7000"));
        for bad in ["", "server", ":7000", "http://server:7000", "user@server:7000", "server:x"] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }
}
