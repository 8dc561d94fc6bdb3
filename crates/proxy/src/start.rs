//! Life of a proxy, from its start to its end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use headwater_directory::open_directory;
use headwater_media::{ReplayLimits, timeline};
use headwater_platform::store::StoreError;
use headwater_registry::Registry;
use headwater_rtmp::ServerConfig;
use headwater_runtime::config::{InputMode, Network};
use headwater_runtime::listener::{Accepted, BindError, Connection, Limits, Listener, Stream};
use headwater_runtime::outage::Outage;
use headwater_runtime::process::Process;
use headwater_runtime::readiness::{self, Latch};
use headwater_runtime::tls::{CertificateError, Certificates, ClusterTls, ClusterTlsError, keep_current};
use headwater_wire::{Channels, ClusterSecrets};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::authority::Authority;
use crate::context::Context;
use crate::cost;
use crate::drain::Drain;
use crate::gauge_guard::GaugeGuard;
use crate::routing::Router;
use crate::rtmp::{Client, Socket, serve_connection};
use crate::settings::Settings;

/// Fault that ends a proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the directory can't be opened: {0}")]
    Directory(#[from] StoreError),
    #[error("a certificate of RTMPS cannot be used (proxy.tls_certificates): {0}")]
    Certificate(#[from] CertificateError),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] headwater_runtime::tls::TlsError),
    #[error(transparent)]
    Cluster(#[from] ClusterTlsError),
    #[error("the listener for encoders broke: {0}")]
    Accept(#[from] io::Error),
}

/// Runs a proxy until the process is told to stop. The process' tasks are done when every publisher has left.
///
/// # Errors
/// When it can't start, or its listener breaks.
pub async fn run(process: Process<Settings>, registry: Arc<dyn Registry>) -> Result<(), ProxyError> {
    Proxy::start(process, registry).await?.serve().await
}

/// Handler of the encoders' connections.
#[derive(Clone)]
pub struct ConnectionHandler {
    context: Arc<Context>,
    rtmp: Arc<ServerConfig>,
    /// Setting `proxy.allowed_addresses`.
    allowed_addresses: Arc<[Network]>,
}

impl ConnectionHandler {
    /// Handler that reaches the servers by `channels`, and lets in whom the authority permits.
    pub fn new(
        process: &Process<Settings>,
        authority: Authority,
        registry: Arc<dyn Registry>,
        channels: Channels,
    ) -> Self {
        let apps = process.config.proxy.apps.iter().map(|app| app.as_str().to_owned()).collect();
        let rtmp = ServerConfig { apps, ..ServerConfig::default() };
        Self {
            context: Arc::new(shared_context(process, authority, registry, channels)),
            rtmp: Arc::new(rtmp),
            allowed_addresses: process.config.proxy.allowed_addresses.as_slice().into(),
        }
    }

    /// Memory that one publisher may cost, in bytes.
    fn max_publisher_bytes(&self) -> usize {
        cost::total_bytes(&cost::memory_shares(
            &self.rtmp.limits,
            &timeline::Limits::default(),
            &self.context.replay,
        ))
    }

    /// Serves the connection of an encoder at this address to its end.
    pub async fn serve(self, socket: impl Socket + 'static, client: IpAddr) {
        let deadline = self.publish_deadline();
        let client = Client { address: client, is_encrypted: false };
        self.serve_until(socket, client, deadline).await;
    }

    /// Serves a connection that a listener has accepted. Opening it counts towards the publish deadline.
    async fn serve_accepted(self, accepted: Accepted) {
        let deadline = self.publish_deadline();
        let peer = accepted.peer;
        let opened = tokio::select! {
            opened = timeout_at(deadline, accepted.open()) => opened,
            () = self.context.drain.over() => return,
        };
        let Ok(opened) = opened else {
            let span = connection_span(peer);
            return span.in_scope(|| self.context.report_missed_deadline());
        };
        if let Some(Connection { stream, client, guard: _guard }) = opened {
            let span = connection_span(client);
            let client = Client { address: client.ip(), is_encrypted: matches!(stream, Stream::Tls(_)) };
            self.serve_until(stream, client, deadline).instrument(span).await;
        }
    }

    /// Time by which a connection that is made now has to ask for its publication.
    fn publish_deadline(&self) -> Instant {
        Instant::now() + self.context.publish_deadline
    }

    async fn serve_until(self, socket: impl Socket + 'static, client: Client, deadline: Instant) {
        let is_client_allowed = self.allows_address(client.address);
        let config = ServerConfig { is_client_allowed, ..(*self.rtmp).clone() };
        serve_connection(Box::new(socket), config, self.context, client, deadline).await;
    }

    /// Whether encoders at this address may connect: all may where the configuration names no network.
    fn allows_address(&self, address: IpAddr) -> bool {
        let networks = &self.allowed_addresses;
        networks.is_empty() || networks.iter().any(|network| network.contains(address))
    }

    /// Waits for the publishers, as long as they may stay, and then closes every connection. To be called when the
    /// process was told to stop.
    pub async fn wait_for_publishers(&self) {
        self.context.drain.wait_for_publishers().await;
    }
}

/// Proxy that listens for encoders.
pub struct Proxy {
    rtmp: Listener,
    rtmps: Option<Listener>,
    handler: ConnectionHandler,
    process: Process<Settings>,
}

impl Proxy {
    /// Listens for encoders, and waits in the background until the registry answers.
    ///
    /// # Errors
    /// When it can't listen.
    pub async fn start(process: Process<Settings>, registry: Arc<dyn Registry>) -> Result<Self, ProxyError> {
        let config = &process.config.proxy;
        let limits = Limits::new(config.max_connections, config.max_connections_per_address);
        let rtmp = Listener::bind(config.rtmp_listen, "proxy.rtmp_listen", limits.clone()).await?;
        let rtmp = rtmp.trust_peers(config.trusted_peers.clone());
        let rtmps = listen_encrypted(&process, limits).await?;
        let authority = open_authority(&process.config).await?;
        let channels = channels(&process)?;
        let handler = ConnectionHandler::new(&process, authority, registry.clone(), channels);
        tracing::info!(
            listen = %rtmp.local_addr(),
            encrypted = rtmps.as_ref().map(|rtmps| display(rtmps.local_addr())),
            inputs = process.config.inputs.len(),
            mebibytes_a_publisher = handler.max_publisher_bytes() >> 20,
            "proxy starts"
        );
        let latch = process.readiness.latch("proxy: the registry (Redis) does not answer");
        process.readiness.started(readiness::PROXY_STARTING);
        process.tasks.spawn(follow_inputs(handler.context.clone(), registry.clone()));
        process.tasks.spawn(wait_for_registry(registry, latch, process.drain.clone()));
        Ok(Self { rtmp, rtmps, handler, process })
    }

    /// Address that encoders connect to by RTMP.
    pub fn address(&self) -> SocketAddr {
        self.rtmp.local_addr()
    }

    /// Address that encoders connect to by RTMPS, if there is one.
    pub fn encrypted_address(&self) -> Option<SocketAddr> {
        self.rtmps.as_ref().map(Listener::local_addr)
    }

    /// Accepts connections until the process is told to stop; then waits for the publishers, as long as they may stay.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(self) -> Result<(), ProxyError> {
        let Self { rtmp, rtmps, handler, process } = self;
        let _over = handler.context.drain.close_on_drop();
        // Each listener is dropped at its end: the system refuses further connections, and their encoders go to another proxy.
        let plain = accept_connections(rtmp, &handler, &process);
        let encrypted = async {
            match rtmps {
                Some(rtmps) => accept_connections(rtmps, &handler, &process).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(plain, encrypted)?;
        handler.wait_for_publishers().await;
        Ok(())
    }
}

/// Serves the connections of a listener until the process is told to stop.
async fn accept_connections(
    mut listener: Listener,
    handler: &ConnectionHandler,
    process: &Process<Settings>,
) -> io::Result<()> {
    while let Some(accepted) = process.drain.run_until_cancelled(listener.accept()).await {
        let connection = handler.clone().serve_accepted(accepted?);
        process.tasks.spawn(async move {
            let _counted = GaugeGuard::new("headwater_proxy_connections");
            connection.await;
        });
    }
    Ok(())
}

/// Listens for encoders by RTMPS, if the configuration says so. Certificates are reloaded until the process is told to stop.
async fn listen_encrypted(
    process: &Process<Settings>,
    limits: Limits,
) -> Result<Option<Listener>, ProxyError> {
    let config = &process.config.proxy;
    let Some(address) = config.rtmps_listen else { return Ok(None) };
    let certificates = Certificates::load(&config.tls_certificates)?;
    // RTMPS has no name for ALPN.
    let tls = certificates.server_config(&[])?;
    let listener = Listener::bind(address, "proxy.rtmps_listen", limits).await?;
    let reload = process.drain.clone().run_until_cancelled_owned(certificates.keep_current());
    process.tasks.spawn(reload);
    Ok(Some(listener.trust_peers(config.trusted_peers.clone()).encrypt(tls)))
}

/// Channels to the servers. The certificate that they are shown is reloaded until the process is told to stop.
fn channels(process: &Process<Settings>) -> Result<Channels, ProxyError> {
    let cluster = &process.config.cluster;
    let tls = ClusterTls::load(cluster)?;
    let caller = tls.as_ref().map(ClusterTls::caller).transpose()?;
    process.tasks.spawn(keep_current(tls, process.drain.clone()));
    Ok(Channels::to_cluster(&ClusterSecrets::new(cluster.secrets()), caller))
}

/// Span of a connection's log lines, with the address of its client.
fn connection_span(peer: SocketAddr) -> tracing::Span {
    tracing::info_span!("connection", %peer)
}

async fn open_authority(settings: &Settings) -> Result<Authority, ProxyError> {
    let Settings { input_mode, inputs, directory, store, .. } = settings;
    let directory = match input_mode {
        InputMode::Keys => open_directory(directory, store).await?,
        // The directory decides nothing where keys are names.
        InputMode::Open => None,
    };
    Ok(Authority::new(*input_mode, inputs.clone(), directory))
}

/// Hears of changed inputs as long as there may be publishers.
async fn follow_inputs(context: Arc<Context>, registry: Arc<dyn Registry>) {
    tokio::select! {
        () = context.authority.follow(registry) => {}
        () = context.drain.over() => {}
    }
}

fn shared_context(
    process: &Process<Settings>,
    authority: Authority,
    registry: Arc<dyn Registry>,
    channels: Channels,
) -> Context {
    let proxy = &process.config.proxy;
    Context {
        authority: Arc::new(authority),
        router: Router::new(registry, channels),
        replay: ReplayLimits {
            bytes: usize::try_from(proxy.replay_memory.0).unwrap_or(usize::MAX),
            duration: proxy.replay_duration,
        },
        publish_deadline: proxy.publish_deadline,
        idle_timeout: proxy.idle_timeout,
        stall_timeout: proxy.stall_timeout,
        drain: Drain::new(process.drain.clone(), proxy.drain_timeout),
        tasks: process.tasks.clone(),
    }
}

/// Sets the latch when the registry answers for the first time: until then no publisher could be given a server.
async fn wait_for_registry(registry: Arc<dyn Registry>, latch: Latch, stop: CancellationToken) {
    let mut look = tokio::time::interval(headwater_registry::HEARTBEAT_INTERVAL);
    let mut outage = Outage::default();
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        match registry.ready().await {
            Ok(()) => return latch.set(),
            Err(error) if outage.begins() => tracing::warn!(%error, "waiting for the registry"),
            Err(_) => {}
        }
    }
}
