//! Supervision of a publisher on air: its key is kept from expiring, and a permit that is withdrawn ends it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_directory::LiveInput;
use headwater_media::{StreamId, StreamKey};
use headwater_runtime::clock;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use super::{Authority, KeyError, Permit};

/// Times that the use of a key is noted in the time in which it would expire.
const USES_IN_LIFETIME: u32 = 4;
/// Pause between two notes of a key's use, at least: each is a write to the store.
const MIN_USE_INTERVAL: Duration = Duration::from_secs(1);

/// Supervision of one publisher, while it is kept; none for a permit that nobody withdraws.
#[derive(Debug)]
pub struct Supervision(Option<Watch>);

#[derive(Debug)]
struct Watch {
    withdrawn: watch::Receiver<Option<Arc<KeyError>>>,
    _task: AbortOnDropHandle<()>,
}

impl Supervision {
    /// Supervises a publisher with this permit.
    pub fn start(authority: &Arc<Authority>, permit: &Permit, key: &StreamKey, client: IpAddr) -> Self {
        let Some(input) = permit.input.clone() else { return Self(None) };
        let (sender, withdrawn) = watch::channel(None);
        let authority = authority.clone();
        let key = key.clone();
        let task = tokio::spawn(async move {
            let error = tokio::select! {
                error = authority.withdrawn(&input.uid, &key, client) => error,
                never = authority.note_uses(&input) => match never {},
            };
            sender.send_replace(Some(Arc::new(error)));
        });
        Self(Some(Watch { withdrawn, _task: AbortOnDropHandle::new(task) }))
    }

    /// Waits until the permit is withdrawn, and says so again whenever it is asked afterwards. Nothing is lost when it is
    /// cancelled.
    pub async fn withdrawn(&mut self) -> Arc<KeyError> {
        let Some(watch) = &mut self.0 else { return std::future::pending().await };
        let error = watch.withdrawn.wait_for(Option::is_some).await.ok().and_then(|told| told.clone());
        match error {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }
}

impl Authority {
    /// Waits until the key does not open the stream any more.
    async fn withdrawn(&self, uid: &StreamId, key: &StreamKey, client: IpAddr) -> KeyError {
        let mut changes = self.changes.subscribe();
        loop {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            match self.permit(key, client).await {
                Err(
                    error @ (KeyError::Unknown
                    | KeyError::Disabled
                    | KeyError::Blocked(_)
                    | KeyError::AddressNotAllowed),
                ) => {
                    return error;
                }
                Ok(permit) if permit.stream != *uid => return KeyError::Unknown,
                // A key in use does not expire, and a directory that does not answer withdraws nothing.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Notes again and again that the key is in use, where that keeps it from expiring.
    async fn note_uses(&self, input: &LiveInput) -> std::convert::Infallible {
        let (Some(lifetime), Some(copy)) = (input.unused_lifetime(), &self.directory) else {
            return std::future::pending().await;
        };
        let mut due = interval((lifetime / USES_IN_LIFETIME).max(MIN_USE_INTERVAL));
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            if let Err(error) = copy.directory().record_use(&input.uid, clock::now()).await {
                tracing::warn!(%error, "the use of the stream key could not be noted: it may expire");
            }
            copy.forget(&input.uid);
        }
    }
}
