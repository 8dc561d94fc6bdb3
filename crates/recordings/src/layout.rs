//! Which object holds what. The origin serves recordings under the same paths, so that a playlist's relative addresses
//! hold in both places.

use std::fmt::Display;

use headwater_media::{BroadcastId, Epoch, MediaSequence, RenditionId, StreamId};

/// What the names of all objects that mark an unfinished recording begin with. No stream's name begins with a dot.
pub const UNFINISHED: &str = ".live/";

/// The objects of one broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub stream: StreamId,
    pub broadcast: BroadcastId,
}

impl Layout {
    /// The multivariant playlist.
    pub fn multivariant(&self) -> String {
        format!("{}/vod-{}.m3u8", self.stream, self.broadcast)
    }

    pub fn media_playlist(&self, rendition: &RenditionId) -> String {
        self.within(format_args!("{rendition}/index.m3u8"))
    }

    /// The init segment of the period whose first segment has this number.
    pub fn init(&self, rendition: &RenditionId, first: MediaSequence) -> String {
        self.within(format_args!("{rendition}/init-{first}.mp4"))
    }

    pub fn segment(&self, rendition: &RenditionId, sequence: MediaSequence) -> String {
        self.within(format_args!("{rendition}/{sequence}.m4s"))
    }

    /// What lists need to know of the recording, in JSON.
    pub fn summary(&self) -> String {
        self.within("recording.json")
    }

    /// One block of the journal. Blocks sort by epoch, then by number.
    pub fn journal(&self, epoch: Epoch, block: u32) -> String {
        self.within(format_args!("journal/{:020}-{block:06}", epoch.0))
    }

    /// What all blocks of the journal begin with.
    pub fn journals(&self) -> String {
        self.within("journal/")
    }

    /// A sheet of the storyboard.
    pub fn storyboard(&self, sheet: u32) -> String {
        self.within(format_args!("storyboard/{sheet}.jpg"))
    }

    /// Is there for as long as the recording is unfinished.
    pub fn marker(&self) -> String {
        format!("{UNFINISHED}{}/{}", self.stream, self.broadcast)
    }

    /// What all objects of the broadcast but the multivariant playlist and the marker begin with.
    pub fn folder(&self) -> String {
        self.within("")
    }

    fn within(&self, name: impl Display) -> String {
        format!("{}/{}/{name}", self.stream, self.broadcast)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_documented() {
        let broadcast = "019a1b2c-3d4e-7f50-8a61-728394a5b6c7";
        let layout = Layout { stream: "demo".parse().unwrap(), broadcast: broadcast.parse().unwrap() };
        let rendition = "720p".parse().unwrap();
        assert_eq!(layout.multivariant(), format!("demo/vod-{broadcast}.m3u8"));
        assert_eq!(layout.segment(&rendition, MediaSequence(7)), format!("demo/{broadcast}/720p/7.m4s"));
        assert_eq!(layout.init(&rendition, MediaSequence(7)), format!("demo/{broadcast}/720p/init-7.mp4"));
        assert_eq!(
            layout.journal(Epoch(3), 12),
            format!("demo/{broadcast}/journal/00000000000000000003-000012")
        );
        assert_eq!(layout.marker(), format!(".live/demo/{broadcast}"));
    }
}
