//! The servers that this origin has heard of.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use headwater_registry::ServerRecord;
use tokio::time::Instant;

/// How long a server that the registry lists no more may still be there with its streams: it alone may be cut off from
/// the registry. That is long for a partition, and short for a list of hosts that are gone.
const MISSING_LIMIT: Duration = Duration::from_secs(300);
/// How long one that did not answer is left alone: a host that is gone costs a viewer the whole limit of a question.
const LEFT_ALONE: Duration = Duration::from_secs(10);

/// By address: those that the registry listed last, and those that it listed lately.
#[derive(Default)]
pub(super) struct Servers(Mutex<HashMap<String, Standing>>);

#[derive(Clone, Copy)]
enum Standing {
    Listed {
        /// It has said that it stops: when it is gone, that is no surprise.
        draining: bool,
    },
    /// Not listed since then.
    Missing { since: Instant, ask_from: Instant },
}

impl Servers {
    /// The registry lists these. None at all is what a registry lists that has lost its memory. Says whether it lists one no
    /// more that it listed before.
    pub(super) fn learn(&self, listed: &[ServerRecord]) -> bool {
        let now = Instant::now();
        let mut servers = self.lock();
        servers.retain(|_, standing| match *standing {
            Standing::Listed { draining } => !draining,
            Standing::Missing { since, .. } => now.duration_since(since) < MISSING_LIMIT,
        });
        for standing in servers.values_mut() {
            if let Standing::Listed { .. } = standing {
                *standing = Standing::Missing { since: now, ask_from: now };
            }
        }
        for server in listed {
            servers.insert(server.address.clone(), Standing::Listed { draining: server.draining });
        }
        servers.values().any(|standing| matches!(standing, Standing::Missing { since, .. } if *since == now))
    }

    /// All of them: whom to ask when the registry is away.
    pub(super) fn all(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Servers that may have a stream which the registry does not know of.
    pub(super) fn missing(&self) -> Vec<String> {
        let now = Instant::now();
        let may_be_asked =
            |standing: &Standing| matches!(standing, Standing::Missing { ask_from, .. } if *ask_from <= now);
        let servers = self.lock();
        servers
            .iter()
            .filter(|(_, standing)| may_be_asked(standing))
            .map(|(address, _)| address.clone())
            .collect()
    }

    /// This one was asked and did not answer.
    pub(super) fn note_silent(&self, address: &str) {
        if let Some(Standing::Missing { ask_from, .. }) = self.lock().get_mut(address) {
            *ask_from = Instant::now() + LEFT_ALONE;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        self.0.lock_ignoring_poison()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, draining: bool) -> ServerRecord {
        ServerRecord {
            id: name.parse().unwrap(),
            address: name.into(),
            capacity_millicores: 1_000,
            used_millicores: 0,
            broadcasts: 0,
            draining,
            version: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_vanishes_is_asked_for_some_minutes() {
        let servers = Servers::default();
        servers.learn(&[server("a", false), server("b", false)]);
        assert!(servers.missing().is_empty(), "what is listed is not missing");
        assert!(servers.learn(&[server("b", false)]), "one is missed");
        tokio::time::advance(MISSING_LIMIT / 2).await;
        assert!(!servers.learn(&[server("b", false)]), "it was missed before");
        assert_eq!(servers.missing(), ["a"]);
        assert_eq!(servers.all().len(), 2);
        tokio::time::advance(MISSING_LIMIT / 2).await;
        servers.learn(&[server("b", false)]);
        assert_eq!((servers.missing().len(), servers.all()), (0, vec!["b".to_owned()]));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_answer_is_left_alone_for_a_while() {
        let servers = Servers::default();
        servers.learn(&[server("a", false)]);
        servers.learn(&[]);
        servers.note_silent("a");
        assert!(servers.missing().is_empty());
        tokio::time::advance(LEFT_ALONE).await;
        assert_eq!(servers.missing(), ["a"]);
        servers.learn(&[server("a", false)]);
        assert!(servers.missing().is_empty(), "it is back");
    }

    #[test]
    fn one_that_said_goodbye_is_not_missing() {
        let servers = Servers::default();
        servers.learn(&[server("a", true)]);
        servers.learn(&[]);
        assert!(servers.missing().is_empty() && servers.all().is_empty());
    }
}
