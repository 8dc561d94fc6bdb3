//! Names of the objects in the store. The origin serves recordings under the same paths, so that a playlist's relative addresses
//! hold in both places.

use std::fmt::Display;

use headwater_hls::Object;
use headwater_media::{BroadcastId, Epoch, MediaSequence, RenditionId, StreamId, UnixMillis};
use headwater_platform::store::Key;

/// Folder of the marks of unfinished recordings. No stream's name begins with a dot.
pub const UNFINISHED_FOLDER: &str = ".live";
/// Folder of the marks of broadcasts that have ended, and whose DVR window viewers may still be in.
pub(crate) const WATCHED_FOLDER: &str = ".dvr";
/// Folder of the marks of recordings that have a retention of their own, in the order in which they are due.
pub(crate) const EXPIRY_FOLDER: &str = ".expiry";
/// Prefix of the names of all multivariant playlists.
const MULTIVARIANT_PREFIX: &str = "vod-";

/// The objects of one broadcast.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    pub stream: StreamId,
    pub broadcast: BroadcastId,
}

impl Layout {
    /// The multivariant playlist.
    pub fn multivariant(&self) -> Key {
        make_key(format_args!("{}/{MULTIVARIANT_PREFIX}{}.m3u8", self.stream, self.broadcast))
    }

    /// The media playlist of a rendition.
    pub fn media_playlist(&self, rendition: &RenditionId) -> Key {
        self.key_within(format_args!("{rendition}/index.m3u8"))
    }

    /// The init segment of the period whose first segment has this number.
    pub fn init(&self, rendition: &RenditionId, first: MediaSequence) -> Key {
        self.key_within(format_args!("{rendition}/{}", Object::Init(first)))
    }

    /// A media segment of a rendition.
    pub fn segment(&self, rendition: &RenditionId, sequence: MediaSequence) -> Key {
        self.key_within(format_args!("{rendition}/{}", Object::Segment(sequence)))
    }

    /// The summary of the recording for lists, in JSON.
    pub fn summary(&self) -> Key {
        self.key_within("recording.json")
    }

    /// A block of the journal. Blocks sort by epoch, then by number.
    pub fn journal(&self, epoch: Epoch, block: u32) -> Key {
        self.key_within(format_args!("journal/{:020}-{block:06}", epoch.0))
    }

    /// All blocks of the journal of a recording that is finished, in one object.
    pub fn journal_index(&self) -> Key {
        self.key_within("journal/index")
    }

    /// The sample tables of a rendition of a recording that is finished.
    pub fn sample_tables(&self, rendition: &RenditionId) -> Key {
        self.key_within(format_args!("{rendition}/samples"))
    }

    /// Folder of the journal's blocks and of its index.
    pub fn journals(&self) -> Key {
        self.key_within("journal")
    }

    /// Epoch of the owner that has written a block of the journal, by the block's name.
    pub fn epoch_of(block: &Key) -> Option<Epoch> {
        Some(Self::block_of(block)?.0)
    }

    /// Epoch of the owner that has written a block of the journal, and the block's number.
    pub(crate) fn block_of(block: &Key) -> Option<(Epoch, u32)> {
        let (epoch, number) = block.name().split_once('-')?;
        Some((Epoch(epoch.parse().ok()?), number.parse().ok()?))
    }

    /// Folder of a rendition's media.
    pub fn rendition(&self, rendition: &RenditionId) -> Key {
        self.key_within(rendition)
    }

    /// A sheet of the storyboard.
    pub fn storyboard(&self, sheet: u32) -> Key {
        self.key_within(format_args!("storyboard/{sheet}.jpg"))
    }

    /// The lane in which its owner's uploads are.
    pub fn lane(&self) -> String {
        format!("{}/{}", self.stream, self.broadcast)
    }

    /// Is there for as long as the recording is unfinished.
    pub fn marker(&self) -> Key {
        make_key(format_args!("{UNFINISHED_FOLDER}/{}/{}", self.stream, self.broadcast))
    }

    /// The recording that a marker is of.
    pub fn of_marker(marker: &Key) -> Option<Self> {
        Self::of_mark(UNFINISHED_FOLDER, marker)
    }

    /// Is there from the end of the broadcast on, until what only its DVR window keeps is deleted.
    pub(crate) fn dvr_marker(&self) -> Key {
        make_key(format_args!("{WATCHED_FOLDER}/{}/{}", self.stream, self.broadcast))
    }

    /// The broadcast that such a marker is of.
    pub(crate) fn of_dvr_marker(marker: &Key) -> Option<Self> {
        Self::of_mark(WATCHED_FOLDER, marker)
    }

    /// Is there from the end of a recording with a retention of its own on, until it is deleted.
    pub(crate) fn expiry_marker(&self, due: UnixMillis) -> Key {
        make_key(format_args!("{EXPIRY_FOLDER}/{:015}/{}/{}", due.0, self.stream, self.broadcast))
    }

    /// The recording that such a marker is of, and when it is due.
    pub(crate) fn of_expiry_marker(marker: &Key) -> Option<(UnixMillis, Self)> {
        let (due, _) = marker.as_str().strip_prefix(EXPIRY_FOLDER)?.strip_prefix('/')?.split_once('/')?;
        let layout = Self::of_mark(&format!("{EXPIRY_FOLDER}/{due}"), marker)?;
        Some((UnixMillis(due.parse().ok()?), layout))
    }

    fn of_mark(folder: &str, mark: &Key) -> Option<Self> {
        let (stream, broadcast) = mark.as_str().strip_prefix(folder)?.strip_prefix('/')?.split_once('/')?;
        Some(Self { stream: stream.parse().ok()?, broadcast: broadcast.parse().ok()? })
    }

    /// Folder of all objects of the broadcast but the multivariant playlist and the marks.
    pub fn folder(&self) -> Key {
        make_key(format_args!("{}/{}", self.stream, self.broadcast))
    }

    fn key_within(&self, name: impl Display) -> Key {
        make_key(format_args!("{}/{}/{name}", self.stream, self.broadcast))
    }
}

/// Folder of the marks of a stream's unfinished recordings.
pub(crate) fn marks_of(stream: &StreamId) -> Key {
    make_key(format_args!("{UNFINISHED_FOLDER}/{stream}"))
}

/// Folder of all objects of a stream but the marks.
pub(crate) fn stream_folder(stream: &StreamId) -> Key {
    make_key(stream)
}

fn make_key(text: impl Display) -> Key {
    Key::new(text.to_string()).expect("names of streams, broadcasts and renditions are names of objects")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_documented() {
        let broadcast = "019a1b2c-3d4e-7f50-8a61-728394a5b6c7";
        let layout = Layout { stream: "demo".parse().unwrap(), broadcast: broadcast.parse().unwrap() };
        let rendition = "720p".parse().unwrap();
        let texts = [
            (layout.multivariant(), format!("demo/vod-{broadcast}.m3u8")),
            (layout.media_playlist(&rendition), format!("demo/{broadcast}/720p/index.m3u8")),
            (layout.segment(&rendition, MediaSequence(7)), format!("demo/{broadcast}/720p/7.m4s")),
            (layout.init(&rendition, MediaSequence(7)), format!("demo/{broadcast}/720p/init-7.mp4")),
            (layout.journal(Epoch(3), 12), format!("demo/{broadcast}/journal/00000000000000000003-000012")),
            (layout.journal_index(), format!("demo/{broadcast}/journal/index")),
            (layout.sample_tables(&rendition), format!("demo/{broadcast}/720p/samples")),
            (layout.marker(), format!(".live/demo/{broadcast}")),
            (layout.dvr_marker(), format!(".dvr/demo/{broadcast}")),
            (
                layout.expiry_marker(UnixMillis(1_800_000_000_000)),
                format!(".expiry/001800000000000/demo/{broadcast}"),
            ),
        ];
        for (key, text) in texts {
            assert_eq!(key.as_str(), text);
        }
        assert_eq!(Layout::block_of(&layout.journal(Epoch(3), 12)), Some((Epoch(3), 12)));
        assert_eq!(Layout::block_of(&layout.journal_index()), None);
        assert_eq!(Layout::of_marker(&layout.marker()), Some(layout.clone()));
        assert_eq!(Layout::of_marker(&layout.dvr_marker()), None);
        assert_eq!(Layout::of_dvr_marker(&layout.dvr_marker()), Some(layout.clone()));
        let due = UnixMillis(1_800_000_000_000);
        assert_eq!(Layout::of_expiry_marker(&layout.expiry_marker(due)), Some((due, layout)));
    }
}
