//! The control API: what operators and their programs do with live inputs, streams on air, access tokens and recordings. JSON over HTTP,
//! errors as `application/problem+json` (RFC 9457), described by `/api/v1/openapi.json`.

mod answers;
mod audit;
mod auth;
mod body;
mod browsers;
mod cloudflare;
mod docs_page;
mod fleet;
mod idempotency;
mod limits;
mod live_inputs;
mod moderation;
mod openapi;
mod page;
mod precondition;
mod problem;
mod recordings;
mod request_id;
mod response;
mod schema;
mod streams;
mod tokens;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use governor::clock::DefaultClock;
use headwater_directory::Directory;
use headwater_media::StreamId;
use headwater_platform::store::ObjectStore;
use headwater_recordings::Layout;
use headwater_registry::Registry;
use headwater_runtime::config::{InputMode, Secret};
use headwater_runtime::http::{Handler, Patience, Versions};
use headwater_runtime::listener::Listener;
use headwater_wire::Channels;
use http::Request;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;
use tracing::info;

pub use answers::{Recording, RecordingPage};
use auth::{Peer, TokenCache};
pub use fleet::KnownServers;
use idempotency::Attempts;
use limits::Limits;
use problem::Problem;

/// Operators and their programs; more are a mistake or an attack. Of more, idle ones give way.
pub const MAX_CONNECTIONS: usize = 256;

/// Cache that holds something of recordings.
#[async_trait]
pub trait RecordingCache: Send + Sync + 'static {
    /// Forgets a recording that was deleted.
    async fn forget(&self, layout: &Layout);
}

/// Resources that the API works on, and who may use it.
pub struct Control {
    /// The store of recordings; none where nothing is stored.
    pub store: Option<Arc<dyn ObjectStore>>,
    /// Cache that is told of deletions.
    pub cache: Arc<dyn RecordingCache>,
    /// Live inputs and access tokens; none where they are not kept.
    pub directory: Option<Directory>,
    /// Registry that is told of changed inputs, and that knows servers, owners of streams, and viewers.
    pub registry: Arc<dyn Registry>,
    /// Servers to ask while the registry does not answer.
    pub servers: Arc<dyn KnownServers>,
    /// Connections to servers.
    pub channels: Arc<Channels>,
    /// Live inputs of the configuration, which the API shows and does not change.
    pub file_inputs: Vec<StreamId>,
    /// Whether the stream keys of live inputs are secrets, or the names of their streams.
    pub input_mode: InputMode,
    /// Token with every right. Without it, nobody has to show one: the listener is on a loopback address then.
    pub token: Option<Secret>,
    /// URLs at which others reach the services.
    pub public: PublicUrls,
}

/// URLs at which publishers and viewers reach the services, without a slash at their ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicUrls {
    /// URL that publishers enter beside the stream key, as in `rtmp://live.example/live`; `null` is shown without it.
    pub rtmp_url: Option<String>,
    /// The same over TLS, as in `rtmps://live.example:1936/live`.
    pub rtmps_url: Option<String>,
    /// Beginning of the addresses of media; without it they are paths on the origins.
    pub playback_url: Option<String>,
}

impl PublicUrls {
    /// Beginning of all addresses of a stream, without a slash at its end.
    fn folder_of(&self, stream: &str) -> String {
        format!("{}/{stream}", self.playback_url.as_deref().unwrap_or_default())
    }
}

/// Answers until `drain` is cancelled, and then until the requests under way are answered.
///
/// # Errors
/// When the listener is broken.
pub async fn serve(control: Control, listener: Listener, drain: CancellationToken) -> io::Result<()> {
    info!(address = %listener.local_addr(), "the control API listens");
    let tasks = TaskTracker::new();
    let api = Arc::new(Api { router: router(Arc::new(Shared::new(control))), tasks: tasks.clone() });
    let served =
        headwater_runtime::http::serve(api, listener, Versions::Http1, Patience::OPERATORS, drain).await;
    tasks.close();
    tasks.wait().await;
    served
}

/// The API as its listener knows it.
struct Api {
    router: Router,
    tasks: TaskTracker,
}

impl Handler for Api {
    type Body = axum::body::Body;

    /// A request goes on to its end also when its caller has left: a change that the store has taken is then audited, and
    /// is found under its idempotency key.
    async fn handle(&self, from: IpAddr, request: Request<Incoming>) -> Response {
        let mut router = self.router.clone();
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Peer(from));
        let answered = self.tasks.spawn(async move { router.call(request).await });
        match answered.await {
            Ok(Ok(response)) => response,
            Ok(Err(impossible)) => match impossible {},
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
}

/// State that the handlers share.
struct Shared {
    control: Control,
    tokens: TokenCache,
    limits: Limits,
    attempts: Attempts,
}

impl Shared {
    fn new(control: Control) -> Self {
        Self {
            control,
            tokens: TokenCache::new(),
            limits: Limits::new(DefaultClock::default()),
            attempts: Attempts::new(),
        }
    }

    fn directory(&self) -> Result<&Directory, Problem> {
        self.control.directory.as_ref().ok_or_else(Problem::no_directory)
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let recording = get(recordings::get_recording).delete(recordings::delete_recording);
    let input =
        get(live_inputs::get_input).patch(live_inputs::update_input).delete(live_inputs::delete_input);
    let cloudflare = cloudflare::routes()
        .layer(from_fn_with_state(shared.clone(), auth::admit))
        .layer(from_fn(cloudflare::wrap_problem));
    Router::new()
        .route("/api/v1/live-inputs", get(live_inputs::list_inputs).post(live_inputs::create_input))
        .route("/api/v1/live-inputs/{uid}", input)
        .route("/api/v1/live-inputs/{uid}/rotate-key", post(live_inputs::rotate_key))
        .route("/api/v1/streams", get(streams::list_streams))
        .route("/api/v1/streams/{stream}", get(streams::get_stream))
        .route("/api/v1/streams/{stream}/health", get(streams::get_health))
        .route("/api/v1/streams/{stream}/disconnect", post(moderation::disconnect_stream))
        .route("/api/v1/streams/{stream}/block", post(moderation::block_stream))
        .route("/api/v1/streams/{stream}/unblock", post(moderation::unblock_stream))
        .route("/api/v1/streams/{stream}/recordings", get(recordings::list_recordings))
        .route("/api/v1/streams/{stream}/recordings/{broadcast}", recording)
        .route("/api/v1/tokens", get(tokens::list_tokens).post(tokens::create_token))
        .route("/api/v1/tokens/{id}", delete(tokens::delete_token))
        .layer(from_fn_with_state(shared.clone(), auth::admit))
        .merge(cloudflare)
        .merge(docs_page::routes())
        .route("/api/v1/openapi.json", get(openapi::get_description))
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(shared)
}
