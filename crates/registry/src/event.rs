use headwater_media::StreamId;
use tokio::sync::broadcast;

/// Something changed. An event says where to look, not what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryEvent {
    /// The stream was claimed, released or brought back, or its broadcast is another one. Not told: a lease that ran
    /// out because nobody renewed it.
    OwnerChanged(StreamId),
    /// A server came, went, drains, or changed its address, capacity or version. That one stopped to renew its record
    /// is told when the next process asks for the servers.
    ServersChanged,
    /// A live input of the directory was made, changed or deleted.
    InputChanged(StreamId),
    /// Events may have been lost (the connection to the registry is new, or this watcher was too slow): look again
    /// at everything.
    Missed,
}

/// How many events a watcher may be behind before the oldest are dropped and it gets [`RegistryEvent::Missed`]: a burst
/// of every stream of a large installation moving at once, at some 100 bytes each.
const EVENT_BACKLOG: usize = 1024;

/// The sending side that both registries share.
pub(crate) type EventSender = broadcast::Sender<RegistryEvent>;

pub(crate) fn event_channel() -> EventSender {
    broadcast::Sender::new(EVENT_BACKLOG)
}

/// Receives events; see [`crate::Registry::watch`].
#[derive(Debug)]
pub struct Watch {
    events: broadcast::Receiver<RegistryEvent>,
}

impl From<broadcast::Receiver<RegistryEvent>> for Watch {
    fn from(events: broadcast::Receiver<RegistryEvent>) -> Self {
        Self { events }
    }
}

impl Watch {
    pub(crate) fn new(events: &EventSender) -> Self {
        Self { events: events.subscribe() }
    }

    /// The next event; none when the registry is gone. Can be cancelled without losing anything.
    pub async fn next(&mut self) -> Option<RegistryEvent> {
        match self.events.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(RegistryEvent::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watcher_that_is_too_slow_is_told() {
        let sender = event_channel();
        let mut watch = Watch::new(&sender);
        for _ in 0..=EVENT_BACKLOG {
            sender.send(RegistryEvent::ServersChanged).unwrap();
        }
        assert_eq!(watch.next().await, Some(RegistryEvent::Missed));
        assert_eq!(watch.next().await, Some(RegistryEvent::ServersChanged));
    }

    #[tokio::test]
    async fn a_watch_ends_with_its_registry() {
        let sender = event_channel();
        let mut watch = Watch::new(&sender);
        drop(sender);
        assert_eq!(watch.next().await, None);
    }
}
