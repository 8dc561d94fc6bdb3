//! The queue for making pictures. Whoever asks for many pictures does not keep out those who ask for one: a free child goes
//! to the address that has the fewest at work and waiting, and there to the newest request, whose viewer is the most likely
//! to be there still.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Requests that have a child at work or wait for one: ten seconds' worth. Of more, the oldest of the address that has the most
/// are turned away.
pub(super) const MAX_REQUESTS: usize = 64;
/// The longest wait for a child to be free.
const WAIT_LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Queue(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Children at work, by the address that asked.
    working: HashMap<IpAddr, usize>,
    /// Oldest first.
    waiting: Vec<Waiting>,
}

struct Waiting {
    address: IpAddr,
    turn: oneshot::Sender<Turn>,
}

/// The right to one child, until it is dropped.
pub(super) struct Turn {
    address: IpAddr,
    queue: Queue,
}

impl Queue {
    pub(super) fn new(children: usize) -> Self {
        let state = State { free: children, working: HashMap::new(), waiting: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for a turn; none where there is none within [`WAIT_LIMIT`], or others had to make room for newer ones.
    pub(super) async fn turn(&self, address: IpAddr) -> Option<Turn> {
        let (turn, given) = oneshot::channel();
        self.lock().enter(Waiting { address, turn });
        self.hand_out();
        timeout(WAIT_LIMIT, given).await.ok()?.ok()
    }

    /// Gives free children away, outside of the lock: a turn that nobody waits for any more comes back here.
    fn hand_out(&self) {
        loop {
            let Some(Waiting { address, turn }) = self.lock().next() else { return };
            drop(turn.send(Turn { address, queue: self.clone() }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock_ignoring_poison()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.lock().end(self.address);
        self.queue.hand_out();
    }
}

impl State {
    fn enter(&mut self, newcomer: Waiting) {
        self.waiting.retain(|waiting| !waiting.turn.is_closed());
        self.waiting.push(newcomer);
        let at_work: usize = self.working.values().sum();
        if at_work + self.waiting.len() > MAX_REQUESTS {
            let counts = self.counts();
            let most = counts.values().copied().max();
            let oldest =
                self.waiting.iter().position(|waiting| counts.get(&waiting.address).copied() == most);
            oldest.map(|oldest| self.waiting.remove(oldest));
        }
    }

    /// Takes a child for the next one in turn, where one is free.
    fn next(&mut self) -> Option<Waiting> {
        if self.free == 0 {
            return None;
        }
        let counts = self.counts();
        let rank = |&at: &usize| {
            let address = &self.waiting[at].address;
            (self.working.get(address).copied(), counts.get(address).copied(), Reverse(at))
        };
        let next = (0..self.waiting.len()).min_by_key(rank)?;
        let next = self.waiting.remove(next);
        self.free -= 1;
        *self.working.entry(next.address).or_default() += 1;
        Some(next)
    }

    fn end(&mut self, address: IpAddr) {
        self.free += 1;
        if let Some(count) = self.working.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.working.remove(&address);
            }
        }
    }

    /// Numbers of waiting requests, by the address that asked.
    fn counts(&self) -> HashMap<IpAddr, usize> {
        self.waiting.iter().fold(HashMap::new(), |mut counts, waiting| {
            *counts.entry(waiting.address).or_default() += 1;
            counts
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures::FutureExt as _;
    use futures::future::join_all;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// A request that has been made.
    type Asked<'a> = Pin<Box<dyn Future<Output = Option<Turn>> + 'a>>;

    fn ask(queue: &Queue, last: u8) -> Asked<'_> {
        let mut asked = Box::pin(async move { queue.turn(address(last)).await });
        assert!(asked.as_mut().now_or_never().is_none(), "no child is free");
        asked
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_one_is_before_who_asks_for_many_and_the_newest_is_first() {
        let queue = Queue::new(1);
        let working = queue.turn(address(1)).await.unwrap();
        let mut old = ask(&queue, 1);
        let mut new = ask(&queue, 1);
        let mut other = ask(&queue, 2);
        drop(working);
        let turn = other.as_mut().now_or_never().unwrap().unwrap();
        assert!(new.as_mut().now_or_never().is_none());
        drop(turn);
        let turn = new.as_mut().now_or_never().unwrap().unwrap();
        assert!(old.as_mut().now_or_never().is_none());
        drop(turn);
        assert!(old.await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_who_asks_for_the_most_makes_room() {
        let queue = Queue::new(1);
        let _working = queue.turn(address(1)).await.unwrap();
        let mut early = ask(&queue, 2);
        let mut crowd: Vec<_> = (0..MAX_REQUESTS - 2).map(|_| ask(&queue, 3)).collect();
        let _late = ask(&queue, 4);
        assert!(crowd[0].as_mut().now_or_never().unwrap().is_none(), "it was turned away");
        assert!(crowd[1].as_mut().now_or_never().is_none() && early.as_mut().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_gone_takes_no_turn_and_who_waits_for_long_is_turned_away() {
        let queue = Queue::new(1);
        let working = queue.turn(address(1)).await.unwrap();
        let waited = ask(&queue, 1);
        drop(ask(&queue, 2));
        assert!(waited.await.is_none());
        drop(working);
        assert_eq!(join_all([queue.turn(address(2))]).await.iter().flatten().count(), 1);
        assert!(queue.turn(address(3)).await.is_some(), "every turn came back");
    }
}
