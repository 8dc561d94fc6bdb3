//! MP4 file for downloading, made of stored segments without touching the media (ISO/IEC 14496-12): the sample
//! tables first, then the payloads of the segments' chunks, video and audio in turn.
//!
//! The file is planned in one pass from what the segments' samples are, by their tables ([`table`]) or their boxes; its media
//! is then read as it is sent, piece by piece. So its length is known beforehand, and no more than the tables is held: 12
//! bytes a frame and 60 a chunk, some 3 MB for an hour of one picture and its sound.
//!
//! [`table`]: crate::cmaf::table

mod head;
#[cfg(test)]
mod tests;
mod track;

use std::ops::Range;

use bytes::Bytes;
use headwater_media::{MediaSequence, MediaTime, Rendition};

use crate::cmaf::read::{Placed, sample_entry};
use track::Track;

/// A file in the making.
#[derive(Debug)]
pub struct Plan {
    tracks: Vec<Track>,
    pieces: Vec<Piece>,
    /// Bytes of all pieces.
    media: u64,
    /// Start of the present period in the file's time and in its own.
    period: (MediaTime, Option<MediaTime>),
    /// End of the last gap in the file's time.
    gap: MediaTime,
}

/// Bytes of a stored segment that the file holds as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Of which rendition, as counted when the plan was made.
    pub track: usize,
    pub sequence: MediaSequence,
    /// Within the segment's bytes.
    pub range: Range<u64>,
    /// Offset in the file, counted from the end of its head.
    pub at: u64,
}

/// Why a plan can't take something.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    #[error("the init segment has no sample entry")]
    Init,
    #[error("there was no period before the segment")]
    NoPeriod,
}

/// A planned file.
#[derive(Clone, Debug)]
pub struct Mp4 {
    /// Everything before the media: `ftyp`, `moov`, the header of `mdat`.
    pub head: Bytes,
    /// The media, in the order of the file, without holes.
    pub pieces: Vec<Piece>,
    /// Bytes of the whole file.
    pub length: u64,
}

impl Plan {
    /// A file with one track for each of these renditions.
    pub fn new(renditions: &[&Rendition]) -> Self {
        let tracks = renditions.iter().map(|rendition| Track::new(rendition)).collect();
        Self { tracks, pieces: Vec::new(), media: 0, period: (MediaTime::ZERO, None), gap: MediaTime::ZERO }
    }

    /// A period begins: it is shown right after what was there before, whatever its own clock says. `inits` are the
    /// init segments of the tracks; one that the period does not have is none.
    ///
    /// # Errors
    /// When an init segment is damaged.
    pub fn period(&mut self, inits: &[Option<&[u8]>]) -> Result<(), PlanError> {
        for (track, init) in self.tracks.iter_mut().zip(inits) {
            let Some(init) = init else { continue };
            track.describe(sample_entry(init).ok_or(PlanError::Init)?);
        }
        let end = self.tracks.iter().map(Track::end).max().unwrap_or_default();
        self.period = (end.max(self.gap), None);
        Ok(())
    }

    /// Adds a segment of some track that is nowhere. It takes its time in the file all the same, so that times in the file are those of
    /// the playlists.
    pub fn add_gap(&mut self, start: MediaTime, duration: MediaTime) {
        let base = *self.period.1.get_or_insert(start);
        self.gap = self.gap.max(self.period.0 + (start + duration).saturating_sub(base));
    }

    /// A stored segment of one track comes next. `start` is the media time at which the segment begins in whichever
    /// track begins first.
    ///
    /// # Errors
    /// When no period was begun.
    pub fn segment(
        &mut self,
        track: usize,
        sequence: MediaSequence,
        start: MediaTime,
        samples: &[Placed],
    ) -> Result<(), PlanError> {
        let base = *self.period.1.get_or_insert(start);
        let Some(of) = self.tracks.get_mut(track).filter(|track| track.is_described()) else {
            return Err(PlanError::NoPeriod);
        };
        of.shift(self.period.0, base);
        for run in samples.chunk_by(|one, next| one.data.end == next.data.start) {
            let range = run[0].data.start as u64..run[run.len() - 1].data.end as u64;
            of.chunk(run, self.media);
            let at = self.media;
            self.media += range.end - range.start;
            self.pieces.push(Piece { track, sequence, range, at });
        }
        Ok(())
    }

    /// The planned file.
    pub fn finish(self) -> Mp4 {
        let head = head::head(&self.tracks, self.media);
        Mp4 { length: head.len() as u64 + self.media, head, pieces: self.pieces }
    }
}

impl Mp4 {
    /// The pieces that a range of the file needs, each with what it needs of it (within the segment's bytes). The head's
    /// own bytes are not among them.
    pub fn needed(&self, range: Range<u64>) -> impl Iterator<Item = (&Piece, Range<u64>)> {
        let head = self.head.len() as u64;
        let start = range.start.saturating_sub(head);
        let end = range.end.saturating_sub(head);
        let first = self.pieces.partition_point(|piece| piece.at + piece.length() <= start);
        self.pieces[first..].iter().take_while(move |piece| piece.at < end).map(move |piece| {
            let from = piece.range.start + start.saturating_sub(piece.at);
            let to = piece.range.end.min(piece.range.start + (end - piece.at));
            (piece, from..to)
        })
    }
}

impl Piece {
    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}
