//! Keeping one mirror up to date: find the owner, watch it, and when that ends, find the next one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use headwater_hls::{Archive, LiveWindow, WindowError};
use headwater_media::{BroadcastId, Epoch, MediaEvent, Opening};
use headwater_runtime::backoff::{Backoff, Random};
use headwater_wire::WatchMessage;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::dvr::learn;
use super::{Mirror, View};
use crate::upstream::{Located, Owner, Upstream, WatchError, WatchStream};

/// After a break the next owner is usually known within milliseconds; what takes longer is looked for once a second.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A window that comes from somewhere is shown once its server says that all of it has come, so that no player starts at a
/// segment of it that is long over. Where nothing comes for so long meanwhile, the watch has broken.
const MAX_EVENT_PAUSE: Duration = Duration::from_secs(5);
/// How long it may take in all: the largest window at 10 Mb/s comes in less.
const MAX_BACKLOG_TIME: Duration = Duration::from_secs(60);

pub(super) struct Follower {
    mirror: Arc<Mirror>,
    upstream: Arc<Upstream>,
    backoff: Backoff<Random>,
    offline_grace: Duration,
    /// When an owner was last heard from, or the search began.
    heard: Instant,
    held: Option<Held>,
}

/// The broadcast that was last mirrored.
struct Held {
    broadcast: BroadcastId,
    epoch: Epoch,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    OnAir,
    /// An owner's events did not fit what is held: the next one's window replaces it.
    Broken,
    Ended,
}

/// How one round of searching and watching went.
#[derive(Debug)]
enum Attempt {
    /// An owner was watched for a while.
    Watched,
    /// Nobody has the stream on air.
    Nobody,
    /// A server may have the stream, but nothing came from there.
    Unreached,
}

impl Follower {
    pub(super) fn new(mirror: Arc<Mirror>, upstream: Arc<Upstream>, offline_grace: Duration) -> Self {
        let backoff = Backoff::new(FIRST_RETRY, MAX_RETRY_PAUSE);
        Self { mirror, upstream, backoff, offline_grace, heard: Instant::now(), held: None }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let attempt = self.attempt().await;
            self.update_visibility(&attempt);
            if self.mirror.is_idle() {
                self.mirror.recheck.notified().await;
                self.backoff.reset();
                continue;
            }
            let delay = self.backoff.next_delay();
            if timeout(delay, self.mirror.recheck.notified()).await.is_ok() {
                self.backoff.reset();
            }
        }
    }

    async fn attempt(&mut self) -> Attempt {
        match self.upstream.locate(self.mirror.stream()).await {
            Located::Nobody => Attempt::Nobody,
            Located::Unknown => Attempt::Unreached,
            Located::Owner(owner) if self.is_over(&owner) => Attempt::Nobody,
            Located::Owner(owner) => self.watch(&owner).await,
        }
    }

    /// Whether all that the owner has is a broadcast whose end was seen.
    fn is_over(&self, owner: &Owner) -> bool {
        owner.broadcast.is_some_and(|broadcast| self.has_ended(broadcast, owner.epoch))
    }

    /// Whether the end of this broadcast was seen. Under a higher epoch it goes on: its publisher was cut off from all
    /// servers for so long that its own one ended it. Players that saw the end stay there, others begin anew.
    fn has_ended(&self, broadcast: BroadcastId, epoch: Epoch) -> bool {
        let held = self.held.as_ref().filter(|held| held.standing == Standing::Ended);
        held.is_some_and(|held| held.broadcast == broadcast && held.epoch >= epoch)
    }

    async fn watch(&mut self, owner: &Owner) -> Attempt {
        if owner.broadcast.is_none() && self.mirror.look(|view| matches!(view, View::NotLive)) {
            // Claimed a moment ago: worth a viewer's while to wait for.
            self.heard = Instant::now();
            self.mirror.show(View::Seeking, None);
        }
        let opened = tokio::select! {
            opened = self.upstream.watch(self.mirror.stream(), &owner.address) => opened,
            // Another server may have the stream by now, and this one not answer for long: look again, at once.
            () = self.mirror.recheck.notified() => {
                self.mirror.recheck.notify_one();
                return Attempt::Unreached;
            }
        };
        let feed = match opened {
            Ok(feed) => feed,
            Err(WatchError::NotOnAir) if owner.broadcast.is_some() => return Attempt::Nobody,
            Err(error) => {
                debug!(address = owner.address, %error, "cannot watch");
                return Attempt::Unreached;
            }
        };
        if !self.admits(&feed.opening) {
            debug!(address = owner.address, epoch = %feed.opening.epoch, "an owner of the past was refused");
            return Attempt::Unreached;
        }
        info!(address = owner.address, epoch = %feed.opening.epoch, broadcast = %feed.opening.broadcast, "watching");
        let began = Instant::now();
        let mut watched = (owner.address.clone(), feed);
        loop {
            let address = watched.0;
            match self.mirror_stream(watched.1).await {
                Ok(Some(next)) => {
                    info!(address = next.0, epoch = %next.1.opening.epoch, "watching the next owner");
                    watched = next;
                    continue;
                }
                Ok(None) => info!("the broadcast has ended"),
                Err(error) => warn!(address, "the watch broke: {error}"),
            }
            break;
        }
        self.heard = Instant::now();
        // One that breaks again and again is not asked for its window twenty times a second.
        if began.elapsed() >= MAX_RETRY_PAUSE {
            self.backoff.reset();
        }
        Attempt::Watched
    }

    /// An owner with a lower epoch than one that was heard has lost the stream without knowing it.
    fn admits(&self, opening: &Opening) -> bool {
        let is_older = self.held.as_ref().is_some_and(|held| opening.epoch < held.epoch);
        !is_older && !self.has_ended(opening.broadcast, opening.epoch)
    }

    /// Mirrors what comes, until the end of the broadcast, or until the next owner's feed joins on, which it gives.
    async fn mirror_stream(
        &mut self,
        mut feed: WatchStream,
    ) -> Result<Option<(String, WatchStream)>, WatchError> {
        if !self.adopt(&feed.opening)? {
            let (window, archive) = backlog(&mut feed).await?;
            let standing = if window.ended() { Standing::Ended } else { Standing::OnAir };
            self.hold(&feed.opening, standing);
            self.mirror.show_next(window, archive.filter(|archive| self.mirror.goes_back(archive)));
            if standing == Standing::Ended {
                return Ok(None);
            }
        }
        let mut search = pin!(next_owner(self.mirror.clone(), self.upstream.clone(), feed.opening.clone()));
        let mut found = None;
        loop {
            if let Some(next) = found.take_if(|(_, next)| self.joins_on(next)) {
                return Ok(Some(next));
            }
            let message = tokio::select! {
                message = feed.next() => message?,
                next = &mut search, if found.is_none() => {
                    found = Some(next);
                    continue;
                }
            };
            let event = match message {
                WatchMessage::Event(event) => event,
                WatchMessage::CaughtUp => continue,
                stored => {
                    self.mirror.learn(stored);
                    continue;
                }
            };
            if let Err(error) = self.mirror.apply(&event) {
                self.hold(&feed.opening, Standing::Broken);
                return Err(error.into());
            }
            if event == MediaEvent::BroadcastEnd {
                self.hold(&feed.opening, Standing::Ended);
                return Ok(None);
            }
        }
    }

    /// Whether all that this feed does not begin with is here: the owner before may still be sending it.
    fn joins_on(&self, feed: &WatchStream) -> bool {
        let next = self.mirror.look(|view| view.window().map(LiveWindow::next_uncommitted));
        next.is_some_and(|next| next >= feed.opening.first_sequence)
    }

    /// Goes on with what is shown, where that is the same broadcast.
    fn adopt(&mut self, opening: &Opening) -> Result<bool, WatchError> {
        if self.held.as_ref().is_some_and(|held| held.standing != Standing::OnAir) {
            return Ok(false);
        }
        match self.mirror.adopt(opening) {
            Ok(true) => {
                self.hold(opening, Standing::OnAir);
                Ok(true)
            }
            // Behind by more than a window: nothing of it joins on.
            Ok(false) | Err(WindowError::OtherBroadcast | WindowError::SequenceSkipped { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn hold(&mut self, opening: &Opening, standing: Standing) {
        self.held = Some(Held { broadcast: opening.broadcast, epoch: opening.epoch, standing });
    }

    /// Decides what viewers are told while nobody is watched.
    fn update_visibility(&self, attempt: &Attempt) {
        let kept = self.mirror.look(|view| match view {
            View::NotLive => Duration::MAX,
            View::Seeking if matches!(attempt, Attempt::Nobody) => Duration::ZERO,
            View::Showing(window) if window.ended() => length(window.opening()),
            View::Seeking | View::Showing(_) => self.offline_grace,
        });
        if self.heard.elapsed() >= kept {
            debug!(?attempt, "not live");
            self.mirror.show(View::NotLive, None);
        }
    }
}

/// Waits until the broadcast has another owner, and gives its address and feed. The one that is watched may not know for
/// some seconds that it has lost the stream.
async fn next_owner(mirror: Arc<Mirror>, upstream: Arc<Upstream>, watched: Opening) -> (String, WatchStream) {
    loop {
        mirror.recheck.notified().await;
        let mut backoff = Backoff::new(FIRST_RETRY, MAX_RETRY_PAUSE);
        while let Located::Owner(owner) = upstream.locate(mirror.stream()).await
            && owner.epoch > watched.epoch
        {
            let feed = upstream.watch(mirror.stream(), &owner.address).await.ok();
            let is_next = |feed: &WatchStream| {
                feed.opening.epoch > watched.epoch && feed.opening.broadcast == watched.broadcast
            };
            if let Some(feed) = feed.filter(is_next) {
                return (owner.address, feed);
            }
            sleep(backoff.next_delay()).await;
        }
    }
}

/// The window that a feed begins with, and what is stored before it.
async fn backlog(feed: &mut WatchStream) -> Result<(LiveWindow, Option<Archive>), WatchError> {
    let mut archive = None;
    let mut window = LiveWindow::new(feed.opening.clone());
    let deadline = Instant::now() + MAX_BACKLOG_TIME;
    while !window.ended() {
        let until = deadline.min(Instant::now() + MAX_EVENT_PAUSE);
        match timeout_at(until, feed.next()).await.map_err(|_| WatchError::Silent)?? {
            WatchMessage::CaughtUp => break,
            WatchMessage::Event(event) => drop(window.apply(&event)?),
            stored => learn(&mut archive, &feed.opening, stored),
        }
    }
    if let Some(archive) = &mut archive {
        archive.follow(&window);
    }
    Ok((window, archive))
}

/// How long the live window lasts.
fn length(opening: &Opening) -> Duration {
    Duration::from_millis(u64::from(opening.settings.segment_ms)) * opening.window_segments
}
