//! Live inputs of the directory, as an encoder meets them.

use std::path::Path;

use headwater_directory::{Directory, InputRecording, InputSettings, RecordingMode, open_directory};
use headwater_media::broadcast::PolicyOverrides;
use headwater_registry::Registry;
use headwater_runtime::clock;
use headwater_runtime::config::{Config, Input, InputMode, Secret, StoreUrl};

use crate::support::{Encoder, TestProxy, TestServer, media};

fn configure(config: &mut Config, folder: &Path) {
    config.input_mode = InputMode::Keys;
    config.directory.url = StoreUrl::Directory(folder.to_owned());
    config.directory.secret = Secret::new("0123456789abcdef");
}

async fn directory(folder: &Path) -> Directory {
    let mut config = Config::defaults();
    configure(&mut config, folder);
    open_directory(&config.directory, &config.store).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_server_is_told_the_settings_of_the_live_input_with_each_call() {
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(folder.path()).await;
    let settings = InputSettings {
        recording: InputRecording { mode: Some(RecordingMode::Off), timeout_seconds: 5 },
        delete_recording_after_days: Some(1),
        ladder: vec!["640x360@800k".parse().unwrap()],
        dvr_window: Some(0),
        ..InputSettings::default()
    };
    let input = directory.create_input(None, settings.clone(), clock::now()).await.unwrap();
    let named = Input { stream: "named".parse().unwrap(), key: "a key of the file".parse().unwrap() };
    let proxy = TestProxy::with(|config| {
        configure(config, folder.path());
        config.inputs = vec![named];
    })
    .await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut told = async |key: &str| {
        let _encoder = Encoder::request(proxy.address, key).await;
        let overrides = server.call().await.open.overrides.unwrap();
        PolicyOverrides::try_from(overrides).unwrap()
    };
    assert_eq!(told(input.stream_key.expose()).await, settings.policy_overrides());
    assert_eq!(told("a key of the file").await, PolicyOverrides::default());
}

/// OBS gives up after any refusal of its first publication.
#[tokio::test]
async fn an_encoder_whose_key_can_not_be_looked_up_is_sent_away_in_a_way_in_which_it_tries_again() {
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(folder.path()).await;
    let input = directory.create_input(None, InputSettings::default(), clock::now()).await.unwrap();
    let document = folder.path().join(format!("inputs/{}.json", input.uid));
    let whole = std::fs::read(&document).unwrap();
    std::fs::write(&document, "damaged").unwrap();
    let proxy = TestProxy::with(|config| configure(config, folder.path())).await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;

    let mut encoder = Encoder::request(proxy.address, input.stream_key.expose()).await;
    encoder.accepted().await;
    let told = encoder.sent_away().await;
    let text = "stream keys can't be looked up just now: try again in a moment";
    assert_eq!(told, ("NetStream.Failed".into(), text.into()));
    assert!(!server.was_called(), "nobody was let in");
    std::fs::write(&document, whole).unwrap();
    let _encoder = Encoder::request(proxy.address, input.stream_key.expose()).await;
    assert_eq!(server.call().await.open.stream, input.uid.as_str());
}

#[tokio::test]
async fn a_key_of_the_directory_opens_its_stream_until_the_input_is_disabled() {
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(folder.path()).await;
    let input = directory.create_input(None, InputSettings::default(), clock::now()).await.unwrap();
    let proxy = TestProxy::with(|config| configure(config, folder.path())).await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;

    let (code, _) = Encoder::request(proxy.address, input.uid.as_str()).await.refused().await;
    assert_eq!(code, "NetStream.Publish.BadName", "the stream's name is no key");
    let mut encoder = Encoder::request(proxy.address, input.stream_key.expose()).await;
    let call = server.call().await;
    assert_eq!(call.open.stream, input.uid.as_str());
    call.accept(0).await;
    encoder.accepted().await;
    encoder.headers().await;
    encoder.video(0, media::keyframe(b"picture")).await;

    let disable = |settings: &mut InputSettings| settings.enabled = false;
    directory.change_input(&input.uid, None, clock::now(), disable).await.unwrap();
    proxy.registry.announce_input(&input.uid).await.unwrap();
    let (code, text) = encoder.sent_away().await;
    assert_eq!(code, "NetStream.Publish.BadName");
    assert_eq!(text, "this live input is disabled: enable it, or use another stream key");
    let (_, text) = Encoder::request(proxy.address, input.stream_key.expose()).await.refused().await;
    assert_eq!(text, "this live input is disabled: enable it, or use another stream key");
}
