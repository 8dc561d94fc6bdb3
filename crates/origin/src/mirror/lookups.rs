//! Look-ups of streams that have no mirror: each name once for all who ask for it, and not again while the answer counts.
//!
//! Anybody can ask for any name, so a name by itself gets little here: no follower, no window, some 200 bytes for as long
//! as the answer counts. News from the registry about a stream ends that time at once. Answers are kept by tokio's clock,
//! which tests and the simulator pause.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::StreamId;
use headwater_media::lock::MutexExt;
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::time::Instant;

use crate::upstream::{Located, Upstream};

/// Names whose answer is remembered; of more, the oldest are forgotten and looked up again. About 2 MB.
const MAX_NAMES: usize = 10_000;
/// "Nobody has it" counts for so long without news. A server that is cut off from the registry has its streams without any,
/// so viewers may find such a stream this much later.
const NOBODY_COUNTS: Duration = Duration::from_secs(5);
/// "The registry is away, and no server knows it" counts for so long: each look-up asks every server.
const UNKNOWN_COUNTS: Duration = Duration::from_secs(1);
/// Look-ups at the same time. The registry's client lets 10,000 commands wait, and mirrors of what is on air, servers'
/// leases in a process with all services, and listings share them.
const CONCURRENT_LOOKUPS: usize = 512;
/// Names share a fixed number of channels for news by their hash, as renditions do in a mirror: two that meet are only
/// looked up once more.
const CHANNEL_COUNT: usize = 64;

/// See the [module's documentation](self).
pub(super) struct Lookups {
    names: Mutex<Names>,
    /// Each counts the news of its names.
    news: [watch::Sender<u64>; CHANNEL_COUNT],
    turns: Semaphore,
}

#[derive(Default)]
struct Names {
    by_stream: HashMap<StreamId, Arc<Lookup>>,
    /// In the order in which they were begun; what has been replaced since stands here too.
    begun: VecDeque<(StreamId, Arc<Lookup>)>,
}

/// A look-up, and its answer once it is there.
struct Lookup {
    /// The count of the stream's news when it began.
    news: u64,
    answer: OnceCell<Answer>,
}

/// The answer to a look-up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) found: Found,
    /// Until when it counts, unless there is news.
    pub(super) until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Owner,
    Nobody,
    /// The registry is away, and no server that is known has the stream.
    Unknown,
}

impl Lookups {
    pub(super) fn new() -> Self {
        let news = std::array::from_fn(|_| watch::Sender::new(0));
        Self { names: Mutex::default(), news, turns: Semaphore::new(CONCURRENT_LOOKUPS) }
    }

    /// Whether somebody owns the stream, as it was answered lately or is answered now.
    pub(super) async fn look(&self, stream: &StreamId, upstream: &Upstream) -> Answer {
        let lookup = self.lookup(stream);
        let answer = async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await.ok();
            Answer::of(&upstream.locate(stream).await)
        };
        *lookup.answer.get_or_init(|| answer).await
    }

    /// Whether the answer is there or on the way.
    pub(super) fn is_known(&self, stream: &StreamId) -> bool {
        let names = self.lock();
        names.by_stream.get(stream).is_some_and(|lookup| lookup.counts(self.news_of(stream)))
    }

    /// Changes when there is news of the stream, or of another one.
    pub(super) fn subscribe(&self, stream: &StreamId) -> watch::Receiver<u64> {
        self.channel(stream).subscribe()
    }

    /// The stream may have another owner now. Says whether somebody asked for it lately.
    pub(super) fn heed(&self, stream: &StreamId) -> bool {
        let is_known = self.is_known(stream);
        self.channel(stream).send_modify(|count| *count += 1);
        is_known
    }

    /// Any stream may have another owner now.
    pub(super) fn heed_all(&self) {
        self.news.iter().for_each(|channel| channel.send_modify(|count| *count += 1));
    }

    /// The look-up whose answer counts, or a new one.
    fn lookup(&self, stream: &StreamId) -> Arc<Lookup> {
        let mut names = self.lock();
        let news = self.news_of(stream);
        if let Some(lookup) = names.by_stream.get(stream).filter(|lookup| lookup.counts(news)) {
            return lookup.clone();
        }
        let lookup = Arc::new(Lookup { news, answer: OnceCell::new() });
        names.add(stream, lookup.clone());
        lookup
    }

    fn news_of(&self, stream: &StreamId) -> u64 {
        *self.channel(stream).borrow()
    }

    fn channel(&self, stream: &StreamId) -> &watch::Sender<u64> {
        let mut hasher = DefaultHasher::new();
        stream.hash(&mut hasher);
        &self.news[(hasher.finish() % CHANNEL_COUNT as u64) as usize]
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock_ignoring_poison()
    }
}

impl Names {
    fn add(&mut self, stream: &StreamId, lookup: Arc<Lookup>) {
        self.by_stream.insert(stream.clone(), lookup.clone());
        self.begun.push_back((stream.clone(), lookup));
        while self.begun.len() > MAX_NAMES || self.begun.front().is_some_and(|(_, oldest)| oldest.is_over()) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((stream, oldest)) = self.begun.pop_front() else { return };
        if self.by_stream.get(&stream).is_some_and(|lookup| Arc::ptr_eq(lookup, &oldest)) {
            self.by_stream.remove(&stream);
        }
    }
}

impl Lookup {
    /// Whether its answer is worth waiting for, or still counts.
    fn counts(&self, news: u64) -> bool {
        self.news == news && !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.answer.get().is_some_and(|answer| answer.until <= Instant::now())
    }
}

impl Answer {
    fn of(located: &Located) -> Self {
        let (found, counts) = match located {
            // The mirror that is started now is asked from here on.
            Located::Owner(_) => (Found::Owner, Duration::ZERO),
            Located::Nobody => (Found::Nobody, NOBODY_COUNTS),
            Located::Unknown => (Found::Unknown, UNKNOWN_COUNTS),
        };
        Self { found, until: Instant::now() + counts }
    }
}
