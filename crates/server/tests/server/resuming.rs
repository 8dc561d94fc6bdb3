//! Publishers that were interrupted, and broadcasts that another server has begun or goes on with.

use std::time::Duration;

use headwater_media::MediaSequence;
use headwater_registry::{Claim, Ownership, Registry};
use headwater_wire::v2::failure::Code;
use headwater_wire::v2::media_event::PeriodStart;
use headwater_wire::v2::{Failure, ResumePoint, SegmentSettings, worker_input::Start};

use crate::support::stub::{Order, RENDITIONS, what_it_was_told};
use crate::support::{Call, Source, TestServer, Watcher, eventually, name, payload};

/// A broadcast that some other server has begun.
fn begun_elsewhere(kept: ResumePoint) -> ResumePoint {
    ResumePoint {
        broadcast: vec![7; 16].into(),
        settings: Some(SegmentSettings { segment_ms: 2_000, part_ms: 334 }),
        window_segments: 10,
        period: 3,
        start_us: Some(4_360_000),
        next_sequence: 500,
        discontinuity_sequence: 2,
        begun_as: kept.begun_as.map(|begun| PeriodStart { number: 3, ..begun }),
        kept: kept.kept,
        free_sequence: 502,
        policy: kept.policy,
    }
}

/// A point with renditions in it, as a server tells it.
async fn a_point() -> ResumePoint {
    let server = TestServer::start().await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    source.keyframes(1).await;
    source.committed().await
}

pub async fn resume(server: &TestServer, publisher: &str, point: &ResumePoint) -> Result<Source, Failure> {
    let epoch = match server.owner("demo").await {
        Some(owner) => owner.epoch,
        None => server.claim("demo").await,
    };
    Call::resume(server, "demo", epoch, publisher, Some(point.clone())).await.accepted().await
}

/// A publisher that has some segments on air, and where another server would go on.
pub async fn on_air(server: &TestServer, publisher: &str, segments: u64) -> (Source, ResumePoint) {
    let epoch = server.claim("demo").await;
    let opened = Call::resume(server, "demo", epoch, publisher, None).await;
    let mut source = opened.accepted().await.unwrap();
    source.period().await;
    source.keyframes(segments).await;
    let mut point = source.accepted.clone();
    for _ in 0..segments {
        point = source.committed().await;
    }
    (source, point)
}

fn told(point: &ResumePoint) -> String {
    let first_sequence = point.next_sequence;
    let resume_us = point.start_us;
    let kept = point.kept.clone();
    let begun_as = point.begun_as.clone();
    let ladder = point.policy.clone().unwrap().ladder;
    what_it_was_told(&Start { first_sequence, resume_us, kept, begun_as, ladder, ..Start::default() })
}

/// The orders of the newest segment's worker.
pub async fn tells(source: &mut Source, watcher: &mut Watcher) -> String {
    let next = watcher.window.next_sequence();
    source.order(Order::Tell).await;
    watcher.until("the worker tells", |window| window.committed() == Some(next)).await;
    let part = watcher.window.part(&RENDITIONS[0].parse().unwrap(), next, Default::default()).unwrap();
    String::from_utf8(payload(&part.bytes).to_vec()).unwrap()
}

#[tokio::test]
async fn a_server_goes_on_with_what_it_has_never_seen() {
    let point = ResumePoint { window_segments: 30, ..begun_elsewhere(a_point().await) };
    let server = TestServer::start().await;
    let mut source = resume(&server, "p", &point).await.unwrap();
    assert_eq!(source.accepted, point);
    let mut watcher = Watcher::join(&server, "demo").await;
    assert_eq!(headwater_wire::broadcast_bytes(watcher.opening.broadcast), point.broadcast);
    assert_eq!((watcher.opening.first_sequence.0, watcher.opening.discontinuity_sequence), (500, 2));
    assert_eq!(watcher.opening.window_segments, 30, "as long as viewers know it");
    assert!(point.begun_as.is_some());
    source.go_on().await;
    source.keyframes(1).await;
    let next = source.committed().await;
    assert_eq!((next.period, next.start_us, next.next_sequence), (3, Some(6_360_000), 501));
    assert_eq!((next.broadcast, next.discontinuity_sequence), (point.broadcast.clone(), 2));
    watcher.segments(1).await;
    assert_eq!(tells(&mut source, &mut watcher).await, told(&point));
}

#[tokio::test]
async fn whoever_comes_instead_of_the_interrupted_one_begins_a_new_period() {
    let point = begun_elsewhere(a_point().await);
    let server = TestServer::start().await;
    let mut left = resume(&server, "p", &point).await.unwrap();
    left.end().await;
    server.unpublished("demo").await;
    let next = Source::publish(&server, "demo").await;
    let next_sequence = 502;
    let free_sequence = 504;
    let start_us = None;
    let begun_as = None;
    let expected = ResumePoint { period: 4, start_us, begun_as, next_sequence, free_sequence, ..point };
    assert_eq!(next.accepted, expected);
}

/// Viewers of the server before have the beginning of two segments from there, under 500 and 501.
#[tokio::test]
async fn numbers_that_viewers_have_seen_do_not_come_back_as_something_else() {
    let point = begun_elsewhere(a_point().await);
    let server = TestServer::start().await;
    let mut left = resume(&server, "p", &point).await.unwrap();
    let mut watcher = Watcher::join(&server, "demo").await;
    assert_eq!(watcher.opening.first_sequence.0, 500);
    // A period, and nothing in it.
    left.period().await;
    left.end().await;
    server.unpublished("demo").await;
    let mut next = Source::publish(&server, "demo").await;
    assert_eq!((next.accepted.next_sequence, next.accepted.start_us), (502, None));
    next.period().await;
    next.keyframes(1).await;
    assert_eq!(next.committed().await.next_sequence, 503);
    watcher.until("the segment", |window| window.committed() == Some(MediaSequence(502))).await;
    let parts = |sequence| watcher.window.part(&RENDITIONS[0].parse().unwrap(), sequence, Default::default());
    assert!(parts(MediaSequence(502)).is_some());
    assert!([500, 501].into_iter().all(|number| parts(MediaSequence(number)).is_none()));
    let late = Watcher::join(&server, "demo").await;
    assert_eq!(late.opening.first_sequence.0, 502);
}

/// All servers were gone for longer than the proxy keeps media. The worker of the one that comes then crashes at once.
#[tokio::test]
async fn what_was_lost_is_left_out_behind_what_viewers_have_seen() {
    let point = begun_elsewhere(a_point().await);
    let server = TestServer::start().await;
    let mut source = resume(&server, "p", &point).await.unwrap();
    source.period_after_loss().await;
    assert_eq!(source.crash().await.code(), Code::WorkerFailed);
    let next_sequence = 502;
    let free_sequence = 504;
    let start_us = None;
    let begun_as = None;
    let anew = ResumePoint { period: 4, start_us, begun_as, next_sequence, free_sequence, ..point };
    let mut source = resume(&server, "p", &anew).await.unwrap();
    // Viewers were told that the period begins, and with which init segments.
    assert_eq!(
        source.accepted.begun_as.take().map(|begun| (begun.number, begun.first_sequence)),
        Some((4, 502))
    );
    assert_eq!(source.accepted, anew);
    source.period().await;
    source.keyframes(1).await;
    let next = source.committed().await;
    assert_eq!((next.period, next.next_sequence), (4, 503));
    let watcher = Watcher::join(&server, "demo").await;
    assert_eq!(watcher.opening.first_sequence.0, 502);
}

/// Its worker crashes, and by then the proxy has lost what should come next.
#[tokio::test]
async fn a_server_leaves_out_what_is_lost_of_its_own_broadcast() {
    let server = TestServer::start().await;
    let (mut source, point) = on_air(&server, "p", 2).await;
    // Of the next segment viewers have something.
    source.order(Order::Half).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    let rendition = RENDITIONS[0].parse().unwrap();
    let open = MediaSequence(point.next_sequence);
    let free = MediaSequence(point.free_sequence);
    watcher
        .until("half a segment", |window| window.part(&rendition, open, Default::default()).is_some())
        .await;
    assert_eq!(source.crash().await.code(), Code::WorkerFailed);
    let start_us = None;
    let begun_as = None;
    let free_sequence = free.0 + 2;
    let left_out =
        ResumePoint { period: 1, start_us, begun_as, next_sequence: free.0, free_sequence, ..point };
    let mut source = resume(&server, "p", &left_out).await.unwrap();
    assert_eq!((source.accepted.period, source.accepted.next_sequence), (1, free.0));
    source.period().await;
    source.keyframes(1).await;
    watcher.until("the new period", |window| window.committed() == Some(free)).await;
    let window = &watcher.window;
    assert!(
        window.segment(&rendition, open).is_some_and(|segment| segment.parts().len() == 1),
        "it ends there"
    );
    assert!(window.segment(&rendition, MediaSequence(free.0 - 1)).is_none(), "a gap");
    let more = ResumePoint { period: 2, next_sequence: free.0 + 12, ..left_out };
    assert_eq!(source.crash().await.code(), Code::WorkerFailed);
    let refused = resume(&server, "p", &more).await.err().unwrap();
    assert_eq!(refused.code(), Code::Fenced, "another server must have made something: it begins anew");
}

#[tokio::test]
async fn the_server_that_has_the_broadcast_goes_on_in_it() {
    let server = TestServer::start().await;
    let (source, point) = on_air(&server, "p", 2).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    assert_eq!(source.crash().await.code(), Code::WorkerFailed);
    let mut source = resume(&server, "p", &point).await.unwrap();
    assert_eq!(source.accepted, point);
    source.go_on().await;
    source.keyframes(1).await;
    let next = source.committed().await;
    assert_eq!((next.period, next.start_us), (0, Some(4_360_000)));
    assert_eq!(next.next_sequence, point.next_sequence + 1);
    watcher.segments(3).await;
    assert_eq!(tells(&mut source, &mut watcher).await, told(&point));
}

/// It was frozen, another server has gone on, and now that one is lost, too.
#[tokio::test]
async fn a_server_that_has_missed_a_part_of_a_broadcast_takes_it_over_anew() {
    let server = TestServer::start().await;
    let (_silent, point) = on_air(&server, "p", 2).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    let next_sequence = point.next_sequence + 3;
    let start_us = point.start_us.map(|start| start + 6_000_000);
    let later = ResumePoint { next_sequence, start_us, free_sequence: next_sequence + 2, ..point };
    let epoch = server.claim("demo").await;
    let mut source =
        Call::resume(&server, "demo", epoch, "p", Some(later.clone())).await.accepted().await.unwrap();
    assert_eq!(source.accepted, later);
    watcher.until_it_ends().await.unwrap();
    source.go_on().await;
    source.keyframes(1).await;
    assert_eq!(source.committed().await.next_sequence, next_sequence + 1);
    let watcher = Watcher::join(&server, "demo").await;
    assert_eq!((watcher.opening.first_sequence.0, watcher.opening.epoch), (next_sequence, epoch));
}

#[tokio::test]
async fn a_call_that_breaks_is_taken_up_where_the_worker_had_come_to() {
    let server = TestServer::start().await;
    let (mut source, point) = on_air(&server, "p", 2).await;
    // The proxy never hears of the third.
    source.keyframes(1).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    watcher.segments(3).await;
    source.break_off();
    server.unpublished("demo").await;
    let mut source = resume(&server, "p", &point).await.unwrap();
    assert_eq!((source.accepted.period, source.accepted.start_us), (0, Some(4_360_000)));
    assert_eq!(source.accepted.next_sequence, point.next_sequence + 1);
    source.go_on().await;
    source.keyframes(1).await;
    watcher.segments(4).await;
    assert_eq!(watcher.window.resume_point().period.0, 0);
}

#[tokio::test]
async fn a_call_is_replaced_by_a_later_one_of_the_same_connection() {
    let server = TestServer::with(|config| config.server.silent_publisher = Duration::from_secs(3600)).await;
    let (first, point) = on_air(&server, "p", 1).await;
    let mut second = resume(&server, "p", &point).await.unwrap();
    assert_eq!(first.last_word().await.unwrap().code(), Code::StreamInUse);
    second.go_on().await;
    second.keyframes(1).await;
    assert_eq!(second.committed().await.next_sequence, point.next_sequence + 1);
}

#[tokio::test]
async fn nobody_goes_on_where_somebody_else_has() {
    let server = TestServer::start().await;
    let (mut source, point) = on_air(&server, "p", 2).await;
    source.end().await;
    server.unpublished("demo").await;
    let mut other = Source::publish(&server, "demo").await;
    other.period().await;
    other.keyframes(1).await;
    other.committed().await;
    other.end().await;
    server.unpublished("demo").await;
    let refused = resume(&server, "p", &point).await.err().unwrap();
    let text = "another encoder has taken this stream over";
    assert_eq!(name(&refused), (Code::StreamInUse, text));
}

/// It has slept while another one had the stream, and heard of the claim that brought it back by renewing its lease.
#[tokio::test]
async fn a_server_that_has_missed_what_another_one_made_begins_behind_that() {
    let server = TestServer::with(|config| config.registry.lease = Duration::from_millis(300)).await;
    let (_source, point) = on_air(&server, "p", 1).await;
    claim_elsewhere(&server).await;
    let epoch = server.claim("demo").await;
    let has_heard = async || server.broadcast("demo").await.filter(|on_air| on_air.epoch == epoch.0);
    eventually("the server hears of its epoch", has_heard).await;
    let start_us = point.start_us.map(|us| us + 4_000_000);
    let next_sequence = point.next_sequence + 2;
    let point = ResumePoint { start_us, next_sequence, free_sequence: next_sequence + 2, ..point };
    let refused = resume(&server, "p", &point).await.err().unwrap();
    assert_eq!(name(&refused), (Code::Fenced, "the broadcast has just ended: claim the stream anew"));
    server.claim("demo").await;
    let source = resume(&server, "p", &point).await.unwrap();
    assert_eq!((source.accepted.start_us, source.accepted.next_sequence), (start_us, next_sequence));
}

#[tokio::test]
async fn nobody_goes_on_where_another_broadcast_is_on_air() {
    let server = TestServer::start().await;
    let (_source, point) = on_air(&server, "p", 1).await;
    let elsewhere = begun_elsewhere(point);
    let refused = resume(&server, "p", &elsewhere).await.err().unwrap();
    let text = "another broadcast of this stream is on air by now";
    assert_eq!(name(&refused), (Code::CannotResume, text));
}

#[tokio::test]
async fn nobody_goes_on_with_what_has_ended() {
    let server = TestServer::with(|config| config.server.reconnect_window = Duration::ZERO).await;
    let (mut source, point) = on_air(&server, "p", 1).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.end().await;
    watcher.until("the end", |window| window.ended()).await;
    // Claimed anew: under the old epoch it would be refused for that.
    server.claim("demo").await;
    let refused = resume(&server, "p", &point).await.err().unwrap();
    let text = "the broadcast has ended meanwhile: publish again";
    assert_eq!(name(&refused), (Code::CannotResume, text));
}

#[tokio::test]
async fn a_broadcast_that_comes_back_is_not_forgotten_with_its_first_stay() {
    let server = TestServer::with(|config| config.registry.lease = Duration::from_millis(300)).await;
    let (source, point) = on_air(&server, "p", 1).await;
    let theirs = claim_elsewhere(&server).await;
    assert_eq!(source.last_word().await.unwrap().code(), Code::Fenced);
    assert_ne!(server.claim("demo").await, theirs.epoch);
    let mut source = resume(&server, "p", &point).await.unwrap();
    source.go_on().await;
    source.keyframes(2).await;
    source.committed().await;
    let mut watcher = Watcher::join(&server, "demo").await;
    watcher.segments(2).await;
}

/// Claims the stream for another server, as the proxy does that has lost this one.
pub async fn claim_elsewhere(server: &TestServer) -> Ownership {
    let epoch = server.owner("demo").await.map(|owner| owner.epoch);
    let stream = "demo".parse().unwrap();
    let another = "another".parse().unwrap();
    let claim = server.registry.claim(&stream, &another, "192.0.2.1:7000", epoch).await.unwrap();
    let Claim::Granted(theirs) = claim else { panic!("{claim:?}") };
    theirs
}

#[tokio::test]
async fn whoever_watches_is_told_when_all_that_there_was_has_come() {
    let server = TestServer::start().await;
    let (mut source, point) = on_air(&server, "p", 3).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    watcher.catch_up().await;
    assert_eq!(watcher.window.committed().map(|last| last.0 + 1), Some(point.next_sequence));
    source.keyframes(1).await;
    watcher.segments(4).await;
}
