//! The start of a broadcast: its first numbers, its policy, and the tasks that it consists of.

use std::sync::Arc;
use std::time::Duration;

use headwater_media::broadcast::Policy;
use headwater_media::{BroadcastId, Epoch, MediaSequence, Opening, ResumePoint, StreamId};
use headwater_recordings::Layout;
use headwater_runtime::clock;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::handoff::HandoffSource;
use super::lease::{Lease, Standing};
use super::lifecycle::Lifecycle;
use super::{Applicant, Broadcasts, LiveFeed, OnAir, PublisherSlot};
use crate::admission;
use crate::failure::{Code, Failure};
use crate::recording::{Recorder, UploadTracker};

/// Rest of the grace in which uploads are not waited for any longer: objects that are not stored go to the disk.
const SPOOL_RESERVE: Duration = Duration::from_secs(6);

/// Broadcast that comes on air, with what its recorder needs of it.
struct NewBroadcast<'a> {
    layout: Layout,
    opening: &'a Opening,
    /// Point where another server had to leave it.
    resume: Option<&'a ResumePoint>,
    feed: &'a Arc<LiveFeed>,
    handoffs: &'a Arc<HandoffSource>,
    /// Cancelled when another server goes on with it.
    fenced: &'a CancellationToken,
    span: &'a tracing::Span,
}

impl Broadcasts {
    /// The opening of a broadcast: of a new one, or at the point where another server had to leave it. `before` is the number
    /// that follows all that the stream's last broadcast had here.
    pub(super) fn make_opening(
        &self,
        epoch: Epoch,
        resume: Option<&ResumePoint>,
        before: Option<MediaSequence>,
    ) -> Opening {
        let taken =
            before.map_or(MediaSequence(0), |next| MediaSequence(next.0 + ResumePoint::LEAD_SEGMENTS));
        let new = || BroadcastId::above(clock::now(), taken, &rand::random());
        let broadcast = resume.map_or_else(new, |resume| resume.broadcast);
        let settings = resume.map_or(self.settings.segments, |resume| resume.settings);
        let window = resume.map(|resume| resume.window_segments).filter(|segments| *segments > 0);
        Opening {
            broadcast,
            epoch,
            settings,
            window_segments: window.unwrap_or(self.settings.window_segments),
            first_sequence: resume.map_or_else(|| broadcast.first_sequence(), |resume| resume.next_sequence),
            discontinuity_sequence: resume.map_or(0, |resume| resume.discontinuity_sequence),
        }
    }

    /// Policy of a broadcast that comes on air here: the resume point's where another server has begun the broadcast, else
    /// that of the call, else that of this server's configuration with the settings of the publisher's live input.
    pub(super) fn choose_policy(&self, applicant: &Applicant, resume: Option<&ResumePoint>) -> Policy {
        let given = resume.and_then(|resume| resume.policy.as_ref()).or(applicant.policy.as_ref());
        let configured = || self.policies.policy_with(&applicant.stream, applicant.overrides.clone());
        given.cloned().unwrap_or_else(configured)
    }

    pub(super) fn start_broadcast(
        self: &Arc<Self>,
        stream: &StreamId,
        opening: Opening,
        resume: Option<&ResumePoint>,
        policy: Policy,
        standing: Standing,
    ) -> Result<OnAir, Failure> {
        let estimate = admission::estimate(&policy.ladder);
        let reservation = self
            .admission
            .reserve(estimate)
            .ok_or_else(|| Failure::new(Code::NoCapacity, "this server has no room for another broadcast"))?;
        let id = opening.broadcast;
        let epoch = opening.epoch;
        let dvr_window = if self.storage.is_some() { policy.dvr_window } else { Duration::ZERO };
        let feed = Arc::new(LiveFeed::new(opening.clone(), resume.cloned(), policy.clone(), dvr_window));
        let span = tracing::info_span!("broadcast", %stream, %epoch, broadcast = %id);
        let handoffs = Arc::new(HandoffSource::new(feed.clone(), policy.reconnect_window));
        let fenced = CancellationToken::new();
        let recorder = self.start_recorder(NewBroadcast {
            layout: Layout { stream: stream.clone(), broadcast: id },
            opening: &opening,
            resume,
            feed: &feed,
            handoffs: &handoffs,
            fenced: &fenced,
            span: &span,
        });
        // Only one publisher at a time has the place, so a second one waits where the first was replaced.
        let (sessions, queue) = mpsc::channel(1);
        let slot = PublisherSlot::default();
        let lease = Arc::new(Lease {
            registry: self.registry.clone(),
            home: self.home.clone(),
            stream: stream.clone(),
            broadcast: id,
            feed: feed.clone(),
            length: self.settings.lease,
            handoffs,
            standing: tokio::sync::Mutex::new(standing),
            changed: Notify::new(),
        });
        let source = Arc::default();
        let on_air = OnAir { id, feed, slot, source, lease, recorder, sessions, fenced: fenced.clone() };
        let life = Lifecycle {
            stream: stream.clone(),
            on_air: on_air.clone(),
            settings: self.settings.clone(),
            registry: self.registry.clone(),
            home: self.home.clone(),
            channels: self.channels.clone(),
            stop: self.stop.clone(),
            fenced,
        };
        let broadcasts = Arc::clone(self);
        let stream = stream.clone();
        let feed = on_air.feed.clone();
        let task = async move {
            life.run(queue, reservation).await;
            broadcasts.forget_broadcast(&stream, &feed);
        };
        self.tasks.spawn(task.instrument(span));
        Ok(on_air)
    }

    /// Starts the recorder of a broadcast that is to be stored. It goes on until everything has arrived, or this server has to
    /// end.
    fn start_recorder(&self, new: NewBroadcast<'_>) -> Option<Arc<Recorder>> {
        let NewBroadcast { layout, opening, resume, feed, handoffs, fenced, span } = new;
        let storage = self.storage.as_ref()?;
        let known = resume.map(|resume| resume.kept.as_slice()).unwrap_or_default();
        let (recorder, entries) =
            Recorder::new(storage, layout, opening, feed.policy(), known, handoffs.clone())?;
        let recorder = Arc::new(recorder);
        let taken_over = resume.map(|resume| resume.next_sequence);
        let keeper = UploadTracker::new(recorder.clone(), feed.clone(), storage.clone(), taken_over);
        let fenced = fenced.clone();
        let succession = recorder.clone();
        let stop = self.stop.clone();
        let grace = self.settings.grace.saturating_sub(SPOOL_RESERVE);
        let kept = async move {
            tokio::select! {
                () = keeper.run(entries) => {}
                () = succession.succeeded() => {
                    tracing::warn!("another server goes on with this broadcast, as if this one were gone");
                    fenced.cancel();
                }
                () = async { stop.cancelled().await; sleep(grace).await } => {
                    tracing::warn!("the store takes too long: whoever starts next finishes the recording");
                }
            }
        };
        self.tasks.spawn(kept.instrument(span.clone()));
        Some(recorder)
    }
}
