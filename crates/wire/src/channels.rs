//! gRPC connections from one service to others.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use headwater_media::lock::MutexExt;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint, Error};
use tonic::{Code, Status};
use tower::Service;

use crate::http2;
use crate::secret::ClusterSecrets;
use crate::tls::TlsDialer;

/// Shared channels that are kept: more than any installation has servers. Beyond it all are made anew.
const MAX_SHARED_CHANNELS: usize = 1_024;
/// Time between two log lines about servers that refuse this service: a proxy tries again several times a second.
const REFUSAL_REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Connections to servers: one to each address that all short calls share, and one of its own for each call that lasts.
pub struct Channels {
    shared: Mutex<HashMap<String, ServiceChannel>>,
    connect: Connect,
    /// Secret that is shown with each call.
    credential: Option<HeaderValue>,
    refusals: Arc<RefusalLog>,
}

/// Makes a channel of an endpoint; it connects when it is used.
type Connect = Box<dyn Fn(Endpoint) -> Channel + Send + Sync>;

impl Default for Channels {
    /// Channels over TCP, without a secret.
    fn default() -> Self {
        Self::new(|endpoint| endpoint.connect_lazy())
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").finish_non_exhaustive()
    }
}

impl Channels {
    /// Channels to the servers of a cluster, which are shown its secret: over TCP, or by TLS with these settings to servers
    /// whose certificates have this name.
    pub fn to_cluster(
        secrets: &ClusterSecrets,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    ) -> Self {
        let channels = match tls {
            None => Self::default(),
            Some((config, server_name)) => {
                let dialer = TlsDialer { config, server_name };
                Self::new(move |endpoint| endpoint.connect_with_connector_lazy(dialer.clone()))
            }
        };
        Self { credential: secrets.credential(), ..channels }
    }

    /// Channels over another network than TCP: a simulated one.
    pub fn new(connect: impl Fn(Endpoint) -> Channel + Send + Sync + 'static) -> Self {
        Self {
            shared: Mutex::default(),
            connect: Box::new(connect),
            credential: None,
            refusals: Arc::default(),
        }
    }

    /// Channel to `address` (host and port) for calls with one small answer. It connects when it is used, and again
    /// after it broke.
    ///
    /// # Errors
    /// When `address` is no host and port.
    pub fn to(&self, address: &str) -> Result<ServiceChannel, Error> {
        let mut channels = self.shared.lock_ignoring_poison();
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        if channels.len() >= MAX_SHARED_CHANNELS {
            // Calls that are under way keep theirs.
            channels.clear();
        }
        let channel = self.dedicated(address)?;
        channels.insert(address.into(), channel.clone());
        Ok(channel)
    }

    /// New channel to `address` for one call that streams: media of one broadcast. The connection ends with the call,
    /// and has its own queue, flow control and congestion control: a peer that does not read one broadcast holds up no
    /// other one.
    ///
    /// # Errors
    /// When `address` is no host and port.
    pub fn dedicated(&self, address: &str) -> Result<ServiceChannel, Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        Ok(ServiceChannel {
            channel: (self.connect)(http2::configure_client(endpoint)),
            address: address.into(),
            credential: self.credential.clone(),
            refusals: self.refusals.clone(),
        })
    }
}

/// Channel to a server that shows it the cluster's secret with each call. Logs that the server refuses it.
#[derive(Clone, Debug)]
pub struct ServiceChannel {
    channel: Channel,
    /// Host and port of the server.
    address: Arc<str>,
    credential: Option<HeaderValue>,
    refusals: Arc<RefusalLog>,
}

impl Service<Request<Body>> for ServiceChannel {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(credential) = &self.credential {
            request.headers_mut().insert(AUTHORIZATION, credential.clone());
        }
        let answered = self.channel.call(request);
        let address = self.address.clone();
        let refusals = self.refusals.clone();
        Box::pin(async move {
            let response = answered.await?;
            // A refusal has no message, so its status comes with the headers.
            if let Some(status) = Status::from_header_map(response.headers()) {
                refusals.report_refusal(&address, &status);
            }
            Ok(response)
        })
    }
}

/// Time of the last log line about a server that refuses this service.
#[derive(Debug, Default)]
struct RefusalLog(Mutex<Option<Instant>>);

impl RefusalLog {
    fn report_refusal(&self, server: &str, status: &Status) {
        if status.code() == Code::Unauthenticated && self.is_due() {
            tracing::error!(server, "the server refuses this service: {}", status.message());
        }
    }

    fn is_due(&self) -> bool {
        let mut last = self.0.lock_ignoring_poison();
        let is_due = last.is_none_or(|last| last.elapsed() >= REFUSAL_REPORT_INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusals_are_reported_once_a_minute() {
        let log = RefusalLog::default();
        assert!(log.is_due() && !log.is_due());
        tokio::time::advance(REFUSAL_REPORT_INTERVAL).await;
        assert!(log.is_due() && !log.is_due());
    }
}
