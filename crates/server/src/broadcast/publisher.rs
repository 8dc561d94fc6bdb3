//! Who may publish a broadcast: one at a time; a silent one is replaced.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_hls::ResumePoint;
use headwater_wire::v1::publish_response::Message;
use headwater_wire::v1::{Failure, PublishRequest, PublishResponse};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// How long a proxy may leave its last word untaken. It is on its way to be closed anyway.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A Publish call that waits for its turn on a broadcast, with both directions of the call.
pub struct Attachment {
    pub publisher: Publisher,
    /// Where it goes on, if it was interrupted on its way to this server or to another one.
    pub resume: Option<ResumePoint>,
    pub requests: Streaming<PublishRequest>,
    pub responses: Responses,
}

/// What a proxy is told.
#[derive(Clone)]
pub struct Responses(pub mpsc::Sender<Result<PublishResponse, Status>>);

impl Responses {
    /// Says it unless the proxy takes nothing, or has gone.
    pub fn say(&self, message: Message) {
        let _ = self.0.try_send(Ok(PublishResponse { message: Some(message) }));
    }

    /// Says why the call ends; waits a moment for a proxy that is slow.
    pub async fn reject(&self, failure: Failure) {
        let response = PublishResponse { message: Some(Message::Rejected(failure)) };
        let _ = self.0.send_timeout(Ok(response), LAST_WORD).await;
    }
}

/// A broadcast's place for one publisher. Clones are the same place.
#[derive(Clone, Default)]
pub struct Place(Arc<Mutex<Option<Presence>>>);

/// Who has the place, as others see it.
struct Presence {
    id: Arc<str>,
    heard: Heard,
    replaced: CancellationToken,
}

#[derive(Clone, Copy)]
enum Heard {
    /// What it sent is being worked on, or it waits for its turn: nobody listens, so it can't be silent.
    Busy,
    /// Somebody listens since then, and has heard nothing.
    Listening(Instant),
    /// Its call broke. It may come back, here or at another server, and is in nobody's way meanwhile.
    Gone,
    /// It was asked to connect again. It is heard until it does, and in nobody's way either.
    Leaving,
}

/// The publisher that has the place, until it is dropped or replaced.
pub struct Publisher {
    place: Place,
    id: Arc<str>,
    replaced: CancellationToken,
}

impl Place {
    pub fn is_taken(&self) -> bool {
        self.held().as_ref().is_some_and(|held| !matches!(held.heard, Heard::Gone))
    }

    /// Gives the place to the publisher whose connection the proxy calls `id`. `None` when another one has it and was
    /// not silent for as long as this; a silent one is replaced, and so is an earlier call of the same connection.
    pub fn take(&self, id: &str, silent: Duration) -> Option<Publisher> {
        let mut held = self.held();
        if let Some(other) = held.as_ref() {
            let is_out = match other.heard {
                _ if *other.id == *id => true,
                Heard::Gone | Heard::Leaving => true,
                Heard::Listening(since) => since.elapsed() >= silent,
                Heard::Busy => false,
            };
            if !is_out {
                return None;
            }
            other.replaced.cancel();
        }
        let (id, replaced) = (Arc::from(id), CancellationToken::new());
        *held = Some(Presence { id: Arc::clone(&id), heard: Heard::Busy, replaced: replaced.clone() });
        Some(Publisher { place: self.clone(), id, replaced })
    }

    fn held(&self) -> MutexGuard<'_, Option<Presence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publisher {
    /// Tells one connection from another; made by the proxy.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// From now on it is the publisher's turn to say something.
    pub fn listen(&self) {
        self.note(Heard::Listening(Instant::now()));
    }

    /// It was heard, and what it said is being worked on.
    pub fn busy(&self) {
        self.note(Heard::Busy);
    }

    /// Its call broke without a goodbye.
    pub fn gone(&self) {
        self.note(Heard::Gone);
    }

    /// Its proxy has asked it to connect again.
    pub fn leaving(&self) {
        self.note(Heard::Leaving);
    }

    pub fn is_replaced(&self) -> bool {
        self.replaced.is_cancelled()
    }

    /// Whether it was replaced by a later call of the same connection.
    pub fn is_back(&self) -> bool {
        self.is_replaced() && self.place.held().as_ref().is_some_and(|held| held.id == self.id)
    }

    /// Waits until another call has taken the place.
    pub async fn replaced(&self) {
        self.replaced.cancelled().await;
    }

    fn note(&self, heard: Heard) {
        let mut held = self.place.held();
        let Some(presence) = held.as_mut().filter(|held| self.is(held)) else { return };
        // Who leaves may still be heard, but does not change its mind.
        if !(matches!(presence.heard, Heard::Leaving) && matches!(heard, Heard::Busy | Heard::Listening(_))) {
            presence.heard = heard;
        }
    }

    fn is(&self, presence: &Presence) -> bool {
        Arc::ptr_eq(&presence.id, &self.id)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.place.held().take_if(|held| self.is(held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn only_a_silent_publisher_is_replaced() {
        let place = Place::default();
        let first = place.take("1", SILENT).unwrap();
        tokio::time::advance(2 * SILENT).await;
        assert!(place.take("2", SILENT).is_none(), "it waits for its turn");
        first.listen();
        tokio::time::advance(SILENT / 2).await;
        assert!(place.take("2", SILENT).is_none(), "it was heard a moment ago");
        first.busy();
        tokio::time::advance(2 * SILENT).await;
        assert!(place.take("2", SILENT).is_none(), "nobody listens to it");
        first.listen();
        tokio::time::advance(SILENT).await;
        let _second = place.take("2", SILENT).unwrap();
        assert!(first.is_replaced());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_frees_the_place_unless_it_was_replaced() {
        let place = Place::default();
        drop(place.take("1", SILENT).unwrap());
        assert!(!place.is_taken());
        let first = place.take("1", SILENT).unwrap();
        first.listen();
        tokio::time::advance(SILENT).await;
        let second = place.take("2", SILENT).unwrap();
        drop(first);
        assert!(place.is_taken() && !second.is_replaced());
    }

    #[tokio::test]
    async fn a_connection_replaces_its_own_earlier_call() {
        let place = Place::default();
        let first = place.take("1", SILENT).unwrap();
        let again = place.take("1", SILENT).unwrap();
        assert!(first.is_back() && !again.is_replaced());
        drop(first);
        assert!(place.is_taken(), "the earlier call takes nothing away");
        again.gone();
        assert!(!place.is_taken(), "who is gone is in nobody's way");
        let _other = place.take("2", SILENT).unwrap();
        assert!(again.is_replaced() && !again.is_back());
    }
}
