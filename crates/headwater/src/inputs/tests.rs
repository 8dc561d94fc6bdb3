use std::sync::Arc;

use async_trait::async_trait;
use clap::Parser;
use headwater_control::{Control, KnownServers, PublicUrls, RecordingCache};
use headwater_directory::{Directory, NewToken, Scope, Sealer};
use headwater_platform::store::testing::MemoryStore;
use headwater_recordings::Layout;
use headwater_registry::{MemoryRegistry, Ttls};
use headwater_runtime::clock;
use headwater_runtime::config::InputMode;
use headwater_runtime::listener::{Limits, Listener};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

struct NoCache;

#[async_trait]
impl RecordingCache for NoCache {
    async fn forget(&self, _layout: &Layout) {}
}

struct NoServers;

impl KnownServers for NoServers {
    fn addresses(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Control API over a directory in memory.
struct Running {
    directory: Directory,
    url: String,
    folder: tempfile::TempDir,
    _drain: DropGuard,
}

impl Running {
    async fn start() -> Self {
        let directory = Directory::new(Arc::new(MemoryStore::new()), Sealer::new("a secret of a test", None));
        let config =
            headwater_runtime::config::File { path: "hw.toml", text: "control.token = \"0123456789abcdef\"" };
        let loaded =
            headwater_runtime::config::load(headwater_runtime::config::Service::AllInOne, Some(config), []);
        let control = Control {
            store: None,
            cache: Arc::new(NoCache),
            directory: Some(directory.clone()),
            registry: Arc::new(MemoryRegistry::new(Ttls::default())),
            servers: Arc::new(NoServers),
            channels: Arc::default(),
            file_inputs: Vec::new(),
            input_mode: InputMode::Keys,
            token: loaded.unwrap().config.control.token,
            public: PublicUrls::default(),
        };
        let any_port = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(any_port, "control.listen", Limits::total(4)).await.unwrap();
        let url = format!("http://{}", listener.local_addr());
        let drain = CancellationToken::new();
        tokio::spawn(headwater_control::serve(control, listener, drain.clone()));
        let folder = tempfile::tempdir().unwrap();
        Self { directory, url, folder, _drain: drain.drop_guard() }
    }

    /// Runs a command with a token of these rights.
    async fn run(&self, scopes: &[Scope], words: &[&str]) -> anyhow::Result<String> {
        let new = NewToken { name: "a test".into(), scopes: scopes.to_vec(), expires: None };
        let (_, token) = self.directory.create_token(new, clock::now()).await.unwrap();
        let file = self.folder.path().join("token");
        std::fs::write(&file, format!("{}\n", token.expose())).unwrap();
        let file = file.display().to_string();
        let options = ["--api", &self.url, "--token-file", &file];
        let words = ["inputs"].iter().chain(words).chain(&options);
        perform(&Command::parse_from(words).arguments).await
    }
}

#[tokio::test]
async fn an_input_is_made_shown_given_a_new_key_and_deleted() {
    let api = Running::start().await;
    let all = [Scope::InputsRead, Scope::InputsWrite, Scope::InputsKeys];
    let made = api.run(&all, &["create", "--name", "studio", "--allow", "192.0.2.0/24"]).await.unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made["allowedAddresses"], json!(["192.0.2.0/24"]));
    let uid = made["uid"].as_str().unwrap();
    assert_eq!(api.run(&all, &["list"]).await.unwrap(), format!("{uid}\tenabled\tstudio\n"));
    let rotated = api.run(&all, &["rotate-key", uid]).await.unwrap();
    let rotated: Value = serde_json::from_str(&rotated).unwrap();
    assert_ne!(rotated["rtmp"]["streamKey"], made["rtmp"]["streamKey"]);
    let shown = api.run(&[Scope::InputsRead], &["show", uid]).await.unwrap();
    assert!(shown.contains("\"streamKey\": \"xxxxx\""), "{shown}");
    assert_eq!(api.run(&all, &["delete", uid]).await.unwrap(), format!("{uid} is deleted\n"));
    assert_eq!(api.run(&all, &["list"]).await.unwrap(), "");
}

#[tokio::test]
async fn a_refusal_says_why() {
    let api = Running::start().await;
    let error = api.run(&[Scope::InputsRead], &["create"]).await.unwrap_err().to_string();
    assert!(error.starts_with("403 Forbidden: ") && error.contains("inputs:write"), "{error}");
    let error = api.run(&[Scope::InputsWrite], &["create", "--allow", "here"]).await.unwrap_err().to_string();
    assert!(error.contains("\n  /allowedAddresses/0: "), "{error}");
    let words = ["inputs", "list", "--api", "https://127.0.0.1:8081"];
    let error = perform(&Command::parse_from(words).arguments).await.unwrap_err().to_string();
    assert!(error.contains("looks like http://"), "{error}");
}
