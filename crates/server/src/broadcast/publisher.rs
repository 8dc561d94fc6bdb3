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
}

/// The publisher that has the place, until it is dropped or replaced.
pub struct Publisher {
    place: Place,
    id: Arc<str>,
    replaced: CancellationToken,
}

impl Place {
    pub fn is_taken(&self) -> bool {
        self.held().is_some()
    }

    /// Gives the place to the publisher whose connection the proxy calls `id`. `None` when another one has it and was
    /// not silent for as long as this; a silent one is replaced, and so is an earlier call of the same connection.
    pub fn take(&self, id: &str, silent: Duration) -> Option<Publisher> {
        let mut held = self.held();
        match held.as_ref().map(|other| (other.heard, &other.replaced)) {
            None => {}
            Some((_, replaced)) if held.as_ref().is_some_and(|held| *held.id == *id) => replaced.cancel(),
            Some((Heard::Listening(since), replaced)) if since.elapsed() >= silent => replaced.cancel(),
            Some(_) => return None,
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

    pub fn is_replaced(&self) -> bool {
        self.replaced.is_cancelled()
    }

    /// Waits until another connection has taken the place.
    pub async fn replaced(&self) {
        self.replaced.cancelled().await;
    }

    fn note(&self, heard: Heard) {
        if let Some(presence) = self.place.held().as_mut().filter(|held| self.is(held)) {
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
        let second = place.take("1", SILENT).unwrap();
        drop(first);
        assert!(place.is_taken() && !second.is_replaced());
    }
}
