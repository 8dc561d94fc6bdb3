//! The services as separate processes with a real Redis between them, as an operator would run them.

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};
use headwater_registry::testing::RedisServer;
use headwater_registry::{LEASE_TTL, Registry};
use headwater_wire::{Channels, ClusterSecrets};
use tempfile::TempDir;

use crate::http;
use crate::network::Place;
use crate::process::{Process, binary};
use crate::wait;

/// How long a service may take until it is ready, on a slow machine.
const READY: Duration = Duration::from_secs(30);
/// How long a service may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// Secret of the services of all stacks.
pub const CLUSTER_SECRET: &str = "cluster-secret-of-the-tests";

/// Channels to the servers of a stack, which know its secret.
pub fn channels() -> Channels {
    Channels::to_cluster(&ClusterSecrets::new([Some(CLUSTER_SECRET), None]), None)
}

/// Plan of a stack: its services and settings.
pub struct Plan {
    proxies: usize,
    servers: usize,
    origins: usize,
    environment: BTreeMap<String, String>,
    /// Folders of the executables of some kinds of service, where those of another release are to run.
    executables: BTreeMap<&'static str, PathBuf>,
}

impl Default for Plan {
    /// A proxy, a server and an origin, with a small ladder, which two cores encode twice over in a debug build.
    fn default() -> Self {
        let plan = Self {
            proxies: 1,
            servers: 1,
            origins: 1,
            environment: BTreeMap::new(),
            executables: BTreeMap::new(),
        };
        plan.set("LADDER_RUNGS", "640x360@800k,480x270@500k,320x180@300k")
            .set("LADDER_PRESET", "ultrafast")
            .set("SERVER_RECONNECT_WINDOW", "2s")
            .set("LOG_LEVEL", "info")
            .set("CLUSTER_SECRET", CLUSTER_SECRET)
    }
}

impl Plan {
    /// As the default, with two rungs so small that two cores encode three broadcasts of them twice over.
    pub fn tiny() -> Self {
        Self::default().set("LADDER_RUNGS", "320x180@300k,160x90@150k")
    }

    pub fn proxies(mut self, proxies: usize) -> Self {
        self.proxies = proxies;
        self
    }

    pub fn servers(mut self, servers: usize) -> Self {
        self.servers = servers;
        self
    }

    pub fn origins(mut self, origins: usize) -> Self {
        self.origins = origins;
        self
    }

    /// A setting for all services: `("HLS_WINDOW_SEGMENTS", "5")`.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(format!("HEADWATER_{name}"), value.into());
        self
    }

    /// Takes the executables of these kinds of service (`proxy`, `server`, `origin`) from this folder. No service has a
    /// secret then: those of before 0.2.0 know none.
    pub fn executables_from(mut self, folder: &Path, kinds: &[&'static str]) -> Self {
        self.environment.remove("HEADWATER_CLUSTER_SECRET");
        self.executables.extend(kinds.iter().map(|kind| (*kind, folder.to_owned())));
        self
    }

    pub async fn start(self) -> Result<Stack> {
        let stack = self.launch(RedisServer::start())?;
        stack.ready().await?;
        Ok(stack)
    }

    /// Starts all but Redis, which `stack.redis.restart()` does, and waits for nothing.
    pub fn start_without_redis(self) -> Result<Stack> {
        self.launch(RedisServer::reserve())
    }

    fn launch(self, redis: RedisServer) -> Result<Stack> {
        let directory = tempfile::tempdir()?;
        let mut stack = Stack {
            proxies: Vec::new(),
            servers: Vec::new(),
            origins: Vec::new(),
            servers_started: 0,
            environment: self.environment,
            executables: self.executables,
            redis,
            directory,
        };
        stack.environment.insert("HEADWATER_REGISTRY_URL".into(), stack.redis.url_text());
        for _ in 0..self.servers {
            stack.start_server(&Place::default())?;
        }
        for number in 0..self.origins {
            stack.start_origin(number)?;
        }
        for number in 0..self.proxies {
            stack.start_proxy(number)?;
        }
        Ok(stack)
    }
}

/// A running service.
pub struct Service {
    pub process: Process,
    host: IpAddr,
    /// Port that it serves at: gRPC, HTTP or RTMP.
    pub port: u16,
    pub metrics_port: u16,
}

impl Service {
    /// The URL of what operators ask: `readyz`, for example.
    pub fn operations(&self, path: &str) -> String {
        format!("http://{}:{}/{path}", self.host, self.metrics_port)
    }

    pub async fn ready(&self) -> Result<()> {
        let url = self.operations("readyz");
        let ready = || async { http::get(&url).await.ok().filter(|answer| answer.status == 200).map(drop) };
        wait::until("a service to be ready", READY, ready).await.with_context(|| self.process.output())
    }

    /// Host and port of where it serves.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub async fn metrics(&self) -> Result<String> {
        Ok(http::get(&self.operations("metrics")).await?.text().into())
    }

    /// Asks it to stop and checks that it does so by itself, with success.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.signal("TERM").await?;
        let status = self.process.wait(STOP).await?;
        anyhow::ensure!(status.success(), "{status}: {}", self.process.output());
        Ok(())
    }
}

pub struct Stack {
    pub redis: RedisServer,
    pub proxies: Vec<Service>,
    pub servers: Vec<Service>,
    pub origins: Vec<Service>,
    servers_started: usize,
    environment: BTreeMap<String, String>,
    executables: BTreeMap<&'static str, PathBuf>,
    /// Directory for logs and media of the test. Last, so that it outlives the processes.
    pub directory: TempDir,
}

impl Stack {
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// URL to publish to on the first proxy.
    pub fn publish_url(&self, key: &str) -> String {
        self.publish_url_at(0, key)
    }

    pub fn publish_url_at(&self, proxy: usize, key: &str) -> String {
        format!("rtmp://127.0.0.1:{}/live/{key}", self.proxies[proxy].port)
    }

    /// Registry that the services share, as they see it.
    pub fn registry(&self) -> Result<Arc<dyn Registry>> {
        Ok(headwater_registry::open(Some(&self.redis.url_text()), "headwater", LEASE_TTL)?)
    }

    /// `http://host:port` of an origin.
    pub fn origin(&self, number: usize) -> String {
        format!("http://127.0.0.1:{}", self.origins[number].port)
    }

    /// Gives services that are started from now on another value of a setting: `("HLS_WINDOW_SEGMENTS", "5")`.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(format!("HEADWATER_{name}"), value.into());
    }

    /// Starts services with the executables of today from now on.
    pub fn use_own_executables(&mut self) {
        self.executables.clear();
    }

    /// The first proxy.
    pub fn proxy(&mut self) -> &mut Service {
        &mut self.proxies[0]
    }

    /// Takes the server that is reached at this address out of the stack.
    pub fn take_server(&mut self, address: &str) -> Result<Service> {
        let number = self.servers.iter().position(|server| server.address() == address);
        let number = number.with_context(|| format!("no server of the stack is at {address}"))?;
        Ok(self.servers.remove(number))
    }

    fn start_proxy(&mut self, number: usize) -> Result<()> {
        let listen = ("HEADWATER_PROXY_RTMP_LISTEN", free_port()?);
        let service = self.service("proxy", number, "PROXY", listen, &Place::default())?;
        self.proxies.push(service);
        Ok(())
    }

    /// Adds one more proxy.
    pub async fn add_proxy(&mut self) -> Result<()> {
        self.start_proxy(self.proxies.len())?;
        self.proxies.last().expect("it was just started").ready().await
    }

    /// Adds one more server, for tests in which one comes later.
    pub async fn add_server(&mut self) -> Result<()> {
        self.add_server_at(&Place::default()).await
    }

    pub async fn add_server_at(&mut self, place: &Place) -> Result<()> {
        self.start_server(place)?;
        self.servers.last().expect("it was just started").ready().await
    }

    /// Adds one more origin.
    pub async fn add_origin(&mut self) -> Result<()> {
        self.start_origin(self.origins.len())?;
        self.origins.last().expect("it was just started").ready().await
    }

    fn start_server(&mut self, place: &Place) -> Result<()> {
        let number = self.servers_started;
        let port = free_port()?;
        self.servers_started += 1;
        self.environment.insert("HEADWATER_SERVER_ADVERTISE".into(), format!("{}:{port}", place.host));
        let listen = ("HEADWATER_SERVER_GRPC_LISTEN", port);
        let service = self.service("server", number, "SERVER", listen, place)?;
        self.servers.push(service);
        Ok(())
    }

    fn start_origin(&mut self, number: usize) -> Result<()> {
        let listen = ("HEADWATER_ORIGIN_HTTP_LISTEN", free_port()?);
        let service = self.service("origin", number, "ORIGIN", listen, &Place::default())?;
        self.origins.push(service);
        Ok(())
    }

    fn service(
        &self,
        kind: &str,
        number: usize,
        section: &str,
        (listen, port): (&str, u16),
        place: &Place,
    ) -> Result<Service> {
        let metrics_port = free_port()?;
        let host = place.host;
        let mut environment = self.environment.clone();
        environment.insert(listen.into(), format!("{host}:{port}"));
        environment.insert(format!("HEADWATER_{section}_METRICS_LISTEN"), format!("{host}:{metrics_port}"));
        environment.extend(place.registry.iter().map(|url| ("HEADWATER_REGISTRY_URL".into(), url.clone())));
        let environment: Vec<_> = environment.into_iter().collect();
        let name = format!("headwater-{kind}");
        let program =
            self.executables.get(kind).map_or_else(|| binary(&name), |folder| Ok(folder.join(&name)))?;
        let program = program.to_string_lossy().into_owned();
        let command: Vec<_> = place.within.iter().cloned().chain([program]).collect();
        let (program, arguments) = command.split_first().context("a command is not empty")?;
        let name = format!("{kind}-{number}");
        let process = Process::start(self.path(), &name, Path::new(program), arguments, &environment)?;
        Ok(Service { process, host, port, metrics_port })
    }

    /// All that run.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.servers.iter().chain(&self.origins).chain(&self.proxies)
    }

    pub async fn ready(&self) -> Result<()> {
        for service in self.services() {
            service.ready().await?;
        }
        Ok(())
    }
}

/// Below the range that Linux takes outgoing connections' ports from, so that none of them is in the way.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

/// A port that nobody listens on, and that no other test of this process is given.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes begin at different places.
    let spread = (std::process::id() % 97) as u16 * 100;
    let ports =
        PORTS.map(|_| PORTS.start + (NEXT.fetch_add(1, Relaxed) + spread) % (PORTS.end - PORTS.start));
    let mut free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().context("there is no free port")
}
