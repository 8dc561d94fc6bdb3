//! Where streams were published last: for the time when the registry does not answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use headwater_media::{Epoch, StreamId};
use headwater_registry::ServerId;

/// Streams that are remembered. A proxy has some hundreds of publishers; the rest are names that came and went.
const LIMIT: usize = 10_000;

/// The last server of each stream that was published through this proxy.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<StreamId, LastServer>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastServer {
    pub server: ServerId,
    pub address: String,
    pub epoch: Epoch,
}

impl Memory {
    pub fn note(&self, stream: &StreamId, last: LastServer) {
        let mut streams = self.streams();
        if streams.len() >= LIMIT && !streams.contains_key(stream) {
            // Any will do: what is forgotten costs a publisher a retry, and only during an outage.
            let forgotten = streams.keys().next().cloned();
            forgotten.and_then(|stream| streams.remove(&stream));
        }
        streams.insert(stream.clone(), last);
    }

    pub fn recall(&self, stream: &StreamId) -> Option<LastServer> {
        self.streams().get(stream).cloned()
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<StreamId, LastServer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(epoch: u64) -> LastServer {
        LastServer { server: "s".parse().unwrap(), address: "s:7000".into(), epoch: Epoch(epoch) }
    }

    #[test]
    fn the_newest_is_recalled_and_the_number_is_bounded() {
        let memory = Memory::default();
        let name = |n: usize| format!("stream-{n}").parse::<StreamId>().unwrap();
        for n in 0..LIMIT + 10 {
            memory.note(&name(n), last(1));
        }
        memory.note(&name(LIMIT + 9), last(2));
        assert_eq!(memory.recall(&name(LIMIT + 9)), Some(last(2)));
        assert_eq!(memory.streams().len(), LIMIT);
    }
}
