//! The publisher of a broadcast: one at a time, and replaced when it is silent.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::budget::BroadcastBudget;
use super::dismissal::Dismissal;
use crate::failure::Failure;

/// Longest wait for a publisher whose messages are not all taken yet, in times that a publisher may be silent.
const MAX_AHEAD_SILENCES: u32 = 2;

/// A broadcast's place for one publisher. Clones are the same place.
#[derive(Clone, Default)]
pub struct PublisherSlot(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<SlotState>,
    /// Wakes the publisher that waits when the one that has the place is heard, or gives it up.
    changed: Notify,
}

/// State of the place.
#[derive(Default)]
struct SlotState {
    held: Option<Occupant>,
    /// The publisher that had the place last, or has it: only this one can go on where it was.
    newest: Option<Arc<str>>,
    is_waited_for: bool,
    budget: BroadcastBudget,
}

/// The publisher that has the place, as others see it.
struct Occupant {
    id: Arc<str>,
    activity: Activity,
    /// Time of its last message.
    last: Option<Instant>,
    replaced: CancellationToken,
    dismissal: Arc<Dismissal>,
}

/// Activity of the publisher that has the place.
#[derive(Clone, Copy)]
enum Activity {
    /// It waits for its turn, and is asked nothing until then.
    Queued,
    /// Its session listens since then, and has heard nothing.
    Listening(Instant),
    /// A message of it came then, and is being worked on.
    At(Instant),
    /// It is ahead of its worker: it sent more than was taken yet, and when it sent that nobody knows.
    Ahead,
    /// Its call broke. It may come back, here or at another server, and is in nobody's way meanwhile.
    Gone,
    /// It was asked to connect again. It is heard until it does, and in nobody's way either.
    Leaving,
}

/// The publisher that has the place, until it is dropped or replaced.
pub struct Publisher {
    slot: PublisherSlot,
    id: Arc<str>,
    pub(super) replaced: CancellationToken,
    pub(super) dismissal: Arc<Dismissal>,
    /// Whether another publisher had the place before.
    follows_another: bool,
}

/// Answer to a publisher that wants the place.
pub enum Taken {
    By(Publisher),
    /// Another publisher has it, and is heard.
    InUse,
    /// Another publisher has had it since.
    Succeeded,
    /// Publishers follow each other too fast: after this time there may be another one.
    TooOften(Duration),
}

/// Outcome of a look at the place for a publisher that wants it.
enum Claim {
    Taken(Publisher),
    /// Another publisher is there.
    Refused,
    /// Another publisher was there since.
    Succeeded,
    TooOften(Duration),
    /// Another publisher is there, and may be gone without having said so: that shows then.
    Unclear(Instant),
}

impl PublisherSlot {
    /// Whether a publisher is connected.
    pub fn is_taken(&self) -> bool {
        self.lock_state().held.as_ref().is_some_and(|held| !matches!(held.activity, Activity::Gone))
    }

    /// The publisher that had the place last, or has it.
    pub fn newest_publisher(&self) -> Option<Arc<str>> {
        self.lock_state().newest.clone()
    }

    /// Gives the place to the publisher whose connection the proxy calls `id`, unless another one has it and is heard. A
    /// publisher that was not heard for as long as `silent` is replaced, and so is an earlier call of the same connection. A
    /// publisher that `goes_on` where it was gets the place only as long as no other one has had it since.
    ///
    /// Waits until that is clear, for `silent` as a rule: an encoder that comes back after its connection broke finds its own
    /// earlier one still there, and would take a refusal for final. Only one waits at a time.
    pub async fn take_place(&self, id: &str, silent: Duration, goes_on: bool) -> Taken {
        let began = Instant::now();
        let mut waits = None;
        loop {
            let until = match self.try_take(id, silent, goes_on, began) {
                Claim::Taken(publisher) => return Taken::By(publisher),
                Claim::Refused => return Taken::InUse,
                Claim::Succeeded => return Taken::Succeeded,
                Claim::TooOften(wait) => return Taken::TooOften(wait),
                Claim::Unclear(until) => until,
            };
            if waits.is_none() {
                let Some(waiting) = self.take_turn() else { return Taken::InUse };
                waits = Some(waiting);
            }
            let _ = timeout_at(until, self.0.changed.notified()).await;
        }
    }

    /// Takes the place for a publisher that came at `began`, as far as it is clear.
    fn try_take(&self, id: &str, silent: Duration, goes_on: bool, began: Instant) -> Claim {
        let mut state = self.lock_state();
        let follows_another = state.newest.as_ref().is_some_and(|newest| **newest != *id);
        if goes_on && follows_another {
            return Claim::Succeeded;
        }
        if let Some(other) = &state.held {
            let until = match other.activity {
                _ if *other.id == *id => began,
                Activity::Gone | Activity::Leaving => began,
                Activity::Queued if began.elapsed() >= silent => return Claim::Refused,
                Activity::Queued => began + silent,
                _ if other.last.is_some_and(|last| last > began) => return Claim::Refused,
                Activity::At(since) | Activity::Listening(since) => since + silent,
                Activity::Ahead if began.elapsed() >= MAX_AHEAD_SILENCES * silent => return Claim::Refused,
                Activity::Ahead => began + MAX_AHEAD_SILENCES * silent,
            };
            if until > Instant::now() {
                return Claim::Unclear(until);
            }
        }
        if follows_another {
            let wait = state.budget.time_to_wait();
            if !wait.is_zero() {
                return Claim::TooOften(wait);
            }
        }
        if let Some(other) = &state.held {
            other.replaced.cancel();
        }
        let id = Arc::from(id);
        let replaced = CancellationToken::new();
        let dismissal = Arc::<Dismissal>::default();
        let occupant = Occupant {
            id: Arc::clone(&id),
            activity: Activity::Queued,
            last: None,
            replaced: replaced.clone(),
            dismissal: dismissal.clone(),
        };
        state.held = Some(occupant);
        state.newest = Some(Arc::clone(&id));
        Claim::Taken(Publisher { slot: self.clone(), id, replaced, dismissal, follows_another })
    }

    /// Dismisses the publisher that is connected, for this reason. The token is cancelled when its proxy has ended its call;
    /// none where no publisher is connected.
    pub(crate) fn dismiss_publisher(&self, failure: Failure) -> Option<CancellationToken> {
        let state = self.lock_state();
        let held = state.held.as_ref().filter(|held| !matches!(held.activity, Activity::Gone))?;
        Some(held.dismissal.dismiss(failure))
    }

    /// The turn to wait; none when another publisher waits already.
    fn take_turn(&self) -> Option<Waiting<'_>> {
        let mut state = self.lock_state();
        let is_first = !std::mem::replace(&mut state.is_waited_for, true);
        is_first.then(|| Waiting(self))
    }

    /// Wakes the publisher that waits.
    fn wake_waiting(&self, state: &SlotState) {
        if state.is_waited_for {
            self.0.changed.notify_one();
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, SlotState> {
        self.0.state.lock_ignoring_poison()
    }
}

/// Mark of a publisher that waits for the place, until it is dropped.
struct Waiting<'a>(&'a PublisherSlot);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock_state().is_waited_for = false;
    }
}

impl Publisher {
    /// The id of its connection, made by the proxy.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Whether another publisher had the place before, so that a turn begins with this one.
    pub fn follows_another(&self) -> bool {
        self.follows_another
    }

    /// Counts a period that it has begun.
    pub fn count_period(&self) {
        self.slot.lock_state().budget.count_period();
    }

    /// Notes that its session listens from now on.
    pub fn note_listening(&self) {
        self.note_activity(Activity::Listening(Instant::now()));
    }

    /// Notes that a message has just come. While its worker takes that, nobody listens: a worker that takes longer for one
    /// message than a publisher may be silent is as good as lost.
    pub fn note_heard(&self) {
        self.note_activity(Activity::At(Instant::now()));
    }

    /// Notes that messages wait that have come at some time.
    pub fn note_ahead(&self) {
        self.note_activity(Activity::Ahead);
    }

    /// Notes that its call broke without a goodbye.
    pub fn note_gone(&self) {
        self.note_activity(Activity::Gone);
    }

    /// Notes that its proxy has asked it to connect again.
    pub fn note_leaving(&self) {
        self.note_activity(Activity::Leaving);
    }

    /// Whether another call has taken the place.
    pub fn is_replaced(&self) -> bool {
        self.replaced.is_cancelled()
    }

    /// Whether it was replaced by a later call of the same connection.
    pub fn is_back(&self) -> bool {
        self.is_replaced() && self.slot.lock_state().held.as_ref().is_some_and(|held| held.id == self.id)
    }

    /// Waits until another call has taken the place.
    pub async fn wait_until_replaced(&self) {
        self.replaced.cancelled().await;
    }

    fn note_activity(&self, activity: Activity) {
        let mut state = self.slot.lock_state();
        let Some(occupant) = state.held.as_mut().filter(|held| self.holds(held)) else { return };
        // A publisher that leaves may still be heard, but does not change its mind.
        if !matches!(occupant.activity, Activity::Leaving) || matches!(activity, Activity::Gone) {
            occupant.activity = activity;
            if let Activity::At(now) = activity {
                occupant.last = Some(now);
            }
            self.slot.wake_waiting(&state);
        }
    }

    fn holds(&self, occupant: &Occupant) -> bool {
        Arc::ptr_eq(&occupant.id, &self.id)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let mut state = self.slot.lock_state();
        if state.held.take_if(|held| self.holds(held)).is_some() {
            self.slot.wake_waiting(&state);
        }
    }
}

#[cfg(test)]
mod tests;
