//! The processes of the services: how each is started, told to stop, and ended.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater_origin::Core;
use headwater_proxy::{Authority, ConnectionHandler, Settings};
use headwater_registry::Registry;
use headwater_runtime::config::{Capacity, Config, InputMode, Size};
use headwater_runtime::process::Process;
use headwater_runtime::readiness::Readiness;
use headwater_runtime::shutdown::within_grace;
use headwater_server::{Home, StoreSource, run_at};
use headwater_wire::Channels;
use hyper_util::rt::TokioIo;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::plan::Replay;
use super::viewer::Viewer;
use super::worker::Crew;
use crate::check::Checker;
use crate::kernel::chance::Chance;
use crate::kernel::log::event;
use crate::kernel::machine::Machine;
use crate::kernel::net::{Host, Net};
use crate::kernel::registry::Hub;
use crate::kernel::store::Depot;

/// Shorter than by default, so that a schedule has its end sooner.
pub const RECONNECT_WINDOW: Duration = Duration::from_secs(20);

/// How long publishers may stay at a proxy that stops.
const LAST_PUBLISHERS: Duration = Duration::from_secs(8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Server,
    Proxy,
    Origin,
}

/// Machine of a service, and the process that runs on it, if one does.
pub struct Unit {
    pub host: Host,
    pub kind: Kind,
    pub machine: Option<Machine>,
    /// How often it was started.
    pub run: u32,
    pub crew: Crew,
    drain: CancellationToken,
    exited: Arc<AtomicBool>,
}

/// Surroundings that all processes share.
#[derive(Clone)]
pub struct Surroundings {
    pub net: Net,
    pub hub: Hub,
    pub checker: Checker,
    pub streams: Vec<&'static str>,
    /// Store of recordings; none in a world without one.
    pub depot: Option<Depot>,
    pub replay: Replay,
    pub cores: f64,
}

impl Unit {
    pub fn new(host: Host, kind: Kind, chance: Chance, checker: Checker) -> Self {
        Self {
            host,
            kind,
            machine: None,
            run: 0,
            crew: Crew::new(host, chance, checker),
            drain: CancellationToken::new(),
            exited: Arc::default(),
        }
    }

    pub fn start(&mut self, around: &Surroundings) {
        self.run += 1;
        event!("{} starts, for the {}. time", self.host, self.run);
        (self.drain, self.exited) = (CancellationToken::new(), Arc::default());
        self.crew.heal();
        let tasks = TaskTracker::new();
        let process = Process {
            config: config(around, self.run),
            readiness: Readiness::default(),
            drain: self.drain.clone(),
            tasks: tasks.clone(),
        };
        let host = self.host;
        let around = around.clone();
        let drain = self.drain.clone();
        let grace = process.config.drain_timeout;
        let exited = self.exited.clone();
        let work: futures::future::BoxFuture<'static, ()> = match self.kind {
            Kind::Server => {
                let mut process = process.map_config(headwater_server::Settings::from);
                if let Some(depot) = &around.depot {
                    process.config.store = StoreSource::Opened(depot.client(host));
                }
                Box::pin(server(host, self.run, around, process, self.crew.clone()))
            }
            Kind::Proxy => Box::pin(proxy(host, around, process.map_config(Settings::from))),
            Kind::Origin => {
                let process = process.map_config(headwater_origin::Settings::from);
                Box::pin(origin(host, self.run, around, process))
            }
        };
        self.machine = Some(Machine::start(host, async move {
            // As `headwater_runtime::process` does it.
            let whole = async {
                work.await;
                tasks.close();
                tasks.wait().await;
            };
            within_grace(whole, &drain, grace).await;
            exited.store(true, Ordering::Relaxed);
        }));
    }

    pub fn drain(&self) {
        self.drain.cancel();
    }

    pub fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// Whether it can be spoken to, if its network lets others through.
    pub fn is_awake(&self) -> bool {
        self.machine.as_ref().is_some_and(|machine| !machine.is_frozen())
    }

    /// Ends the machine's process when it has come to its end by itself.
    pub fn reap(&mut self) -> bool {
        let has_exited = self.machine.is_some() && self.exited.load(Ordering::Relaxed);
        if has_exited {
            event!("{} has exited", self.host);
            self.machine = None;
        }
        has_exited
    }
}

/// A process that was started again has another configuration: a rung more.
fn config(around: &Surroundings, run: u32) -> Config {
    let replay = around.replay;
    let mut config = Config::defaults();
    if run > 1 {
        config.ladder.rungs.push("426x240@300k".parse().expect("a rung"));
    }
    config.proxy.replay_duration = Duration::from_millis(replay.milliseconds);
    config.proxy.replay_memory = Size(replay.bytes);
    config.server.reconnect_window = RECONNECT_WINDOW;
    config.proxy.drain_timeout = LAST_PUBLISHERS;
    config.server.capacity = Capacity::Cores(around.cores);
    // A disk has no simulated time.
    config.recording.spool_size = Size(0);
    config
}

/// gRPC on the simulated network.
pub fn channels(net: &Net, host: Host) -> Channels {
    let net = net.clone();
    Channels::new(move |endpoint| {
        let net = net.clone();
        endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: http::Uri| {
            let net = net.clone();
            async move {
                let address = uri.authority().map(ToString::to_string).unwrap_or_default();
                net.connect(host, &address).await.map(TokioIo::new)
            }
        }))
    })
}

async fn server(
    host: Host,
    run: u32,
    around: Surroundings,
    process: Process<headwater_server::Settings>,
    crew: Crew,
) {
    let address = format!("{host}:7000");
    let incoming = ReceiverStream::new(around.net.listen(&address)).map(Ok);
    let home = Home { server: format!("{host}-{run}").parse().expect("a server's id"), address };
    let registry = around.hub.client(host);
    if let Err(error) =
        run_at(home, process, registry, Arc::new(crew), channels(&around.net, host), incoming).await
    {
        around.checker.fail("a server runs until it is told to stop", &format!("{host}: {error}"));
    }
}

async fn proxy(host: Host, around: Surroundings, process: Process<Settings>) {
    let mut incoming = around.net.listen(&format!("{host}:1935"));
    let registry: Arc<dyn Registry> = around.hub.client(host);
    let authority = Authority::new(InputMode::Open, [], None);
    let handler = ConnectionHandler::new(&process, authority, registry, channels(&around.net, host));
    while let Some(Some(socket)) = process.drain.run_until_cancelled(incoming.recv()).await {
        process.tasks.spawn(handler.clone().serve(socket, Ipv4Addr::LOCALHOST.into()));
    }
    drop(incoming);
    handler.wait_for_publishers().await;
}

async fn origin(host: Host, run: u32, around: Surroundings, process: Process<headwater_origin::Settings>) {
    let registry = around.hub.client(host);
    let core = Core::start(&process.config, registry, channels(&around.net, host), None, &process.readiness);
    let core = Arc::new(core);
    for stream in around.streams {
        let viewer = Viewer::new(host, run, stream, core.clone(), around.checker.clone());
        process.tasks.spawn(process.drain.clone().run_until_cancelled_owned(viewer.watch()));
    }
    process.drain.cancelled().await;
}
