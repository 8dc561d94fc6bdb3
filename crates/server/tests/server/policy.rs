//! Policies of broadcasts: a server that goes on with a broadcast keeps the settings that the broadcast was begun with.

use std::fs;
use std::path::Path;
use std::time::Duration;

use headwater_media::MediaSequence;
use headwater_media::broadcast::RecordedRenditions;
use headwater_runtime::config::{Config, RecordingMode, Size, StoreUrl};
use headwater_wire::v2::policy::Recording;
use headwater_wire::v2::publish_request::{Message as Request, Open};
use headwater_wire::v2::{Policy, PolicyOverrides, ResumePoint};
use tonic::Status;

use crate::resuming::{on_air, resume, tells};
use crate::support::{Call, Source, TestServer, Watcher};

/// Point of a broadcast that a server of this configuration has begun.
async fn begun_by(change: impl FnOnce(&mut Config)) -> ResumePoint {
    let server = TestServer::with(change).await;
    on_air(&server, "p", 1).await.1
}

/// Server that keeps things in this directory.
fn storing(config: &mut Config, directory: &Path) {
    config.store.url = StoreUrl::Directory(directory.to_owned());
    config.recording.spool_size = Size(0);
}

fn segment_files(directory: &Path) -> usize {
    let count = |entry: fs::DirEntry| {
        if entry.file_type().unwrap().is_dir() {
            segment_files(&entry.path())
        } else {
            usize::from(entry.path().extension().is_some_and(|extension| extension == "m4s"))
        }
    };
    fs::read_dir(directory).unwrap().map(|entry| count(entry.unwrap())).sum()
}

/// Goes on with a broadcast for so many segments.
async fn go_on(server: &TestServer, point: &ResumePoint, segments: u64) -> (Source, ResumePoint) {
    let mut source = resume(server, "p", point).await.unwrap();
    assert_eq!(source.accepted.policy, point.policy);
    source.go_on().await;
    source.keyframes(segments).await;
    let mut next = point.clone();
    for _ in 0..segments {
        next = source.committed().await;
    }
    assert_eq!(next.policy, point.policy);
    (source, next)
}

#[tokio::test]
async fn a_period_that_begins_is_encoded_by_the_broadcasts_ladder() {
    let point = begun_by(|config| config.ladder.rungs.truncate(1)).await;
    let server = TestServer::start().await;
    let (mut source, _) = go_on(&server, &point, 1).await;
    source.end().await;
    server.unpublished("demo").await;
    let mut next = Source::publish(&server, "demo").await;
    assert_eq!((next.accepted.period, &next.accepted.policy), (1, &point.policy));
    let first = MediaSequence(next.accepted.next_sequence);
    next.period().await;
    next.keyframes(1).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    watcher.until("the period", |window| window.committed() >= Some(first)).await;
    let told = tells(&mut next, &mut watcher).await;
    assert!(told.ends_with(r#" ["720p"]"#), "{told}");
}

#[tokio::test]
async fn a_publisher_may_be_away_for_as_long_as_at_the_server_before() {
    let point = begun_by(|config| config.server.reconnect_window = Duration::ZERO).await;
    let server = TestServer::start().await;
    let (mut source, _) = go_on(&server, &point, 1).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.end().await;
    watcher.until("the end", |window| window.ended()).await;
}

#[tokio::test]
async fn a_broadcast_is_recorded_as_at_the_server_before() {
    let point = begun_by(|config| config.recording.dvr_window = Duration::from_secs(4)).await;
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::with(|config| {
        storing(config, directory.path());
        (config.recording.mode, config.recording.dvr_window) = (RecordingMode::Off, Duration::ZERO);
    })
    .await;
    let (_source, next) = go_on(&server, &point, 6).await;
    let last = next.next_sequence - 1;
    Watcher::join(&server, "demo").await.until_stored(last).await;
    assert_eq!(segment_files(directory.path()), 12);
    let mut late = Watcher::join(&server, "demo").await;
    late.until_stored(last).await;
    assert_eq!(late.stored, [last - 1, last], "viewers can go back for 4 s");
}

#[tokio::test]
async fn a_broadcast_that_is_not_stored_is_not_stored_by_the_next_server() {
    let point = begun_by(|config| {
        (config.recording.mode, config.recording.dvr_window) = (RecordingMode::Off, Duration::ZERO);
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::with(|config| storing(config, directory.path())).await;
    // A segment is committed when it is stored.
    let (_source, _) = go_on(&server, &point, 3).await;
    assert_eq!(segment_files(directory.path()), 0);
}

async fn open(server: &TestServer, publisher: &str, policy: &Policy) -> Result<Call, Status> {
    let policy = Some(policy.clone());
    begin(server, Open { publisher: publisher.into(), policy, ..Open::default() }).await
}

/// Opens a call of a publisher of the stream `demo`.
async fn begin(server: &TestServer, open: Open) -> Result<Call, Status> {
    let epoch = match server.owner("demo").await {
        Some(owner) => owner.epoch,
        None => server.claim("demo").await,
    };
    let open = Open { stream: "demo".into(), epoch: epoch.0, ..open };
    Call::begin(server, Request::Open(open)).await
}

#[tokio::test]
async fn a_broadcast_begins_with_the_policy_of_its_call() {
    let server = TestServer::start().await;
    let own = headwater_wire::v2::Policy::from(Config::defaults().policy(&"demo".parse().unwrap()));
    let policy = Policy { recording: Recording::Top.into(), dvr_window_ms: 5_000, ..own.clone() };
    let wrong = Policy { ladder: None, ..policy.clone() };
    let refused = open(&server, "p", &wrong).await.err().unwrap();
    assert_eq!(refused.message(), "the field `policy.ladder` is missing");
    let mut source = open(&server, "p", &policy).await.unwrap().accepted().await.unwrap();
    assert_eq!(source.accepted.policy.as_ref(), Some(&policy));
    source.period().await;
    source.keyframes(1).await;
    let point = source.committed().await;
    source.end().await;
    server.unpublished("demo").await;
    let next = open(&server, "q", &own).await.unwrap().accepted().await.unwrap();
    assert_eq!(next.accepted.policy.as_ref(), Some(&policy), "for the broadcast's whole life");

    let another = TestServer::with(|config| config.recording.renditions = RecordedRenditions::Top).await;
    let unknown = resume(&another, "p", &ResumePoint { policy: None, ..point }).await.unwrap();
    let its_own = Policy { recording: Recording::Top.into(), ..own };
    assert_eq!(unknown.accepted.policy, Some(its_own), "of a server that does not say it");
}

#[tokio::test]
async fn settings_of_the_live_input_count_over_the_servers_own_for_the_broadcasts_whole_life() {
    let server = TestServer::with(|config| config.recording.mode = RecordingMode::Off).await;
    let own = headwater_wire::v2::Policy::from(Config::defaults().policy(&"demo".parse().unwrap()));
    let rungs = own.ladder.clone().unwrap().rungs.split_off(1);
    let overrides = PolicyOverrides {
        rungs: rungs.clone(),
        is_recorded: Some(true),
        reconnect_window_ms: Some(5_000),
        retention_ms: Some(86_400_000),
        ..PolicyOverrides::default()
    };
    let mut larger_last = overrides.clone();
    larger_last.rungs.reverse();
    let call = |publisher: &str, overrides: &PolicyOverrides| Open {
        publisher: publisher.into(),
        overrides: Some(overrides.clone()),
        ..Open::default()
    };
    let refused = begin(&server, call("p", &larger_last)).await.err().unwrap();
    assert!(refused.message().starts_with("the field `overrides.rungs` is wrong"), "{}", refused.message());

    let mut source = begin(&server, call("p", &overrides)).await.unwrap().accepted().await.unwrap();
    let policy = source.accepted.policy.clone().unwrap();
    assert_eq!(policy.ladder.as_ref().unwrap().rungs, rungs);
    assert_eq!(policy.recording, i32::from(Recording::All), "as the configuration would record it");
    assert_eq!(policy.dvr_window_ms, own.dvr_window_ms, "the input does not say it");
    assert_eq!((policy.reconnect_window_ms, policy.retention_ms), (5_000, Some(86_400_000)));
    source.period().await;
    source.keyframes(1).await;
    let point = source.committed().await;
    source.end().await;
    server.unpublished("demo").await;

    let next = begin(&server, call("q", &PolicyOverrides::default())).await.unwrap();
    assert_eq!(
        next.accepted().await.unwrap().accepted.policy,
        Some(policy.clone()),
        "the first opening decides"
    );
    let another = TestServer::start().await;
    let taken_over = resume(&another, "p", &point).await.unwrap();
    assert_eq!(taken_over.accepted.policy, Some(policy), "and on every other server");
}
