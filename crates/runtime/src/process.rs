//! The life of a process: configuration, logging, metrics, operations listener, work, drain, end. With it the `main`
//! of a service fits on one screen:
//!
//! ```no_run
//! use clap::Parser;
//! use headwater_runtime::{cli::Options, config::Service, process};
//!
//! #[derive(Parser)]
//! #[command(version, about)]
//! struct Arguments {
//!     #[command(flatten)]
//!     options: Options,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     process::run(Service::Proxy, &Arguments::parse().options, |process| async move {
//!         process.drain.cancelled().await;
//!         Ok::<(), std::io::Error>(())
//!     })
//! }
//! ```

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::cli::Options;
use crate::config::{Config, Loaded, Service};
use crate::files;
use crate::listener::{Limits, Listener};
use crate::operations::{MAX_CONNECTIONS, Operations};
use crate::readiness::{Latch, ORIGIN_STARTING, PROXY_STARTING, Readiness, SERVER_STARTING};
use crate::shutdown::{Drained, Signals, drain, within_grace};
use crate::telemetry;

/// Surroundings that a process gives to its service. `C` is the part of the configuration that the service reads.
#[derive(Clone, Debug)]
pub struct Process<C = Config> {
    pub config: C,
    pub readiness: Readiness,
    /// Cancelled when the process is told to stop: finish what is under way and return.
    pub drain: CancellationToken,
    /// Tasks that the process waits for before it ends.
    pub tasks: TaskTracker,
}

impl<C> Process<C> {
    /// The same process with a part of its configuration.
    pub fn map_config<T>(self, map: impl FnOnce(C) -> T) -> Process<T> {
        let Self { config, readiness, drain, tasks } = self;
        Process { config: map(config), readiness, drain, tasks }
    }
}

type Failure = Box<dyn Error + Send + Sync>;

/// Runs a service until it returns, or until [`Config::drain_timeout`] has passed since it was told to stop (since its
/// publishers had to leave, where it is a proxy). Returns the code to exit with: 0, 1 after a failure or an unfinished
/// drain, 2 for mistakes in the configuration.
pub fn run<W, F, E>(service: Service, options: &Options, work: W) -> ExitCode
where
    W: FnOnce(Process) -> F,
    F: Future<Output = Result<(), E>>,
    E: Into<Failure>,
{
    let loaded = match options.load(service) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match start_process(service, loaded, async |process| work(process).await.map_err(Into::into)) {
        Ok(Drained::Complete) => ExitCode::SUCCESS,
        Ok(Drained::Abandoned { tasks }) => {
            warn!(tasks, "the time to finish is over: set drain_timeout higher if this was too early");
            ExitCode::FAILURE
        }
        Err(failure) => {
            error!("{}", error_chain(failure.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn start_process(
    service: Service,
    Loaded { config, ignored, .. }: Loaded,
    work: impl AsyncFnOnce(Process) -> Result<(), Failure>,
) -> Result<Drained, Failure> {
    telemetry::start_logging(&config.log)?;
    if !ignored.is_empty() {
        info!(variables = ignored.join(" "), "ignoring variables that the container platform has set");
    }
    files::raise_limit();
    let metrics = telemetry::start_metrics()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let drained = runtime.block_on(run_process(service, config, metrics, work));
    // Whatever is left had its time.
    runtime.shutdown_background();
    drained
}

async fn run_process(
    service: Service,
    config: Config,
    metrics: PrometheusHandle,
    work: impl AsyncFnOnce(Process) -> Result<(), Failure>,
) -> Result<Drained, Failure> {
    let readiness = Readiness::expecting(service_parts(service));
    let stop = CancellationToken::new();
    // Dropped, and so aborted, when the service has ended.
    let mut companions = JoinSet::new();
    companions.spawn(Signals::listen()?.drain_then_exit(stop.clone()));
    companions.spawn(serve_operations(service, &config, readiness.clone(), metrics).await?);
    companions.spawn(not_ready_while_draining(readiness.latch("draining"), stop.clone()));
    let grace = stop_grace(service, &config);
    let tasks = TaskTracker::new();
    let process = Process { config, readiness, drain: stop.clone(), tasks: tasks.clone() };
    let whole = async {
        let result = work(process).await;
        stop.cancel();
        (result, drain(grace, &tasks).await)
    };
    let finished = within_grace(whole, &stop, grace).await;
    info!("stopped");
    match finished {
        Some((result, drained)) => result.map(|()| drained),
        None => Ok(Drained::Abandoned { tasks: tasks.len() }),
    }
}

/// The services of a process, each of which says by [`Readiness::started`] that all its latches are there.
fn service_parts(service: Service) -> &'static [&'static str] {
    match service {
        Service::Proxy => &[PROXY_STARTING],
        Service::Server => &[SERVER_STARTING],
        Service::Origin => &[ORIGIN_STARTING],
        Service::AllInOne => &[PROXY_STARTING, SERVER_STARTING, ORIGIN_STARTING],
    }
}

/// How long the process may take from being told to stop. A proxy's publishers may stay first.
fn stop_grace(service: Service, config: &Config) -> Duration {
    match service {
        Service::Proxy => config.drain_timeout + config.proxy.drain_timeout,
        Service::Server | Service::Origin | Service::AllInOne => config.drain_timeout,
    }
}

/// Load balancers send nothing new to a process that is not ready.
async fn not_ready_while_draining(latch: Latch, stop: CancellationToken) {
    latch.set();
    stop.cancelled().await;
    latch.unset();
}

async fn serve_operations(
    service: Service,
    config: &Config,
    readiness: Readiness,
    metrics: PrometheusHandle,
) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let (address, setting) = operations_address(service, config);
    let listener = Listener::bind(address, setting, Limits::total(MAX_CONNECTIONS)).await?;
    let served = Operations { readiness, metrics }.serve(listener, CancellationToken::new());
    Ok(async move {
        if let Err(error) = served.await {
            error!(%error, "the operations listener has ended");
        }
    })
}

fn operations_address(service: Service, config: &Config) -> (SocketAddr, &'static str) {
    match service {
        Service::Proxy => (config.proxy.metrics_listen, "proxy.metrics_listen"),
        Service::Server => (config.server.metrics_listen, "server.metrics_listen"),
        Service::Origin => (config.origin.metrics_listen, "origin.metrics_listen"),
        Service::AllInOne => (config.up.metrics_listen, "up.metrics_listen"),
    }
}

/// An error with its causes, each once: many errors repeat their cause in their own text.
fn error_chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| match cause.to_string() {
        cause if text.contains(&cause) => text,
        cause => format!("{text}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn live_with(work: impl AsyncFnOnce(Process) -> Result<(), Failure>) -> Result<Drained, Failure> {
        let mut config = Config::defaults();
        config.up.metrics_listen = "127.0.0.1:0".parse()?;
        config.drain_timeout = Duration::from_millis(50);
        let metrics = telemetry::prometheus_builder()?.build_recorder().handle();
        run_process(Service::AllInOne, config, metrics, work).await
    }

    #[tokio::test]
    async fn tasks_are_told_to_stop_and_waited_for() {
        let drained = live_with(async |process| {
            let stop = process.drain.clone();
            process.tasks.spawn(async move { stop.cancelled().await });
            Ok(())
        });
        assert_eq!(drained.await.unwrap(), Drained::Complete);
    }

    #[tokio::test]
    async fn a_process_is_not_ready_while_it_drains_and_does_not_drain_for_ever() {
        let drained = live_with(async |process| {
            for service in service_parts(Service::AllInOne) {
                assert!(!process.readiness.is_ready(), "{service} has not started yet");
                process.readiness.started(service);
            }
            process.readiness.ready().await;
            process.drain.cancel();
            while process.readiness.is_ready() {
                tokio::task::yield_now().await;
            }
            assert_eq!(process.readiness.missing(), ["draining"]);
            process.tasks.spawn(std::future::pending::<()>());
            Ok(())
        });
        assert_eq!(drained.await.unwrap(), Drained::Abandoned { tasks: 1 });
    }

    #[test]
    fn publishers_have_their_time_before_the_proxy_has_its_own() {
        let config = Config::defaults();
        assert_eq!(stop_grace(Service::Proxy, &config), Duration::from_secs(90 + 30));
        assert_eq!(stop_grace(Service::Server, &config), Duration::from_secs(30));
        assert_eq!(stop_grace(Service::AllInOne, &config), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_failure_is_told_with_its_causes() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let failure = live_with(async |_| {
            Listener::bind(address, "proxy.rtmp_listen", Limits::total(1)).await?;
            Ok(())
        });
        let text = error_chain(failure.await.unwrap_err().as_ref());
        assert!(text.contains("proxy.rtmp_listen") && text.contains("in use"), "{text}");
    }
}
