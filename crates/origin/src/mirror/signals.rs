//! Waking those who wait for a change, and few others.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use headwater_media::RenditionId;
use tokio::sync::watch;

/// Changes that a waiter waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    Anything,
    Rendition(&'a RenditionId),
}

/// Renditions share a fixed number of channels by their hash: no name that somebody asks for takes memory, and two that
/// meet only wake each other's waiters in vain. A ladder has four or five renditions.
pub(super) struct Signals {
    anything: watch::Sender<()>,
    renditions: [watch::Sender<()>; CHANNEL_COUNT],
}

const CHANNEL_COUNT: usize = 16;

impl Signals {
    pub(super) fn new() -> Self {
        Self { anything: watch::Sender::new(()), renditions: std::array::from_fn(|_| watch::Sender::new(())) }
    }

    pub(super) fn subscribe(&self, scope: Scope<'_>) -> watch::Receiver<()> {
        match scope {
            Scope::Anything => self.anything.subscribe(),
            Scope::Rendition(rendition) => self.channel(rendition).subscribe(),
        }
    }

    /// Wakes the waiters of one rendition, or everybody; and those who wait for anything in both cases.
    pub(super) fn wake(&self, scope: Scope<'_>) {
        self.anything.send_replace(());
        match scope {
            Scope::Anything => self.renditions.iter().for_each(|channel| channel.send_replace(())),
            Scope::Rendition(rendition) => self.channel(rendition).send_replace(()),
        }
    }

    /// Whether somebody waits for something.
    pub(super) fn is_awaited(&self) -> bool {
        std::iter::once(&self.anything).chain(&self.renditions).any(|channel| channel.receiver_count() > 0)
    }

    fn channel(&self, rendition: &RenditionId) -> &watch::Sender<()> {
        let mut hasher = DefaultHasher::new();
        rendition.hash(&mut hasher);
        &self.renditions[(hasher.finish() % CHANNEL_COUNT as u64) as usize]
    }
}
