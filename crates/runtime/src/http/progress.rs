//! Telling a connection that does something from one that only takes a place. What it may take its time for depends on
//! what it is about: to ask for something, to take an answer, or to be kept for the next request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Version;
use tokio::time::Instant;

use super::Patience;
use crate::listener::{Activity, Observer, Work};

/// From one look to the next, so that a connection costs no timer for each of its requests.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Requests that came, and writes that moved something.
#[derive(Clone)]
pub(super) struct Progress(Arc<Counts>);

struct Counts {
    moved: AtomicU64,
    /// Something has come, or is still to come first, that is no whole request yet.
    is_asking: AtomicBool,
    /// Frames of HTTP/2 come without a request, too.
    is_http2: AtomicBool,
    /// Answers that are being made.
    making: AtomicUsize,
    activity: Activity,
}

/// An answer that is being made: it is not its viewer who takes that time.
pub(super) struct Making(Progress);

/// The phases of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Asking,
    Answered,
    Kept,
}

impl Patience {
    fn in_phase(self, phase: Phase) -> Duration {
        match phase {
            Phase::Asking => self.request,
            Phase::Answered => self.answer,
            Phase::Kept => self.keep_alive,
        }
    }
}

impl Progress {
    pub(super) fn new(activity: Activity) -> Self {
        let moved = AtomicU64::new(0);
        let is_asking = AtomicBool::new(true);
        let is_http2 = AtomicBool::new(false);
        let making = AtomicUsize::new(0);
        Self(Arc::new(Counts { moved, is_asking, is_http2, making, activity }))
    }

    /// Ends once there was no progress for as long as `patience` says, or a look longer.
    pub(super) async fn wait_for_stall(&self, patience: Patience) {
        let mut before = self.current_phase();
        let mut since = Instant::now();
        loop {
            let limit = patience.in_phase(before.0);
            if since.elapsed() >= limit {
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL.min(limit)).await;
            let now = self.current_phase();
            if now != before || self.0.making.load(Ordering::Relaxed) > 0 {
                (before, since) = (now, Instant::now());
            }
        }
    }

    /// A request has come, which is answered until what is returned is dropped.
    pub(super) fn begin_request(&self, version: Version) -> Work {
        self.0.is_http2.store(version == Version::HTTP_2, Ordering::Relaxed);
        self.0.is_asking.store(false, Ordering::Relaxed);
        self.count_move();
        self.0.activity.work()
    }

    /// The answer to a request is made until what is returned is dropped.
    pub(super) fn begin_answer(&self) -> Making {
        self.0.making.fetch_add(1, Ordering::Relaxed);
        Making(self.clone())
    }

    fn current_phase(&self) -> (Phase, u64) {
        let phase = match (self.0.activity.is_working(), self.0.is_asking.load(Ordering::Relaxed)) {
            (true, _) => Phase::Answered,
            (false, true) => Phase::Asking,
            (false, false) => Phase::Kept,
        };
        (phase, self.0.moved.load(Ordering::Relaxed))
    }

    fn count_move(&self) {
        self.0.moved.fetch_add(1, Ordering::Relaxed);
    }
}

impl Observer for Progress {
    fn note_read(&mut self, _bytes: usize) {
        if !self.0.is_http2.load(Ordering::Relaxed) {
            self.0.is_asking.store(true, Ordering::Relaxed);
        }
    }

    fn note_written(&mut self, _bytes: usize) {
        self.count_move();
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.0.count_move();
        self.0.0.making.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::listener::{Guard, Limits, ObservedStream, Stream};

    const PATIENCE: Patience = Patience {
        request: Duration::from_secs(10),
        answer: Duration::from_secs(30),
        keep_alive: Duration::from_secs(70),
    };

    struct Connection {
        stream: ObservedStream<Progress>,
        progress: Progress,
        far: TcpStream,
        _guard: Guard,
    }

    async fn connection() -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (near, peer) = listener.accept().await.unwrap();
        let guard = Limits::total(1).admit(peer.ip()).unwrap();
        let progress = Progress::new(guard.give_way());
        let stream = ObservedStream::new(Stream::Plain(near), progress.clone());
        tokio::time::pause();
        Connection { stream, progress, far, _guard: guard }
    }

    /// How long it lasts, in seconds, while this happens.
    async fn lasts(progress: &Progress, happens: impl Future<Output = ()>) -> u64 {
        let began = Instant::now();
        tokio::select! {
            () = progress.wait_for_stall(PATIENCE) => {}
            () = async { happens.await; pending().await } => {}
        }
        began.elapsed().as_secs()
    }

    async fn after(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test]
    async fn who_asks_for_nothing_is_soon_closed_and_who_has_asked_is_kept() {
        let Connection { progress, .. } = &connection().await;
        assert_eq!(lasts(progress, async {}).await, 10);
        drop(progress.begin_request(Version::HTTP_11));
        assert_eq!(lasts(progress, async {}).await, 70);
    }

    #[tokio::test]
    async fn what_is_written_and_requests_put_the_end_off() {
        let Connection { mut stream, progress, .. } = connection().await;
        let _work = progress.begin_request(Version::HTTP_11);
        assert_eq!(lasts(&progress, async {}).await, 30);
        let written = async {
            after(15).await;
            stream.write_all(b"x").await.unwrap();
        };
        assert_eq!(lasts(&progress, written).await, 50);
        let asked = async {
            after(15).await;
            drop(progress.begin_request(Version::HTTP_11));
        };
        assert_eq!(lasts(&progress, asked).await, 50);
    }

    #[tokio::test]
    async fn an_answer_that_takes_long_to_make_is_no_stall() {
        let Connection { progress, .. } = connection().await;
        let _work = progress.begin_request(Version::HTTP_11);
        let making = progress.begin_answer();
        let made = async {
            after(95).await;
            drop(making);
        };
        assert_eq!(lasts(&progress, made).await, 130);
    }

    /// The first request, and one on a connection that was kept.
    #[tokio::test]
    async fn a_request_that_comes_byte_by_byte_does_not() {
        let Connection { mut stream, progress, mut far, .. } = connection().await;
        let mut trickle = async || {
            for _ in 0..20 {
                after(3).await;
                far.write_all(b"G").await.unwrap();
                stream.read_u8().await.unwrap();
            }
        };
        assert_eq!(lasts(&progress, trickle()).await, 10);
        drop(progress.begin_request(Version::HTTP_11));
        assert_eq!(lasts(&progress, trickle()).await, 20, "it was noticed at the first look");
    }

    #[tokio::test]
    async fn frames_between_the_requests_of_http2_are_none() {
        let Connection { mut stream, progress, mut far, .. } = connection().await;
        drop(progress.begin_request(Version::HTTP_2));
        let ping = async {
            after(15).await;
            far.write_all(b"p").await.unwrap();
            stream.read_u8().await.unwrap();
        };
        assert_eq!(lasts(&progress, ping).await, 70);
    }
}
