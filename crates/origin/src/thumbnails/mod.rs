//! Still pictures of broadcasts: which frame is meant, who decodes it, and how often.
//!
//! A picture is made once, by a confined child process ([`process`]), for everybody who asks at the same time, and kept for
//! those who ask later. What many different questions can cost is bounded: so many children at a time, so many waiting, and
//! a share for each address ([`queue`]).

mod frame;
mod frames;
mod process;
mod queue;
mod storyboard;
mod time_query;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_media::{BroadcastId, MediaSequence, RenditionId};
use headwater_runtime::config::WorkerSandbox;
use headwater_runtime::listener::counted_as;
use headwater_wire::v2::StillRequest;
use http::HeaderValue;
use metrics::{Counter, counter};
use moka::future::Cache;
use tracing::{info, warn};

pub(crate) use frame::{Frame, Missed, newest_end, newest_or_at, stored_at};
pub(crate) use frames::Frames;
pub(crate) use process::{Failure, StillProcess as Process};
pub(crate) use storyboard::{Clock, SHEET_COLUMNS, SHEET_ROWS, Sheet, Storyboard, Tile};
pub(crate) use time_query::TimeQuery;

use crate::representation::etag;
use queue::Queue;

/// Children at a time: they are nicer than the origin, and take 0.1 to 0.2 s of a core each.
const MAX_PROCESSES: usize = 2;
/// Bytes of pictures that are kept: about 1,500 of 640x360.
const KEPT_BYTES: u64 = 64 << 20;
/// Pictures that nobody asks for are kept for this time.
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Bytes that an entry takes beside its picture.
const ENTRY_BYTES: u32 = 256;
/// Bytes of what is known of stored segments' frames: some 10,000 of 2 s.
const KEPT_FRAMES: u64 = 8 << 20;

/// Identity of a picture. The same key never stands for two pictures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Frame {
        broadcast: BroadcastId,
        rendition: RenditionId,
        sequence: MediaSequence,
        /// When it is shown, in ticks of the track. Where its media can't be read, microseconds from the segment's start: it
        /// has no picture then.
        shown: u64,
        /// Pixels.
        height: u32,
    },
    /// A sheet of the storyboard.
    Sheet {
        broadcast: BroadcastId,
        number: u32,
        /// The first place with a picture, and how many places there are.
        first: u64,
        count: u64,
    },
}

impl Key {
    pub(crate) fn broadcast(&self) -> BroadcastId {
        match self {
            Self::Frame { broadcast, .. } | Self::Sheet { broadcast, .. } => *broadcast,
        }
    }
}

/// A JPEG.
#[derive(Clone, Debug)]
pub(crate) struct Still {
    pub(crate) bytes: Bytes,
    pub(crate) etag: HeaderValue,
    /// There was media for all that it shows. One that is not whole is made again for whoever asks next.
    pub(crate) is_whole: bool,
}

/// Result of the process for one picture.
#[derive(Clone)]
enum Made {
    Still(Still),
    /// Media that no picture can be made of; the text says why.
    Undecodable(String),
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoStill {
    /// The media is to blame; the text says more.
    Undecodable(String),
    /// Everybody wants pictures.
    Busy,
    /// This origin is to blame, and its log says how.
    Failed,
}

/// A stored segment of a rendition.
pub(crate) type SegmentKey = (BroadcastId, RenditionId, MediaSequence);

pub(crate) struct Thumbnails {
    process: Process,
    /// A failure that is the media's is kept as well: it would fail again.
    kept: Cache<Key, Made>,
    /// Of stored segments; none of those that can't be read.
    frames: Cache<SegmentKey, Option<Arc<Frames>>>,
    queue: Queue,
    made: Counter,
    failed: Counter,
}

impl Thumbnails {
    /// Thumbnails whose processes are confined by this sandbox.
    pub(crate) fn new(sandbox: WorkerSandbox) -> Self {
        Self::with(Process::own(sandbox))
    }

    /// Thumbnails that are the output of a shell's script.
    #[cfg(test)]
    pub(crate) fn scripted(script: &str) -> Self {
        let arguments = ["-c", script].map(Into::into).into();
        let command = headwater_transcode::launch::WorkerCommand { program: "/bin/sh".into(), arguments };
        Self::with(Process::new(command, headwater_transcode::sandbox::Mode::Off))
    }

    fn with(process: Process) -> Self {
        let weight = |_: &Key, made: &Made| match made {
            Made::Still(still) => still.bytes.len() as u32 + ENTRY_BYTES,
            Made::Undecodable(_) => ENTRY_BYTES,
        };
        let kept = Cache::builder().weigher(weight).max_capacity(KEPT_BYTES).time_to_idle(KEPT_FOR).build();
        let size = |_: &SegmentKey, frames: &Option<Arc<Frames>>| {
            frames.as_ref().map_or(0, |frames| frames.size()) + ENTRY_BYTES
        };
        let frames = Cache::builder().weigher(size).max_capacity(KEPT_FRAMES).time_to_idle(KEPT_FOR).build();
        let count = |result: &'static str| counter!("headwater_origin_stills_total", "result" => result);
        Self {
            process,
            kept,
            frames,
            queue: Queue::new(MAX_PROCESSES),
            made: count("made"),
            failed: count("failed"),
        }
    }

    /// Pictures for whoever asks from this address.
    pub(crate) fn asked_from(&self, address: IpAddr) -> Asked<'_> {
        Asked { thumbnails: self, address: counted_as(address) }
    }

    /// When the frames of a stored segment are shown; `segment` is read where that is not known. None where it can't be told.
    pub(crate) async fn frames<E>(
        &self,
        key: SegmentKey,
        segment: impl Future<Output = Result<Bytes, E>>,
    ) -> Result<Option<Arc<Frames>>, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        let read = async { segment.await.map(|segment| Frames::of([&segment[..]]).map(Arc::new)) };
        self.frames.try_get_with(key, read).await.map_err(Arc::unwrap_or_clone)
    }

    async fn make<E: From<NoStill>>(
        &self,
        address: IpAddr,
        request: impl Future<Output = Result<StillRequest, E>>,
    ) -> Result<Made, E> {
        let _turn = self.queue.turn(address).await.ok_or(NoStill::Busy)?;
        let request = request.await?;
        match self.process.run(&request).await {
            Ok(bytes) => {
                self.made.increment(1);
                Ok(Made::Still(Still { etag: etag::of_text(&bytes), bytes, is_whole: is_whole(&request) }))
            }
            Err(Failure::Media(why)) => {
                self.failed.increment(1);
                info!(why, "no still picture can be made of this media");
                Ok(Made::Undecodable(why))
            }
            Err(Failure::Process(why)) => {
                self.failed.increment(1);
                warn!(why, "a still picture could not be made");
                Err(NoStill::Failed.into())
            }
        }
    }
}

/// Pictures for those who ask from one address, who share what the address gets.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) thumbnails: &'a Thumbnails,
    address: IpAddr,
}

impl Asked<'_> {
    /// The picture of this key, which `request` is asked for where it has to be made.
    pub(crate) async fn get<E>(
        self,
        key: Key,
        request: impl Future<Output = Result<StillRequest, E>>,
    ) -> Result<Still, E>
    where
        E: From<NoStill> + Clone + Send + Sync + 'static,
    {
        let Self { thumbnails, address } = self;
        let made = thumbnails.kept.try_get_with(key.clone(), thumbnails.make(address, request)).await;
        if let Ok(Made::Still(Still { is_whole: false, .. })) = &made {
            thumbnails.kept.invalidate(&key).await;
        }
        match made {
            Ok(Made::Still(still)) => Ok(still),
            Ok(Made::Undecodable(why)) => Err(NoStill::Undecodable(why).into()),
            Err(error) => Err(Arc::unwrap_or_clone(error)),
        }
    }
}

/// Whether there is media for every picture that is there.
fn is_whole(request: &StillRequest) -> bool {
    request.pictures.iter().all(|picture| picture.init.is_empty() || !picture.media.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use headwater_media::UnixMillis;

    use super::queue::MAX_REQUESTS;
    use super::*;

    fn key(shown: u64) -> Key {
        let broadcast = BroadcastId::new(UnixMillis(0), &[7; 10]);
        let rendition = "720p".parse().unwrap();
        let sequence = MediaSequence(1);
        Key::Frame { broadcast, rendition, sequence, shown, height: 360 }
    }

    fn asked(thumbnails: &Thumbnails, last: u8) -> Asked<'_> {
        thumbnails.asked_from(IpAddr::from([10, 0, 0, last]))
    }

    async fn request() -> Result<StillRequest, NoStill> {
        Ok(StillRequest::default())
    }

    #[tokio::test]
    async fn a_crowd_has_one_picture_made() {
        let thumbnails = Thumbnails::scripted("cat >/dev/null; sleep 0.2; printf picture");
        let requests = AtomicUsize::new(0);
        let ask = |_| {
            asked(&thumbnails, 1).get(key(0), async {
                requests.fetch_add(1, SeqCst);
                request().await
            })
        };
        for still in futures::future::join_all((0..50).map(ask)).await {
            assert_eq!(still.unwrap().bytes, "picture");
        }
        assert_eq!(asked(&thumbnails, 1).get(key(0), request()).await.unwrap().bytes, "picture");
        assert_eq!(requests.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn media_that_is_to_blame_is_not_tried_twice() {
        let thumbnails = Thumbnails::scripted("cat >/dev/null; echo it is nonsense >&2; exit 3");
        for _ in 0..2 {
            let refused = asked(&thumbnails, 1).get(key(0), request()).await.unwrap_err();
            assert_eq!(refused, NoStill::Undecodable("it is nonsense".into()));
        }
        assert_eq!(thumbnails.kept.iter().count(), 1);
    }

    #[tokio::test]
    async fn a_failure_of_ours_is_tried_again() {
        let thumbnails = Thumbnails::scripted("exit 1");
        assert_eq!(asked(&thumbnails, 1).get(key(0), request()).await.unwrap_err(), NoStill::Failed);
        assert_eq!(thumbnails.kept.iter().count(), 0);
    }

    #[tokio::test]
    async fn more_questions_than_can_wait_are_turned_away() {
        let thumbnails = Thumbnails::scripted("cat >/dev/null; sleep 0.1; printf picture");
        let questions =
            (0..MAX_REQUESTS as u64 + 10).map(|nth| asked(&thumbnails, 1).get(key(nth), request()));
        let answers = futures::future::join_all(questions).await;
        let busy = answers.iter().filter(|answer| matches!(answer, Err(NoStill::Busy))).count();
        assert_eq!(busy, 10);
    }

    #[tokio::test]
    async fn eighty_who_ask_for_anything_do_not_keep_a_viewer_out() {
        let thumbnails = Thumbnails::scripted("cat >/dev/null; sleep 0.1; printf picture");
        let crowd =
            futures::future::join_all((0..80).map(|nth| asked(&thumbnails, 1).get(key(nth), request())));
        let viewers = async {
            for (address, nth) in [(1, 100), (2, 101)] {
                let still = asked(&thumbnails, address).get(key(nth), request()).await;
                assert_eq!(still.unwrap().bytes, "picture", "of {address}");
            }
        };
        tokio::select! {
            biased;
            _ = crowd => panic!("the crowd was first"),
            () = viewers => {}
        }
    }
}
