//! The sample tables of one track, in the making.

use headwater_media::{MediaTime, Rendition, RenditionKind};

use crate::cmaf::read::Placed;

#[derive(Debug)]
pub(super) struct Track {
    pub(super) kind: RenditionKind,
    pub(super) timescale: u32,
    /// Sample entries of `stsd`, each once.
    pub(super) entries: Vec<Vec<u8>>,
    /// Which entry describes what comes, from 1.
    entry: u32,
    /// Added to a sample's decode time for its time in the file.
    shift: i64,
    /// Time of the first sample in the file, in ticks.
    pub(super) first: Option<u64>,
    /// Time and own length of the last sample.
    last: Option<(u64, u32)>,
    /// Runs of equal durations: how many, how long (`stts`). Without that of the last sample.
    durations: Vec<(u32, u32)>,
    /// Runs of equal composition offsets (`ctts`).
    pub(super) offsets: Vec<(u32, i32)>,
    pub(super) sizes: Vec<u32>,
    /// Numbers of the samples that a decoder can begin with, from 1 (`stss`).
    pub(super) keyframes: Vec<u32>,
    pub(super) chunks: Vec<Chunk>,
}

/// Samples that stand one behind the other.
#[derive(Debug)]
pub(super) struct Chunk {
    /// From the end of the file's head.
    pub(super) at: u64,
    pub(super) samples: u32,
    pub(super) entry: u32,
}

impl Track {
    pub(super) fn new(rendition: &Rendition) -> Self {
        Self {
            kind: rendition.kind.clone(),
            timescale: rendition.timescale(),
            entries: Vec::new(),
            entry: 0,
            shift: 0,
            first: None,
            last: None,
            durations: Vec::new(),
            offsets: Vec::new(),
            sizes: Vec::new(),
            keyframes: Vec::new(),
            chunks: Vec::new(),
        }
    }

    pub(super) fn describe(&mut self, entry: &[u8]) {
        let known = self.entries.iter().position(|known| known == entry);
        let index = known.unwrap_or_else(|| {
            self.entries.push(entry.to_owned());
            self.entries.len() - 1
        });
        self.entry = index as u32 + 1;
    }

    pub(super) fn is_described(&self) -> bool {
        self.entry > 0
    }

    /// Sets the shift with which `from` on the period's clock is `to` in the file.
    pub(super) fn shift(&mut self, to: MediaTime, from: MediaTime) {
        self.shift = to.ticks(self.timescale) as i64 - from.ticks(self.timescale) as i64;
    }

    /// Samples that stand together, `at` bytes behind the file's head. A sample lasts until the next one begins, so a gap
    /// shows its last frame.
    pub(super) fn chunk(&mut self, samples: &[Placed], at: u64) {
        for sample in samples {
            let wanted = (sample.decode_time as i64 + self.shift).max(0) as u64;
            let time = self.last.map_or(wanted, |(last, _)| wanted.max(last + 1));
            if let Some((last, _)) = self.last {
                push_run(&mut self.durations, (time - last).min(u64::from(u32::MAX)) as u32);
            }
            self.first.get_or_insert(time);
            self.last = Some((time, sample.duration));
            push_run(&mut self.offsets, sample.composition_offset);
            self.sizes.push((sample.data.end - sample.data.start) as u32);
            if sample.keyframe {
                self.keyframes.push(self.sizes.len() as u32);
            }
        }
        self.chunks.push(Chunk { at, samples: samples.len() as u32, entry: self.entry });
    }

    /// End of the last sample in the file.
    pub(super) fn end(&self) -> MediaTime {
        MediaTime::from_ticks(self.end_ticks(), self.timescale)
    }

    fn end_ticks(&self) -> u64 {
        self.last.map_or(0, |(time, duration)| time + u64::from(duration))
    }

    /// Length of the media alone, in ticks.
    pub(super) fn media_ticks(&self) -> u64 {
        self.end_ticks() - self.first.unwrap_or(0)
    }

    /// All of `stts`.
    pub(super) fn durations(&self) -> Vec<(u32, u32)> {
        let mut runs = self.durations.clone();
        if let Some((_, duration)) = self.last {
            push_run(&mut runs, duration);
        }
        runs
    }
}

fn push_run<T: PartialEq>(runs: &mut Vec<(u32, T)>, value: T) {
    match runs.last_mut() {
        Some((count, last)) if *last == value => *count += 1,
        _ => runs.push((1, value)),
    }
}
