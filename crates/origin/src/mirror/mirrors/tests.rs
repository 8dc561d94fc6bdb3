//! Tests of the making of mirrors, and of how long they live.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::future::join_all;
use headwater_media::Epoch;
use headwater_registry::{
    Claim, Handoff, MemoryRegistry, Ownership, Registry, RegistryError, ServerId, ServerRecord, Ttls,
    ViewerReport,
};
use headwater_runtime::readiness::Readiness;

use super::*;

/// Counts how often somebody asks for an owner.
struct Counting {
    memory: MemoryRegistry,
    asked: AtomicUsize,
    /// Is claimed right after the next answer was made.
    claimed_meanwhile: Mutex<Option<StreamId>>,
}

impl Counting {
    fn new() -> Arc<Self> {
        let memory = MemoryRegistry::new(Ttls::default());
        let asked = AtomicUsize::new(0);
        Arc::new(Self { memory, asked, claimed_meanwhile: Mutex::default() })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Gives the stream to a server that nobody reaches.
    async fn own(&self, stream: &StreamId) -> Epoch {
        let claim = self.memory.claim(stream, &"one".parse().unwrap(), "127.0.0.1:1", None).await.unwrap();
        let Claim::Granted(ownership) = claim else { panic!("{claim:?}") };
        ownership.epoch
    }
}

#[async_trait]
impl Registry for Counting {
    async fn claim(
        &self,
        stream: &StreamId,
        server: &ServerId,
        address: &str,
        expected: Option<Epoch>,
    ) -> Result<Claim, RegistryError> {
        self.memory.claim(stream, server, address, expected).await
    }
    async fn renew(&self, stream: &StreamId, ownership: &Ownership) -> Result<(), RegistryError> {
        self.memory.renew(stream, ownership).await
    }
    async fn next_turn(&self, stream: &StreamId, ownership: &Ownership) -> Result<Epoch, RegistryError> {
        self.memory.next_turn(stream, ownership).await
    }
    async fn release(&self, stream: &StreamId, server: &ServerId, epoch: Epoch) -> Result<(), RegistryError> {
        self.memory.release(stream, server, epoch).await
    }
    async fn hand_off(
        &self,
        stream: &StreamId,
        ownership: &Ownership,
        handoff: Option<&Handoff>,
    ) -> Result<(), RegistryError> {
        self.memory.hand_off(stream, ownership, handoff).await
    }
    async fn handoff(&self, stream: &StreamId) -> Result<Option<Handoff>, RegistryError> {
        self.memory.handoff(stream).await
    }
    async fn owner(&self, stream: &StreamId) -> Result<Option<Ownership>, RegistryError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.memory.owner(stream).await;
        let meanwhile = self.claimed_meanwhile.lock().unwrap().take();
        if let Some(stream) = meanwhile {
            self.own(&stream).await;
        }
        answer
    }
    async fn register_server(&self, record: &ServerRecord) -> Result<(), RegistryError> {
        self.memory.register_server(record).await
    }
    async fn unregister_server(&self, server: &ServerId) -> Result<(), RegistryError> {
        self.memory.unregister_server(server).await
    }
    async fn servers(&self) -> Result<Vec<ServerRecord>, RegistryError> {
        self.memory.servers().await
    }
    async fn report_viewers(&self, report: &ViewerReport) -> Result<(), RegistryError> {
        self.memory.report_viewers(report).await
    }
    async fn viewers(&self, streams: &[StreamId]) -> Result<Vec<Option<u64>>, RegistryError> {
        self.memory.viewers(streams).await
    }
    async fn announce_input(&self, uid: &StreamId) -> Result<(), RegistryError> {
        self.memory.announce_input(uid).await
    }
    fn watch(&self) -> Watch {
        self.memory.watch()
    }
    fn is_shared(&self) -> bool {
        self.memory.is_shared()
    }
    async fn ready(&self) -> Result<(), RegistryError> {
        self.memory.ready().await
    }
}

fn mirrors(registry: Arc<Counting>) -> Arc<Mirrors> {
    let metrics = Arc::new(Metrics::new());
    let readiness = Readiness::default();
    let latch = readiness.latch("registry");
    let upstream = Arc::new(Upstream::new(registry, Default::default(), latch, metrics.clone()));
    let settings = Settings {
        linger: Duration::ZERO,
        offline_grace: Duration::from_secs(20),
        dvr_window: MediaTime::ZERO,
        dvr_windows: HashMap::new(),
    };
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    Mirrors::start(upstream, settings, metrics, tasks, stop)
}

fn stream() -> StreamId {
    "demo".parse().unwrap()
}

/// The mirror of a stream that somebody had a moment ago.
async fn given_up(registry: &Counting, mirrors: &Arc<Mirrors>) -> Arc<Mirror> {
    let epoch = registry.own(&stream()).await;
    let mirror = mirrors.find(&stream()).await.unwrap();
    registry.release(&stream(), &"one".parse().unwrap(), epoch).await.unwrap();
    mirror
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_asks_for_is_forgotten() {
    let registry = Counting::new();
    let mirrors = mirrors(registry.clone());
    let first = given_up(&registry, &mirrors).await;
    for _ in 0..4 {
        tokio::time::sleep(NOT_LIVE_LINGER / 2).await;
        assert!(Arc::ptr_eq(&first, &mirrors.find(&stream()).await.unwrap()));
        assert!(first.look(|view| matches!(view, View::NotLive)));
    }
    tokio::time::sleep(NOT_LIVE_LINGER * 2).await;
    assert!(mirrors.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_somebody_waits_for_is_kept() {
    let registry = Counting::new();
    let mirrors = mirrors(registry.clone());
    let mirror = given_up(&registry, &mirrors).await;
    let never = |_: &View| None::<()>;
    mirror.wait_for_view(crate::mirror::Scope::Anything, NOT_LIVE_LINGER * 3, never).await;
    assert!(Arc::ptr_eq(&mirror, &mirrors.held(&stream()).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn invented_names_cost_a_look_up_each_and_no_mirror() {
    let registry = Counting::new();
    let mirrors = mirrors(registry.clone());
    let names = 2 * MAX_MIRRORS;
    for number in 0..names {
        let name = format!("invented-{number}").parse().unwrap();
        assert_eq!(mirrors.find(&name).await.err(), Some(NoMirror::Nobody));
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!((registry.asked(), mirrors.lock().len()), (names, 0));
    registry.own(&stream()).await;
    assert!(mirrors.find(&stream()).await.is_ok(), "what is on air is shown");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_one_look_up() {
    let registry = Counting::new();
    let mirrors = mirrors(registry.clone());
    for expected in [1, 1, 2] {
        let crowd = join_all((0..1_000).map(|_| {
            let mirrors = mirrors.clone();
            async move { mirrors.find(&stream()).await.err() }
        }));
        assert!(crowd.await.into_iter().all(|missing| missing == Some(NoMirror::Nobody)));
        assert_eq!(registry.asked(), expected);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_who_waits_for_an_owner_has_it_at_once() {
    let registry = Counting::new();
    let mirrors = mirrors(registry.clone());
    assert_eq!(mirrors.find(&stream()).await.err(), Some(NoMirror::Nobody));
    let began = Instant::now();
    let until = began + Duration::from_secs(4);
    let stream = stream();
    let (found, _) = tokio::join!(mirrors.find_by(&stream, until), registry.own(&stream));
    assert!(found.is_ok() && began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    let other = "other".parse().unwrap();
    assert_eq!(mirrors.find_by(&other, until).await.err(), Some(NoMirror::Nobody));
    assert_eq!(Instant::now(), until, "it was waited for");
}

/// The registry's answer is older than the news, and comes later.
#[tokio::test(start_paused = true)]
async fn an_answer_that_news_overtook_does_not_count() {
    let registry = Counting::new();
    let mirrors = mirrors(registry.clone());
    *registry.claimed_meanwhile.lock().unwrap() = Some(stream());
    let until = Instant::now() + Duration::from_secs(1);
    assert!(mirrors.find_by(&stream(), until).await.is_ok());
    assert!(Instant::now() < until);
}

#[tokio::test]
async fn what_is_over_gives_way_and_what_is_on_air_does_not() {
    let metrics = Arc::new(Metrics::new());
    let mirror = |name: &str| {
        let stream: StreamId = name.parse().unwrap();
        (stream.clone(), Arc::new(Mirror::new(stream, MediaTime::ZERO, metrics.clone())))
    };
    let mut mirrors = HashMap::from(["a", "b", "c"].map(mirror));
    let over = "b".parse().unwrap();
    mirrors[&over].show(View::NotLive, None);
    assert!(make_room(&mut mirrors) && !mirrors.contains_key(&over));
    assert!(!make_room(&mut mirrors) && mirrors.len() == 2);
}
