//! The delivery edge. It looks a stream up in the registry, mirrors its live window from the server that has it by one
//! `Watch` call however many viewers there are, and answers HLS over HTTP from memory.
//!
//! The trip of a part: `upstream` receives it, `mirror::follow` applies it to the window of its stream and wakes who
//! waits for it, `http` sends it to each of them from the one copy.
//!
//! What viewers were given keeps its bytes: when a stream moves to another server, its window goes on, and a server
//! with a lower epoch than one that was heard is refused.

mod core;
mod http;
mod library;
mod metrics;
mod mirror;
mod representation;
mod settings;
mod thumbnails;
mod upstream;
mod viewers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use headwater_control::Control;
use headwater_directory::open_directory;
use headwater_platform::store::store_settings;
use headwater_platform::store::{self, StoreError};
use headwater_registry::Registry;
use headwater_runtime::config::CertificateFiles;
use headwater_runtime::http::{Patience, Versions, serve as serve_http};
use headwater_runtime::listener::{BindError, Limits, Listener};
use headwater_runtime::process::Process;
use headwater_runtime::readiness::{self, Readiness};
use headwater_runtime::tls::{
    CertificateError, Certificates, ClusterTls, ClusterTlsError, TlsError, keep_current,
};
use headwater_wire::{Channels, ClusterSecrets};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use crate::core::Core;
pub use crate::http::Interrupted;
pub use crate::settings::Settings;

/// Time for a whole request, from having connected or from its first byte on.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Time in which a viewer has to take a byte of an answer before its connection is closed. The time to make the answer does
/// not count.
const STALL_LIMIT: Duration = Duration::from_secs(35);

/// Reason why an origin can't start, or has ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("store.url can't be used: {0}")]
    Store(#[from] StoreError),
    #[error("directory.url can't be used: {0}")]
    Directory(#[source] StoreError),
    #[error("a certificate cannot be used (origin.tls_certificates, control.tls_certificates): {0}")]
    Certificate(#[from] CertificateError),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Cluster(#[from] ClusterTlsError),
    #[error("the HTTP listener broke: {0}")]
    Accept(#[from] io::Error),
}

/// Runs an origin until the process is told to stop and every request under way is answered.
///
/// # Errors
/// When it can't start, or its listener breaks.
pub async fn run(process: Process<Settings>, registry: Arc<dyn Registry>) -> Result<(), OriginError> {
    let origin = Origin::start(&process.config, registry, &process.readiness).await?;
    process.readiness.started(readiness::ORIGIN_STARTING);
    Ok(origin.serve(process.drain).await?)
}

/// An origin that listens.
pub struct Origin {
    listener: Listener,
    /// Listener by TLS, where `origin.https_listen` is set.
    encrypted: Option<Listener>,
    /// Certificates of the listeners, which are reloaded.
    certificates: Vec<Certificates>,
    /// How long a connection may be without a request.
    keep_alive: Duration,
    /// Listener and state of the control API, where `control.listen` is set.
    control: Option<(Listener, Control)>,
    /// TLS towards the servers, whose certificate is reloaded.
    cluster_tls: Option<ClusterTls>,
    core: Core,
}

impl Origin {
    /// Listens on `origin.http_listen` and begins to learn what the registry knows. Readiness waits for the registry's first
    /// answer.
    ///
    /// # Errors
    /// When the address can't be listened on, or the directory of the object store can't be made.
    pub async fn start(
        settings: &Settings,
        registry: Arc<dyn Registry>,
        readiness: &Readiness,
    ) -> Result<Self, OriginError> {
        let limits =
            Limits::new(settings.origin.max_connections, settings.origin.max_connections_per_address);
        let listener =
            Listener::bind(settings.origin.http_listen, "origin.http_listen", limits.clone()).await?;
        let mut certificates = Vec::new();
        let encrypted = match settings.origin.https_listen {
            Some(address) => {
                let listener = Listener::bind(address, "origin.https_listen", limits).await?;
                let files = &settings.origin.tls_certificates;
                Some(encrypt(listener, files, Versions::Http1And2, &mut certificates)?)
            }
            None => None,
        };
        let store = match store_settings(&settings.store) {
            Some(store) => Some(store::open(&store).await?),
            None => None,
        };
        let cluster_tls = ClusterTls::load(&settings.cluster)?;
        let caller = cluster_tls.as_ref().map(ClusterTls::caller).transpose()?;
        let channels = Channels::to_cluster(&ClusterSecrets::new(settings.cluster.secrets()), caller);
        let core = Core::start(settings, registry.clone(), channels, store, readiness);
        let control = match settings.control.listen {
            Some(address) => {
                let limits = Limits::total(headwater_control::MAX_CONNECTIONS);
                let listener = Listener::bind(address, "control.listen", limits).await?;
                let files = &settings.control.tls_certificates;
                let listener = encrypt(listener, files, Versions::Http1, &mut certificates)?;
                warn_of_plain_text(&listener);
                let directory = open_directory(&settings.directory, &settings.store).await;
                let directory = directory.map_err(OriginError::Directory)?;
                Some((listener, core.control(settings, directory, registry)))
            }
            None => None,
        };
        let keep_alive = settings.origin.keep_alive_timeout;
        Ok(Self { listener, encrypted, certificates, keep_alive, control, cluster_tls, core })
    }

    /// The address that is really listened on.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// The address that is really listened on by HTTPS, if there is one.
    pub fn encrypted_address(&self) -> Option<SocketAddr> {
        self.encrypted.as_ref().map(Listener::local_addr)
    }

    /// Answers viewers until `drain` is cancelled, and then until the requests under way are answered; the streams are
    /// followed as long as that takes.
    ///
    /// # Errors
    /// When the listener is broken.
    pub async fn serve(self, drain: CancellationToken) -> io::Result<()> {
        let encrypted = self.encrypted_address().map(tracing::field::display);
        info!(address = %self.address(), encrypted, "the origin listens");
        let patience = Patience { request: REQUEST_LIMIT, answer: STALL_LIMIT, keep_alive: self.keep_alive };
        let service = self.core.service.clone();
        let viewers = async |listener: Option<Listener>| match listener {
            Some(listener) => {
                serve_http(service.clone(), listener, Versions::Http1And2, patience, drain.clone()).await
            }
            None => Ok(()),
        };
        let reloads = self.certificates.into_iter().map(Certificates::keep_current);
        let reloaded = async {
            let certificates = drain.run_until_cancelled(join_all(reloads));
            tokio::join!(certificates, keep_current(self.cluster_tls, drain.clone()));
            Ok(())
        };
        let control = async {
            match self.control {
                Some((listener, control)) => headwater_control::serve(control, listener, drain.clone()).await,
                None => Ok(()),
            }
        };
        let served =
            tokio::try_join!(viewers(Some(self.listener)), viewers(self.encrypted), control, reloaded)
                .map(drop);
        self.core.stop().await;
        served
    }
}

/// The listener by TLS with the certificates in these files, which `certificates` takes for reloads; as it is where there are
/// none.
fn encrypt(
    listener: Listener,
    files: &[CertificateFiles],
    versions: Versions,
    certificates: &mut Vec<Certificates>,
) -> Result<Listener, OriginError> {
    if files.is_empty() {
        return Ok(listener);
    }
    let loaded = Certificates::load(files)?;
    let tls = loaded.server_config(versions.alpn())?;
    certificates.push(loaded);
    Ok(listener.encrypt(tls))
}

/// Says that tokens can be read on their way, where the control API is reached from other machines without TLS.
fn warn_of_plain_text(control: &Listener) {
    let listen = control.local_addr();
    if !control.is_encrypted() && !listen.ip().is_loopback() {
        warn!(
            %listen,
            "the control API is reached without TLS: whoever sees its connections reads its tokens and stream keys; set \
             control.tls_certificates, or let a load balancer with TLS alone reach it"
        );
    }
}
