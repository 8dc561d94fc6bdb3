//! Workers that fail cost their own session, and say why.

use std::sync::Arc;
use std::time::Duration;

use headwater_registry::{MemoryRegistry, Registry, Ttls};
use headwater_runtime::config::{Config, File, Service, WorkerSandbox, load};
use headwater_runtime::process::Process;
use headwater_runtime::readiness::Readiness;
use headwater_server::WorkerCommand;
use headwater_wire::v2::failure::Code;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::stub::{LAG, Order};
use crate::support::{Call, Source, TestServer, Watcher, eventually, name};

fn impatient(config: &mut Config) {
    config.server.worker_stall_timeout = Duration::from_millis(300);
    config.server.worker_stop_timeout = Duration::from_millis(500);
}

/// Publishes until the worker, which is given this order, is found out; then the next publisher has to work.
async fn misbehave(order: Order) -> (Code, String) {
    let server = TestServer::with(impatient).await;
    let mut source = Source::publish(&server, "demo").await;
    let broadcast = source.accepted.broadcast.clone();
    source.period().await;
    source.keyframes(1).await;
    source.committed().await;
    source.order(order).await;
    let failure = source.until_sent_away().await;
    let mut next = Source::publish(&server, "demo").await;
    assert_eq!((next.accepted.broadcast.clone(), next.accepted.period), (broadcast, 1));
    next.period().await;
    next.keyframes(1).await;
    assert_eq!(next.committed().await.period, 1);
    (failure.code(), failure.message)
}

fn failed(how: &str) -> (Code, String) {
    (Code::WorkerFailed, format!("the transcoder failed: {how}"))
}

#[tokio::test]
async fn one_that_exits() {
    assert_eq!(misbehave(Order::Exit).await, failed("it exited without a word"));
}

#[tokio::test]
async fn one_that_says_what_failed() {
    assert_eq!(misbehave(Order::Fail).await, (Code::UnsupportedMedia, "h264parse: no picture in it".into()));
}

#[tokio::test]
async fn one_that_talks_nonsense() {
    let (code, message) = misbehave(Order::Garbage).await;
    assert_eq!(code, Code::WorkerFailed);
    assert_eq!(message, "the transcoder failed: its pipe broke");
}

#[tokio::test]
async fn one_that_makes_frames_of_a_rendition_that_there_is_not() {
    assert_eq!(misbehave(Order::Stray).await, failed("the period has no rendition 7"));
}

#[tokio::test]
async fn one_whose_frames_go_back() {
    assert_eq!(misbehave(Order::Back).await, failed("rendition 720p has a frame with a wrong time"));
}

#[tokio::test]
async fn one_whose_parts_do_not_end() {
    assert_eq!(misbehave(Order::Endless).await, failed("parts do not end"));
}

#[tokio::test]
async fn one_that_finishes_in_the_middle_of_a_rendition() {
    assert_eq!(misbehave(Order::Open).await, failed("rendition 720p does not end with its period"));
}

#[tokio::test]
async fn one_that_takes_media_and_gives_none() {
    assert_eq!(misbehave(Order::Mute).await, failed("it took media and gave none"));
}

#[tokio::test]
async fn one_that_stands_still() {
    assert_eq!(misbehave(Order::Freeze).await, failed("it took media and gave none"));
}

#[tokio::test]
async fn one_that_is_slow_at_the_end_is_waited_for() {
    let server = TestServer::with(|config| config.server.worker_stop_timeout = LAG * 3).await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    source.keyframes(1).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.order(Order::Lag).await;
    source.keyframes(8).await;
    source.end().await;
    assert_eq!(source.last_word().await, None, "nothing has failed");
    watcher.segments(9).await;
}

#[tokio::test]
async fn one_that_stands_still_after_it_has_given_something() {
    let server = TestServer::with(impatient).await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    source.keyframes(1).await;
    source.committed().await;
    source.order(Order::Stick).await;
    source.large_keyframe().await;
    let failure = source.until_sent_away().await;
    assert_eq!((failure.code(), failure.message), failed("it took media and gave none"));
}

#[tokio::test]
async fn one_whose_publisher_pauses_is_not_taken_for_stuck() {
    let server = TestServer::with(impatient).await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    source.keyframes(1).await;
    source.committed().await;
}

#[tokio::test]
async fn too_many_end_the_broadcast_and_the_stream_is_refused_for_a_while() {
    let server = TestServer::with(|config| {
        impatient(config);
        config.server.worker_restarts = 1;
    })
    .await;
    let mut other = Source::publish(&server, "other").await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    source.keyframes(1).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.crash().await;
    Source::publish(&server, "demo").await.crash().await;
    watcher.until("the broadcast has ended", |window| window.ended()).await;
    let epoch = server.owner("demo").await.unwrap().epoch;
    let refused = Call::open(&server, "demo", epoch).await.accepted().await.err().unwrap();
    let text = "refused for a moment, as its transcoder failed 2 times: the transcoder failed: it exited without a word";
    assert_eq!(name(&refused), (Code::WorkerFailed, text));
    other.period().await;
    other.keyframes(1).await;
    other.committed().await;
}

#[tokio::test]
async fn what_a_publisher_has_cost_other_servers_counts() {
    let server = TestServer::with(|config| config.server.worker_restarts = 2).await;
    let epoch = server.claim("demo").await;
    let source = Call::costly(&server, "demo", epoch, 2).await.accepted().await.unwrap();
    source.crash().await;
    let refused = Call::open(&server, "demo", epoch).await.accepted().await.err().unwrap();
    let text = "refused for a moment, as its transcoder failed 3 times: the transcoder failed: it exited without a word";
    assert_eq!(name(&refused), (Code::WorkerFailed, text));
}

#[tokio::test]
async fn one_that_does_not_start_is_started_again() {
    let directory = std::env::temp_dir().join(format!("headwater-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&directory).unwrap();
    // The workers that the server tries out when it starts do; of a publisher's the third one does.
    let first = format!(
        "cd {}; for n in 0 1 2 3; do mkdir $n 2>/dev/null && {{ [ $n -lt 2 ] && break; exit 1; }}; done; exec \"$@\"",
        directory.display()
    );
    let WorkerCommand { program, arguments } = crate::support::stub::command();
    let mut all = vec!["-c".into(), first, "sh".into(), program.to_string_lossy().into_owned()];
    all.extend(arguments);
    let worker = WorkerCommand { program: "/bin/sh".into(), arguments: all };
    let server = TestServer::with_worker(worker, |_| {}).await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    source.keyframes(1).await;
    source.committed().await;
    std::fs::remove_dir_all(directory).unwrap();
}

/// Refusal of a publisher that then goes elsewhere: it says nothing of the machine's inside.
const ELSEWHERE: (Code, &str) = (Code::NoCapacity, "this server can't start a transcoder just now");

#[tokio::test]
async fn one_that_does_not_start_is_its_servers_failure() {
    let command = |program: &str, argument: &str| WorkerCommand {
        program: program.into(),
        arguments: vec![argument.into()],
    };
    let workers = [("sleep", "60"), ("true", ""), ("/no/such/program", "")];
    for worker in workers.map(|(program, argument)| command(program, argument)) {
        let impatient = |config: &mut Config| config.server.worker_start_timeout = Duration::from_millis(300);
        let server = TestServer::with_worker(worker, impatient).await;
        assert_eq!(server.record.capacity_millicores, 0, "it says so before anybody comes");
        assert_eq!(server.readiness.missing(), ["server: no worker can be started"]);
        let epoch = server.claim("demo").await;
        let failure = Call::open(&server, "demo", epoch).await.accepted().await.err().unwrap();
        assert_eq!(failure.code(), Code::NoCapacity);
        assert!(!failure.message.contains("os error"), "{}", failure.message);
    }
}

/// Workers that start as long as nothing stands in their way.
struct Way(std::path::PathBuf);

impl Way {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("headwater-{}", uuid::Uuid::now_v7())))
    }

    fn worker(&self) -> WorkerCommand {
        let WorkerCommand { program, arguments } = crate::support::stub::command();
        let first = format!("[ -e {} ] && exit 1; exec \"$@\"", self.0.display());
        let mut all = vec!["-c".into(), first, "sh".into(), program.to_string_lossy().into_owned()];
        all.extend(arguments);
        WorkerCommand { program: "/bin/sh".into(), arguments: all }
    }

    fn block(&self) {
        std::fs::write(&self.0, "").unwrap();
    }

    fn clear(&self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_server_whose_workers_do_not_start_any_more_offers_no_room_until_they_do() {
    let way = Way::new();
    let server = TestServer::with_worker(way.worker(), |_| {}).await;
    assert!(server.record.capacity_millicores > 0 && server.readiness.is_ready());
    let mut live = Source::publish(&server, "live").await;
    live.period().await;
    way.block();
    let epoch = server.claim("demo").await;
    let failure = Call::open(&server, "demo", epoch).await.accepted().await.err().unwrap();
    assert_eq!(name(&failure), ELSEWHERE);
    server.offers(false).await;
    assert_eq!(server.readiness.missing(), ["server: no worker can be started"]);
    live.keyframes(1).await;
    live.committed().await;
    let is_gone = async || server.broadcast("demo").await.is_none().then_some(());
    eventually("nothing of it stays", is_gone).await;
    way.clear();
    server.offers(true).await;
    let mut next = Source::publish(&server, "demo").await;
    next.period().await;
    next.keyframes(1).await;
    next.committed().await;
}

#[tokio::test]
async fn a_publisher_that_comes_back_where_no_worker_starts_is_told_where_it_goes_on_elsewhere() {
    let way = Way::new();
    let server = TestServer::with_worker(way.worker(), |_| {}).await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    source.keyframes(1).await;
    let broadcast = source.accepted.broadcast.clone();
    let committed = source.committed().await;
    source.end().await;
    server.unpublished("demo").await;
    way.block();
    let back = Source::publish(&server, "demo").await;
    assert_eq!((back.accepted.broadcast.clone(), back.accepted.period), (broadcast, 1));
    assert!(back.accepted.next_sequence >= committed.next_sequence);
    assert_eq!(name(&back.last_word().await.unwrap()), ELSEWHERE);
    // Viewers stay until another server has it.
    assert!(server.broadcast("demo").await.is_some());
}

/// A worker that says that the machine can't do something.
fn unconfined() -> WorkerCommand {
    let script = "[ \"$WORKER_SANDBOX\" = check ] && echo 'file access by Landlock: no'";
    WorkerCommand { program: "sh".into(), arguments: ["-c", script].map(Into::into).into() }
}

#[tokio::test]
async fn a_server_whose_workers_must_be_confined_and_can_not_takes_nothing_and_says_why() {
    let mut config = Config::defaults();
    config.server.grpc_listen = "127.0.0.1:0".parse().unwrap();
    config.server.worker_sandbox = WorkerSandbox::Required;
    let registry = MemoryRegistry::new(Ttls::default());
    let readiness = Readiness::default();
    let drain = CancellationToken::new();
    let tasks = TaskTracker::new();
    let latches = readiness.clone();
    let stop = drain.clone();
    let process = Process { config: config.into(), readiness, drain, tasks };
    let mut running = tokio::spawn(headwater_server::run(process, Arc::new(registry.clone()), unconfined()));
    // Time for a server that goes on to be registered: it is, in the next test, within a few milliseconds.
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut running).await.is_err());
    assert_eq!(latches.missing(), ["worker sandbox"]);
    assert!(registry.servers().await.unwrap().is_empty());
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_prefers_confined_workers_goes_on_without() {
    TestServer::with_worker(unconfined(), |config| {
        config.server.worker_sandbox = WorkerSandbox::Preferred;
    })
    .await;
}

/// A store that never answers keeps every segment waiting, and the worker gets stuck meanwhile.
#[tokio::test]
async fn segments_that_wait_for_the_store_are_committed_before_the_publisher_is_sent_away() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let server = TestServer::with(|config| {
        impatient(config);
        let text =
            format!("store.url = \"s3://bucket\"\nstore.endpoint = \"{endpoint}\"\nrecording.spool_size = 0");
        let file = File { path: "hw.toml", text: &text };
        let stored = load(Service::AllInOne, Some(file), []).unwrap().config;
        (config.store, config.recording) = (stored.store, stored.recording);
        config.hls.segment_duration = Duration::from_secs(10);
    })
    .await;
    let mut source = Source::publish(&server, "demo").await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.period().await;
    source.keyframes(2).await;
    watcher.segments(2).await;
    source.order(Order::Mute).await;
    let (last, failure) = source.until_last_words().await;
    assert_eq!((failure.code(), failure.message), failed("it took media and gave none"));
    let next = last.expect("the segments are committed").next_sequence;
    assert_eq!(next, watcher.window.next_uncommitted().0);
}
