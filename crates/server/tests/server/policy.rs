//! Policies of broadcasts: a server that goes on with a broadcast keeps the settings that the broadcast was begun with.

use std::fs;
use std::path::Path;
use std::time::Duration;

use headwater_media::MediaSequence;
use headwater_media::broadcast::RecordedRenditions;
use headwater_runtime::config::{Config, RecordingMode, Size, StoreUrl};
use headwater_wire::v2::policy::Recording;
use headwater_wire::v2::publish_request::{Message as Request, Open};
use headwater_wire::v2::{Policy, ResumePoint};
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
    let epoch = match server.owner("demo").await {
        Some(owner) => owner.epoch,
        None => server.claim("demo").await,
    };
    let stream = "demo".into();
    let publisher = publisher.into();
    let policy = Some(policy.clone());
    let open = Open { stream, epoch: epoch.0, publisher, policy, ..Open::default() };
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
