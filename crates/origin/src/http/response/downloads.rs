//! Memory limits of downloads, of all together and of each address, and the end of those whose viewers take nothing any more.
//!
//! A download reads ahead of its viewer. A thousand slow ones would hold a gigabyte, and on HTTP/2 a viewer can keep a
//! connection busy without taking anything of the files that are sent on it. So what is read counts, until it is handed
//! on: against the share of its viewer's address, and then against the sum. It is handed on in small copies, as a
//! connection may hold one for as long as it likes; and a download that nothing is taken of is given up by itself, whatever
//! else happens on its connection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::StreamExt as _;
use headwater_media::lock::MutexExt;
use headwater_runtime::listener::counted_as;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::body::{Interrupted, Pieces};

/// KiB that all downloads may hold: four segments each, of a hundred at some megabits.
const TOTAL_KIB: usize = 128 << 10;
/// KiB that those of one address may hold: it leaves room for others, and is enough for dozens behind one name.
const SHARE_KIB: usize = 32 << 10;
/// A viewer that takes nothing for so long is given up; a player that has enough takes the next piece within seconds.
const STALL_LIMIT: Duration = Duration::from_secs(35);
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes that are handed on at a time: all that a download holds when it was given up.
const COPY_BYTES: usize = 64 << 10;

/// The downloads under way. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Downloads {
    total: Arc<Semaphore>,
    shares: Arc<Mutex<HashMap<IpAddr, Weak<Semaphore>>>>,
    moving: Arc<Mutex<Vec<Weak<Mutex<Download>>>>>,
}

impl Default for Downloads {
    fn default() -> Self {
        let (shares, moving) = Default::default();
        Self { total: Arc::new(Semaphore::new(TOTAL_KIB)), shares, moving }
    }
}

impl Downloads {
    /// The share of an address, or of its network.
    pub(crate) fn share(&self, of: IpAddr) -> Share {
        let of = counted_as(of);
        let mut shares = lock(&self.shares);
        let own = shares.get(&of).and_then(Weak::upgrade).unwrap_or_else(|| {
            shares.retain(|_, share| share.strong_count() > 0);
            let own = Arc::new(Semaphore::new(SHARE_KIB));
            shares.insert(of, Arc::downgrade(&own));
            own
        });
        Share { own, total: self.total.clone() }
    }

    /// Watches over a download, which is given up when nothing of it is taken any more.
    pub(crate) fn watch(&self, pieces: Pieces) -> Pieces {
        let download =
            Arc::new(Mutex::new(Download { pieces: Some(pieces), rest: Bytes::new(), given: None }));
        let mut moving = lock(&self.moving);
        moving.retain(|download| download.strong_count() > 0);
        moving.push(Arc::downgrade(&download));
        Watched(download).boxed()
    }

    /// Gives up downloads that do not move. Never ends.
    pub(crate) async fn keep_moving(&self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let moving: Vec<_> = lock(&self.moving).iter().filter_map(Weak::upgrade).collect();
            for download in moving {
                let given_up = lock(&download).give_up();
                drop(given_up);
            }
        }
    }
}

/// Memory that the downloads of one address may hold.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    own: Arc<Semaphore>,
    total: Arc<Semaphore>,
}

/// Room for so many bytes.
pub(crate) struct Room([OwnedSemaphorePermit; 2]);

impl Share {
    /// Waits for room for these bytes, or for all the room that there is.
    pub(crate) async fn room(&self, bytes: u64) -> Result<Room, Interrupted> {
        let kib = bytes.div_ceil(1 << 10).clamp(1, SHARE_KIB as u64) as u32;
        // Neither is ever closed. The share first: one who waits for it holds nothing of others.
        let own = self.own.clone().acquire_many_owned(kib).await.map_err(|_| Interrupted::Unread)?;
        let total = self.total.clone().acquire_many_owned(kib).await.map_err(|_| Interrupted::Unread)?;
        Ok(Room([own, total]))
    }
}

impl Room {
    /// These bytes take the room until nobody holds them any more, nor a slice of them.
    pub(crate) fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _room: self.0 })
    }
}

struct Held {
    bytes: Bytes,
    _room: [OwnedSemaphorePermit; 2],
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

struct Download {
    /// None once it was given up.
    pieces: Option<Pieces>,
    /// The end of a piece whose beginning was given.
    rest: Bytes,
    /// When the last piece was given, as long as no further one was asked for.
    given: Option<Instant>,
}

impl Download {
    fn give_up(&mut self) -> Option<(Pieces, Bytes)> {
        let is_stalled = self.given.is_some_and(|given| given.elapsed() >= STALL_LIMIT);
        if is_stalled { self.pieces.take().zip(Some(std::mem::take(&mut self.rest))) } else { None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Interrupted>>> {
        self.given = None;
        let Some(pieces) = &mut self.pieces else { return Poll::Ready(Some(Err(Interrupted::Stalled))) };
        let next = if self.rest.is_empty() { ready!(pieces.poll_next_unpin(cx)) } else { None };
        self.given = Some(Instant::now());
        match next {
            Some(Ok(piece)) => self.rest = piece,
            Some(Err(interrupted)) => return Poll::Ready(Some(Err(interrupted))),
            None if self.rest.is_empty() => return Poll::Ready(None),
            None => {}
        }
        Poll::Ready(Some(Ok(self.copy())))
    }

    /// The next bytes of the rest, in memory of their own.
    fn copy(&mut self) -> Bytes {
        let most = self.rest.len().min(COPY_BYTES);
        let copy = Bytes::copy_from_slice(&self.rest[..most]);
        drop(self.rest.split_to(most));
        if self.rest.is_empty() {
            // An empty slice may hold on to the whole.
            self.rest = Bytes::new();
        }
        copy
    }
}

struct Watched(Arc<Mutex<Download>>);

impl Stream for Watched {
    type Item = Result<Bytes, Interrupted>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        lock(&self.0).poll(cx)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock_ignoring_poison()
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use tokio::time::{sleep, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// Pieces of a MiB each, which are counted.
    fn file(share: Share) -> Pieces {
        let piece = move |_| {
            let share = share.clone();
            async move { Ok::<_, Interrupted>(share.room(1 << 20).await?.hold(vec![7; 1 << 20].into())) }
        };
        stream::iter(0..1_000).map(piece).buffered(4).boxed()
    }

    async fn begun(downloads: &Downloads, from: IpAddr) -> (Pieces, Option<Bytes>) {
        let mut file = downloads.watch(file(downloads.share(from)));
        let first = timeout(SECOND, file.next()).await.ok().flatten();
        (file, first.map(Result::unwrap))
    }

    #[tokio::test(start_paused = true)]
    async fn slow_downloads_hold_no_more_than_their_share_and_others_go_on() {
        let downloads = Downloads::default();
        let mut slow = Vec::new();
        for _ in 0..100 {
            slow.push(begun(&downloads, address(1)).await);
        }
        assert_eq!(TOTAL_KIB - downloads.total.available_permits(), SHARE_KIB);
        let (mut file, first) = begun(&downloads, address(2)).await;
        assert!(first.is_some());
        for _ in 0..500 {
            assert!(timeout(SECOND, file.next()).await.is_ok(), "it goes on");
        }
        drop((slow, file, first));
        assert_eq!(downloads.total.available_permits(), TOTAL_KIB);
    }

    /// Its connection may be as busy as it likes.
    #[tokio::test(start_paused = true)]
    async fn a_download_that_nothing_is_taken_of_is_given_up_and_a_slow_one_is_not() {
        let downloads = Downloads::default();
        // Its connection holds what it was given.
        let (mut stalled, held) = begun(&downloads, address(1)).await;
        let (mut slow, _) = begun(&downloads, address(1)).await;
        let watch = async {
            for _ in 0..10 {
                sleep(STALL_LIMIT / 2).await;
                assert!(slow.next().await.unwrap().is_ok());
            }
        };
        tokio::select! {
            () = watch => {}
            () = downloads.keep_moving() => {}
        }
        assert_eq!(stalled.next().await, Some(Err(Interrupted::Stalled)));
        drop(slow);
        assert_eq!(downloads.total.available_permits(), TOTAL_KIB, "it holds nothing any more");
        assert_eq!(held.map(|held| held.len()), Some(COPY_BYTES), "but for this");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_handed_on_in_small_copies_is_all_of_it() {
        let downloads = Downloads::default();
        let pieces = [COPY_BYTES * 2 + 7, 0, COPY_BYTES, 1].map(|length| vec![length as u8; length]);
        let parts = pieces.clone().map(|piece| Ok(Bytes::from(piece)));
        let got: Vec<_> = downloads.watch(stream::iter(parts).boxed()).map(Result::unwrap).collect().await;
        assert_eq!(got.concat(), pieces.concat());
        assert!(got.iter().all(|copy| copy.len() <= COPY_BYTES));
    }

    #[test]
    fn a_network_has_one_share() {
        let downloads = Downloads::default();
        let own = |address: &str| downloads.share(address.parse().unwrap()).own;
        let one = own("2001:db8::1");
        assert!(Arc::ptr_eq(&one, &own("2001:db8::ffff:1")));
        assert!(!Arc::ptr_eq(&one, &own("2001:db8:0:1::1")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_slow_is_not_the_viewers_fault() {
        let downloads = Downloads::default();
        let late = stream::once(async {
            sleep(STALL_LIMIT * 3).await;
            Ok(Bytes::from_static(b"late"))
        });
        let mut file = downloads.watch(late.boxed());
        tokio::select! {
            piece = file.next() => assert_eq!(piece, Some(Ok("late".into()))),
            () = downloads.keep_moving() => {}
        }
    }
}
