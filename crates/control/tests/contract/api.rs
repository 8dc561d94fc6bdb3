//! API over a store in memory, and its callers.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use headwater_control::{Control, PublicUrls, RecordingCache, serve};
use headwater_directory::{Directory, NewToken, Scope, Sealer};
use headwater_media::UnixMillis;
use headwater_platform::store::testing::MemoryStore;
use headwater_recordings::Layout;
use headwater_registry::{MemoryRegistry, Ttls};
use headwater_runtime::clock;
use headwater_runtime::config::{File, InputMode, Service, load};
use headwater_runtime::listener::{Limits, Listener};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::subscriber::DefaultGuard;

use crate::streams::Known;

/// Token of the settings.
pub const ROOT: &str = "0123456789abcdef-token";

/// API that listens, with all that it logs.
pub struct Api {
    pub store: MemoryStore,
    pub directory: Directory,
    pub registry: MemoryRegistry,
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    log: Log,
    _logging: DefaultGuard,
    _drain: DropGuard,
}

/// Answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// Last part of the problem's URN.
    pub fn problem(&self) -> &str {
        self.body["type"].as_str().unwrap().strip_prefix("urn:headwater:problem:").unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// Pointers of the fields that were not accepted.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().unwrap();
        errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    }
}

impl Api {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// API whose parts are changed before it starts.
    pub async fn start_with(change: impl FnOnce(&mut Control)) -> Self {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        let logging = tracing::subscriber::set_default(subscriber);
        let store = MemoryStore::new();
        let directory =
            Directory::new(Arc::new(store.clone()), Sealer::new("a secret of the operator", None));
        let registry = MemoryRegistry::new(Ttls::default());
        let mut control = Control {
            store: Some(Arc::new(MemoryStore::new())),
            cache: Arc::new(NoCache),
            directory: Some(directory.clone()),
            registry: Arc::new(registry.clone()),
            servers: Arc::new(Known(Vec::new())),
            channels: Arc::default(),
            file_inputs: vec!["studio".parse().unwrap()],
            input_mode: InputMode::Keys,
            token: Some(root_token()),
            public: PublicUrls {
                rtmp_url: Some("rtmp://live.example/live".into()),
                rtmps_url: Some("rtmps://live.example:1936/live".into()),
                playback_url: Some("https://cdn.example".into()),
            },
        };
        change(&mut control);
        let any_port = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(any_port, "control.listen", Limits::total(16)).await.unwrap();
        let address = listener.local_addr();
        let drain = CancellationToken::new();
        tokio::spawn(serve(control, listener, drain.clone()));
        Self {
            store,
            directory,
            registry,
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
            log,
            _logging: logging,
            _drain: drain.drop_guard(),
        }
    }

    /// Token with these rights.
    pub async fn token(&self, scopes: &[Scope]) -> String {
        self.token_until(scopes, None).await
    }

    pub async fn token_until(&self, scopes: &[Scope], expires: Option<UnixMillis>) -> String {
        let new = NewToken { name: "a test".into(), scopes: scopes.to_vec(), expires };
        self.directory.create_token(new, clock::now()).await.unwrap().1.expose()
    }

    /// Asks as the token of the settings.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_as(ROOT, method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    pub async fn ask_as(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        self.send(method, path, &headers, body).await
    }

    /// Asks as the token of the settings, with one header more.
    pub async fn ask_with(&self, header: (&str, &str), method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {ROOT}");
        let headers = [("authorization", &*bearer), ("content-type", "application/json"), header];
        self.send(method, path, &headers, body).await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_to(method, &format!("/api/v1{path}"), headers, body).await
    }

    /// Sends a request to any path, and not to one of this API's version only.
    pub async fn send_to(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let method: Method = method.parse().unwrap();
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let response = self.client.request(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Lines of the audit so far.
    pub fn audit(&self) -> Vec<String> {
        self.logged().lines().filter(|line| line.contains(" audit: ")).map(str::to_owned).collect()
    }

    /// Text that was logged so far.
    pub fn logged(&self) -> String {
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }
}

fn root_token() -> headwater_runtime::config::Secret {
    let text = format!("control.token = \"{ROOT}\"");
    let file = File { path: "test.toml", text: &text };
    load(Service::AllInOne, Some(file), []).unwrap().config.control.token.unwrap()
}

struct NoCache;

#[async_trait]
impl RecordingCache for NoCache {
    async fn forget(&self, _layout: &Layout) {}
}

/// Log that a test reads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
