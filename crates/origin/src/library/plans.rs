//! Plans of files for downloading. Each is made once for all who ask, by a task of its own: a viewer that goes away, or that
//! its connection gives up, leaves the plan for the next request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use headwater_hls::mp4::{Mp4, Piece};
use headwater_media::RenditionId;
use headwater_media::lock::MutexExt;
use headwater_recordings::Layout;
use headwater_runtime::listener::counted_as;
use moka::future::Cache;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Unread;

/// Bytes of planned files that are kept; that of an hour takes 3 MB.
const KEPT_BYTES: u64 = 128 << 20;
const KEPT_FOR: Duration = Duration::from_secs(600);
/// Plans that are made at the same time: each reads a whole recording.
const CONCURRENT_PLANS: usize = 2;
/// Plans that are made or wait for their turn. More are an attack, or a store that is far too slow for downloads.
const MAX_PLANS: usize = 64;
/// Plans that one address may have asked for first at a time: a person downloads one file after the other.
const MAX_PLANS_PER_ADDRESS: usize = 4;
/// How long a request waits for its plan: some hours of recording in a store on the other side of the world. A later one
/// finds the plan, or goes on waiting for it.
const PLAN_LIMIT: Duration = Duration::from_secs(300);

/// The renditions that make a file, of a recording.
type Name = (Layout, Vec<RenditionId>);
type Planned = Result<Arc<Mp4>, Unread>;
type Making = HashMap<Name, (IpAddr, watch::Receiver<Option<Planned>>)>;

pub(super) struct Plans {
    made: Cache<Name, Arc<Mp4>>,
    making: Arc<Mutex<Making>>,
    turns: Arc<Semaphore>,
    /// Ends them when dropped.
    tasks: Mutex<JoinSet<()>>,
}

impl Default for Plans {
    fn default() -> Self {
        let made = Cache::builder().weigher(weight).max_capacity(KEPT_BYTES).time_to_idle(KEPT_FOR);
        let made = made.support_invalidation_closures();
        let (making, tasks) = Default::default();
        Self { made: made.build(), making, turns: Arc::new(Semaphore::new(CONCURRENT_PLANS)), tasks }
    }
}

impl Plans {
    /// The plan of this name for a viewer at this address, which `make` makes unless somebody does already.
    pub(super) async fn get<F>(&self, name: Name, from: IpAddr, make: impl FnOnce() -> F) -> Planned
    where
        F: Future<Output = Result<Mp4, Unread>> + Send + 'static,
    {
        if let Some(plan) = self.made.get(&name).await {
            return Ok(plan);
        }
        let mut planned = self.begin(name, counted_as(from), make)?;
        let planned = timeout(PLAN_LIMIT, planned.wait_for(Option::is_some)).await;
        // Without its task there is none.
        let planned = planned.ok().and_then(Result::ok).and_then(|planned| planned.clone());
        planned.unwrap_or(Err(Unread::Away))
    }

    /// Forgets those of a recording that was deleted, or has lost something.
    pub(super) fn forget(&self, layout: &Layout) {
        let of = layout.clone();
        let forgotten = self.made.invalidate_entries_if(move |(layout, _), _| *layout == of);
        debug_assert!(forgotten.is_ok(), "the cache supports it");
    }

    fn begin<F>(
        &self,
        name: Name,
        from: IpAddr,
        make: impl FnOnce() -> F,
    ) -> Result<watch::Receiver<Option<Planned>>, Unread>
    where
        F: Future<Output = Result<Mp4, Unread>> + Send + 'static,
    {
        let mut making = lock(&self.making);
        // A task that has failed without a word has left its entry behind.
        making.retain(|_, (_, planned)| planned.has_changed().is_ok());
        if let Some((_, planned)) = making.get(&name) {
            return Ok(planned.clone());
        }
        if making.values().filter(|(other, _)| *other == from).count() >= MAX_PLANS_PER_ADDRESS {
            tracing::debug!(%from, "an address wants too many recordings as files at the same time: one is refused");
            return Err(Unread::Away);
        }
        if making.len() >= MAX_PLANS {
            tracing::warn!("too many recordings are wanted as files at the same time: one is refused");
            return Err(Unread::Away);
        }
        let (tell, planned) = watch::channel(None);
        making.insert(name.clone(), (from, planned.clone()));
        self.spawn(name, make(), tell);
        Ok(planned)
    }

    fn spawn(
        &self,
        name: Name,
        make: impl Future<Output = Result<Mp4, Unread>> + Send + 'static,
        tell: watch::Sender<Option<Planned>>,
    ) {
        let made = self.made.clone();
        let making = self.making.clone();
        let turns = self.turns.clone();
        let task = async move {
            // Closed by nobody.
            let turn = turns.acquire().await;
            let planned = make.await.map(Arc::new);
            drop(turn);
            if let Ok(plan) = &planned {
                made.insert(name.clone(), plan.clone()).await;
            }
            lock(&making).remove(&name);
            tell.send_replace(Some(planned));
        };
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

fn weight(_: &Name, plan: &Arc<Mp4>) -> u32 {
    u32::try_from(plan.head.len() + plan.pieces.len() * size_of::<Piece>()).unwrap_or(u32::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock_ignoring_poison()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use headwater_media::{BroadcastId, UnixMillis};
    use tokio::time::{Instant, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn name(nth: u8) -> Name {
        let broadcast = BroadcastId::new(UnixMillis(1_800_000_000_000), &[nth; 10]);
        (Layout { stream: "demo".parse().unwrap(), broadcast }, Vec::new())
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn mp4() -> Mp4 {
        headwater_hls::mp4::Plan::new(&[]).finish()
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_is_made_to_its_end_though_everybody_who_asked_has_gone() {
        let plans = Plans::default();
        let made = Arc::new(AtomicUsize::new(0));
        let make = || {
            let made = made.clone();
            async move {
                sleep(SECOND * 60).await;
                made.fetch_add(1, Ordering::Relaxed);
                Ok(mp4())
            }
        };
        let began = Instant::now();
        for _ in 0..10 {
            assert!(timeout(SECOND, plans.get(name(1), address(1), make)).await.is_err());
        }
        plans.get(name(1), address(1), make).await.unwrap();
        assert_eq!((began.elapsed().as_secs(), made.load(Ordering::Relaxed)), (60, 1));
        plans.get(name(1), address(1), make).await.unwrap();
        assert_eq!(made.load(Ordering::Relaxed), 1, "it is kept");
    }

    #[tokio::test(start_paused = true)]
    async fn plans_have_their_turns_and_there_are_not_too_many() {
        let plans = Plans::default();
        let began = Instant::now();
        let make = || async {
            sleep(SECOND).await;
            Ok(mp4())
        };
        let asked = (0..MAX_PLANS as u8 + 1).map(|nth| plans.get(name(nth), address(nth), make));
        let planned = futures::future::join_all(asked).await;
        assert_eq!(planned.iter().filter(|planned| planned.is_ok()).count(), MAX_PLANS);
        assert_eq!(planned[MAX_PLANS].as_ref().err(), Some(&Unread::Away));
        assert_eq!(began.elapsed().as_secs(), (MAX_PLANS / CONCURRENT_PLANS) as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn one_viewer_leaves_places_for_others() {
        let plans = Plans::default();
        let make = || async {
            sleep(SECOND).await;
            Ok(mp4())
        };
        let network = |last: usize| format!("2001:db8::{last:x}").parse().unwrap();
        let asked = (0..MAX_PLANS).map(|nth| plans.get(name(nth as u8), network(nth), make));
        let (planned, other, same) = tokio::join!(
            futures::future::join_all(asked),
            plans.get(name(200), address(1), make),
            plans.get(name(0), network(99), make)
        );
        assert_eq!(planned.iter().filter(|planned| planned.is_ok()).count(), MAX_PLANS_PER_ADDRESS);
        assert!(other.is_ok() && same.is_ok(), "another one, and one that is being made");
        assert!(plans.get(name(50), network(1), make).await.is_ok(), "one after the other");
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_that_was_forgotten_is_made_again_and_others_are_kept() {
        let plans = Plans::default();
        let made = AtomicUsize::new(0);
        let make = || {
            made.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok(mp4()))
        };
        for nth in [1, 2] {
            plans.get(name(nth), address(1), make).await.unwrap();
        }
        plans.forget(&name(1).0);
        for nth in [1, 2] {
            plans.get(name(nth), address(1), make).await.unwrap();
        }
        assert_eq!(made.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_planned_is_tried_again() {
        let plans = Plans::default();
        let failed = plans.get(name(1), address(1), || std::future::ready(Err(Unread::Away))).await;
        assert_eq!(failed.err(), Some(Unread::Away));
        assert!(plans.get(name(1), address(1), || std::future::ready(Ok(mp4()))).await.is_ok());
    }
}
