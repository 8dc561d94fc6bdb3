//! The connection to Redis: made in the background, made again for ever, every command bounded.

use std::time::Duration;

use fred::prelude::*;
use fred::types::RespVersion;
use fred::types::config::UnresponsiveConfig;
use fred::types::scripts::Script;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::RedisUrl;
use super::listener::{Link, Listener};
use crate::RegistryError;
use crate::event::EventSender;

/// A command takes well under 10 ms; one that takes a second won't be answered, and publishers wait for it.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection whose oldest command is unanswered for so long is given up: a frozen Redis or a path that is gone.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(2);
/// How often that is looked at.
const UNRESPONSIVE_CHECK: Duration = Duration::from_millis(500);
/// To connect and log in, over TLS from another zone too, takes well under this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Waits between attempts to connect, in milliseconds. The longest is short: an attempt costs nothing, and all that
/// was on air must be registered again within seconds.
const RECONNECT_MIN_MS: u32 = 50;
const RECONNECT_MAX_MS: u32 = 1_000;
const RECONNECT_JITTER_MS: u32 = 50;
/// Commands that wait while Redis is away; each gives up after [`COMMAND_TIMEOUT`], so this is never reached by less
/// than that many a second. More are refused at once.
const WAITING_COMMANDS: usize = 10_000;
/// Messages and notices that wait for the listener. It is told when it missed some.
const WAITING_MESSAGES: usize = 1_024;

pub(super) struct Connection {
    pub(super) client: Client,
    backend: String,
    link: watch::Receiver<Link>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Connection {
    /// Starts to connect, and to listen to `channel`. Needs a tokio runtime.
    pub(super) fn open_connection(
        url: &RedisUrl,
        channel: String,
        events: EventSender,
    ) -> Result<Self, RegistryError> {
        let backend = url.backend();
        let client = build_client(url).map_err(|cause| unavailable_error(&backend, cause))?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (link_sender, link) = watch::channel(Link::Connecting);
        let listener = Listener::new(client.clone(), backend.clone(), channel, events, link_sender);
        tasks.spawn(stop.clone().run_until_cancelled_owned(listener.run()));
        tasks.spawn(keep_connected(client.clone(), stop.clone()));
        Ok(Self { client, backend, link, stop, tasks })
    }

    pub(super) async fn run<R>(
        &self,
        script: &Script,
        keys: Vec<String>,
        args: Vec<String>,
    ) -> Result<R, RegistryError>
    where
        R: FromValue,
    {
        self.map_failure(script.evalsha_with_reload(&self.client, keys, args).await)
    }

    pub(super) fn map_failure<T>(&self, result: FredResult<T>) -> Result<T, RegistryError> {
        result.map_err(|error| match &*self.link.borrow() {
            Link::Down(reason) => unavailable_error(&self.backend, reason.clone()),
            Link::Connecting | Link::Up => unavailable_error(&self.backend, error),
        })
    }

    pub(super) async fn close_client(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn unavailable_error(
    backend: &str,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> RegistryError {
    RegistryError::Unavailable { backend: backend.to_owned(), cause: cause.into() }
}

fn build_client(url: &RedisUrl) -> FredResult<Client> {
    // RESP3 lets one connection carry commands and messages.
    let config = Config { fail_fast: false, version: RespVersion::RESP3, ..url.client_config() };
    let mut policy = ReconnectPolicy::new_exponential(0, RECONNECT_MIN_MS, RECONNECT_MAX_MS, 2);
    policy.set_jitter(RECONNECT_JITTER_MS);
    Builder::from_config(config)
        .set_policy(policy)
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT_TIMEOUT;
            connection.internal_command_timeout = CONNECT_TIMEOUT;
            // A claim must not be sent twice: the second one would find the stream held by the first.
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = WAITING_COMMANDS;
            connection.unresponsive =
                UnresponsiveConfig { max_timeout: Some(UNRESPONSIVE_AFTER), interval: UNRESPONSIVE_CHECK };
            connection.tcp.nodelay = Some(true);
        })
        .with_performance_config(|performance| {
            performance.default_command_timeout = COMMAND_TIMEOUT;
            performance.broadcast_channel_capacity = WAITING_MESSAGES;
        })
        .build()
}

/// Fred reconnects by itself after most errors; after the others it is started again here.
async fn keep_connected(client: Client, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let mut connection = client.connect();
        tokio::select! {
            () = stop.cancelled() => {
                // The answer does not matter: nobody uses the connection any more.
                let _ = client.quit().await;
                connection.abort();
            }
            ended = &mut connection => {
                tracing::warn!(?ended, "the connection to Redis ended, starting again");
                let pause = tokio::time::sleep(Duration::from_millis(RECONNECT_MAX_MS.into()));
                stop.run_until_cancelled(pause).await;
            }
        }
    }
}
