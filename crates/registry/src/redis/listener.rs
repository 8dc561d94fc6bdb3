//! Hears what other processes publish, and watches the connection itself.

use std::time::Duration;

use fred::prelude::*;
use fred::types::Message;
use tokio::sync::{broadcast, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::RegistryEvent;
use crate::event::EventSender;

/// An idle connection is tried so often; without it, nobody would notice that the other end is gone. Also how often
/// a subscription that failed is tried again.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Connecting,
    Up,
    Down(String),
}

pub(super) struct Listener {
    client: Client,
    backend: String,
    channel: String,
    events: EventSender,
    link: watch::Sender<Link>,
    subscription: Subscription,
    sources: Sources,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Subscription {
    Wanted,
    Held,
}

struct Sources {
    connected: broadcast::Receiver<Server>,
    errors: broadcast::Receiver<(Error, Option<Server>)>,
    messages: broadcast::Receiver<Message>,
}

enum Notice {
    Connected,
    Lost(Error),
    Message(Message),
    /// Notices were dropped, so nothing is sure any more.
    Unsure,
    Check,
}

impl Listener {
    /// Made before the client connects, so that the first connection is noticed too.
    pub(super) fn new(
        client: Client,
        backend: String,
        channel: String,
        events: EventSender,
        link: watch::Sender<Link>,
    ) -> Self {
        let sources = Sources {
            connected: client.reconnect_rx(),
            errors: client.error_rx(),
            messages: client.message_rx(),
        };
        Self { client, backend, channel, events, link, subscription: Subscription::Wanted, sources }
    }

    pub(super) async fn run(mut self) {
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(notice) = self.sources.next(&mut checks).await {
            self.handle_notice(notice).await;
        }
    }

    async fn handle_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Connected => {
                tracing::info!(backend = %self.backend, "connected to Redis");
                self.link.send_replace(Link::Up);
                self.subscribe_channel().await;
            }
            Notice::Unsure => self.subscribe_channel().await,
            Notice::Lost(error) => self.note_loss(&error),
            Notice::Message(message) => self.forward_message(&message),
            Notice::Check if self.subscription == Subscription::Wanted => self.subscribe_channel().await,
            Notice::Check => self.check_connection().await,
        }
    }

    /// Subscribes. Messages published before that are lost, so the watchers are told to look again.
    async fn subscribe_channel(&mut self) {
        self.subscription = Subscription::Wanted;
        if *self.link.borrow() != Link::Up {
            return;
        }
        match self.client.subscribe(self.channel.as_str()).await {
            Ok(()) => {
                self.subscription = Subscription::Held;
                self.send_event(RegistryEvent::Missed);
            }
            Err(error) => tracing::warn!(backend = %self.backend, %error, "can't subscribe to events"),
        }
    }

    fn note_loss(&mut self, error: &Error) {
        if !matches!(*self.link.borrow(), Link::Down(_)) {
            tracing::warn!(backend = %self.backend, %error, "no connection to Redis, trying again until there is one");
        }
        self.link.send_replace(Link::Down(error.to_string()));
    }

    fn forward_message(&self, message: &Message) {
        let text = message.value.as_str().unwrap_or_default();
        let owner_changed = |name: &str| name.parse().ok().map(RegistryEvent::OwnerChanged);
        let event = match text.split_once(' ') {
            Some(("owner", name)) => owner_changed(name),
            Some(("input", name)) => name.parse().ok().map(RegistryEvent::InputChanged),
            None if text == "servers" => Some(RegistryEvent::ServersChanged),
            _ => None,
        };
        // Another version says something that this one does not know.
        self.send_event(event.unwrap_or(RegistryEvent::Missed));
    }

    /// A connection that does not answer is given up by the client.
    async fn check_connection(&self) {
        if let Err(error) = self.client.ping::<Value>(None).await {
            tracing::debug!(backend = %self.backend, %error, "Redis does not answer");
        }
    }

    fn send_event(&self, event: RegistryEvent) {
        // An error only says that nobody watches.
        let _ = self.events.send(event);
    }
}

impl Sources {
    /// None when the client is closed.
    async fn next(&mut self, checks: &mut Interval) -> Option<Notice> {
        tokio::select! {
            biased;
            connected = self.connected.recv() => make_notice(connected, |_| Notice::Connected),
            error = self.errors.recv() => make_notice(error, |(error, _)| Notice::Lost(error)),
            message = self.messages.recv() => make_notice(message, Notice::Message),
            _ = checks.tick() => Some(Notice::Check),
        }
    }
}

fn make_notice<T>(
    received: Result<T, broadcast::error::RecvError>,
    make: impl FnOnce(T) -> Notice,
) -> Option<Notice> {
    match received {
        Ok(value) => Some(make(value)),
        Err(broadcast::error::RecvError::Lagged(_)) => Some(Notice::Unsure),
        Err(broadcast::error::RecvError::Closed) => None,
    }
}
