//! Puts decoded sound on one line of 48 kHz samples and cuts it into the blocks that become AAC frames.

use std::collections::VecDeque;

use headwater_media::{MediaTime, SegmentSettings, SourceTime};

/// Samples a second of the output.
pub(crate) const SAMPLE_RATE_HZ: u32 = SegmentSettings::AUDIO_RATE_HZ;
/// Always stereo: one layout for every player and no surprise when a publisher changes its microphone.
pub(crate) const CHANNELS: usize = 2;
/// Samples (per channel) in an AAC frame.
pub(crate) const BLOCK_SAMPLES: u64 = SegmentSettings::AUDIO_FRAME_SAMPLES as u64;
/// Up to this many samples (40 ms) timestamps are believed to be merely rounded, and the sound goes on without a seam.
const TOLERANCE_SAMPLES: u64 = 1_920;

/// How many samples of silence are made at a time, whatever the timestamps say: a second.
const MAX_FILL: u64 = SAMPLE_RATE_HZ as u64;

/// The AAC frame with this number begins at sample `number · 1024` of the period's source time, whoever makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockNumber(pub(crate) u64);

impl BlockNumber {
    /// The block that holds the sample at `time`.
    pub(crate) fn containing_block(time: SourceTime) -> Self {
        Self(sample_position(time) / BLOCK_SAMPLES)
    }

    pub(crate) fn start_time(self) -> MediaTime {
        MediaTime::from_ticks(self.0 * BLOCK_SAMPLES, SAMPLE_RATE_HZ)
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(crate) fn previous_block(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Block of interleaved samples.
pub(crate) type Block = Vec<f32>;

/// A continuous line of sound from the block before the grid's start on. Blocks come out in order, none is missing.
#[derive(Debug)]
pub(crate) struct AudioClock {
    /// Interleaved samples of blocks that are not whole yet.
    pending: VecDeque<f32>,
    /// The position (in samples per channel) behind everything that was placed.
    next: u64,
    after: After,
}

/// End of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The next sound is placed to the sample.
    Silence,
    /// The next sound joins, if its timestamp is about right.
    Sound,
}

impl AudioClock {
    /// Begins at the start of `first`.
    pub(crate) fn new(first: BlockNumber) -> Self {
        Self { pending: VecDeque::new(), next: first.0 * BLOCK_SAMPLES, after: After::Silence }
    }

    /// Silence on the way to sound at `time_ns` nanoseconds of source time, a second at most; none once the sound can be
    /// placed.
    pub(crate) fn fill_gap(&mut self, time_ns: u64) -> Option<Vec<Block>> {
        let position = nanos_to_position(time_ns);
        if self.joins_seamlessly(position) { None } else { self.fill_towards(position) }
    }

    /// Places decoded samples whose first one is to be heard at `time_ns`, behind the [`fill_gap`](Self::fill_gap) before it.
    pub(crate) fn place_samples(&mut self, time_ns: u64, samples: &[f32]) -> Vec<Block> {
        let position = nanos_to_position(time_ns);
        let overlap = if self.joins_seamlessly(position) { 0 } else { self.next.saturating_sub(position) };
        let skip = usize::try_from(overlap).unwrap_or(usize::MAX).saturating_mul(CHANNELS);
        self.append_samples(samples.get(skip..).unwrap_or(&[]));
        self.take_blocks()
    }

    /// Silence on the way to `time`, where no sound came, a second at most; none once it is there.
    pub(crate) fn fill_silence(&mut self, time: MediaTime) -> Option<Vec<Block>> {
        self.fill_towards(nanos_to_position(time.0.saturating_mul(1_000)))
    }

    /// The rest, filled up to a whole block.
    pub(crate) fn finish_blocks(&mut self) -> Vec<Block> {
        self.fill_until(self.next.next_multiple_of(BLOCK_SAMPLES));
        self.take_blocks()
    }

    fn joins_seamlessly(&self, position: u64) -> bool {
        self.after == After::Sound && position.abs_diff(self.next) <= TOLERANCE_SAMPLES
    }

    fn fill_towards(&mut self, position: u64) -> Option<Vec<Block>> {
        let missing = position.checked_sub(self.next).filter(|missing| *missing > 0)?;
        self.fill_until(self.next + missing.min(MAX_FILL));
        self.after = After::Silence;
        Some(self.take_blocks())
    }

    fn append_samples(&mut self, samples: &[f32]) {
        if !samples.is_empty() {
            self.pending.extend(samples);
            self.next += (samples.len() / CHANNELS) as u64;
            self.after = After::Sound;
        }
    }

    fn fill_until(&mut self, position: u64) {
        let missing = position.saturating_sub(self.next);
        self.pending.extend(std::iter::repeat_n(0.0, missing as usize * CHANNELS));
        self.next += missing;
    }

    fn take_blocks(&mut self) -> Vec<Block> {
        let size = BLOCK_SAMPLES as usize * CHANNELS;
        (0..self.pending.len() / size).map(|_| self.pending.drain(..size).collect()).collect()
    }
}

fn sample_position(time: SourceTime) -> u64 {
    MediaTime::from(time).ticks(SAMPLE_RATE_HZ)
}

fn nanos_to_position(nanos: u64) -> u64 {
    ((u128::from(nanos) * u128::from(SAMPLE_RATE_HZ) + 500_000_000) / 1_000_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn tone(samples: u64) -> Vec<f32> {
        vec![1.0; samples as usize * CHANNELS]
    }

    fn placed(clock: &mut AudioClock, time_ns: u64, samples: &[f32]) -> Vec<Block> {
        let mut blocks: Vec<_> = std::iter::from_fn(|| clock.fill_gap(time_ns)).flatten().collect();
        blocks.extend(clock.place_samples(time_ns, samples));
        blocks
    }

    fn heard(blocks: &[Block]) -> Vec<bool> {
        blocks.iter().flatten().step_by(CHANNELS).map(|sample| *sample != 0.0).collect()
    }

    #[test]
    fn rounded_timestamps_make_no_seam() {
        let mut clock = AudioClock::new(BlockNumber(0));
        let blocks: Vec<_> = (0..100)
            .flat_map(|n| placed(&mut clock, (n * 1_024 * 1_000 / 48_000) * MS, &tone(1_024)))
            .collect();
        assert_eq!(blocks.len(), 100);
        assert!(heard(&blocks).iter().all(|heard| *heard));
    }

    #[test]
    fn a_hole_is_filled_with_silence_to_the_sample() {
        let mut clock = AudioClock::new(BlockNumber(0));
        let mut blocks = placed(&mut clock, 0, &tone(480));
        blocks.extend(placed(&mut clock, 100 * MS, &tone(4_800)));
        let heard = heard(&blocks);
        assert_eq!(heard.iter().position(|heard| !heard), Some(480));
        assert_eq!(heard.iter().skip(480).position(|heard| *heard), Some(4_800 - 480));
    }

    #[test]
    fn what_was_already_placed_is_not_heard_twice() {
        let mut clock = AudioClock::new(BlockNumber(0));
        let mut blocks = placed(&mut clock, 0, &tone(9_600));
        blocks.extend(placed(&mut clock, 100 * MS, &tone(9_600)));
        blocks.extend(clock.finish_blocks());
        assert_eq!(heard(&blocks).iter().filter(|heard| **heard).count(), 14_400);
        assert!(placed(&mut clock, 0, &tone(4_800)).is_empty());
    }

    #[test]
    fn a_late_start_of_the_sound_is_silence() {
        let first = BlockNumber::containing_block(SourceTime::from_millis(5_000));
        let mut clock = AudioClock::new(first);
        let until = MediaTime::from_millis(6_000);
        let mut blocks: Vec<_> = std::iter::from_fn(|| clock.fill_silence(until)).flatten().collect();
        blocks.extend(placed(&mut clock, 6_010 * MS, &tone(48_000)));
        let silent = heard(&blocks).iter().position(|heard| *heard).unwrap() as u64;
        assert_eq!(first.0 * BLOCK_SAMPLES + silent, 6_010 * 48);
    }

    #[test]
    fn sound_before_the_line_is_cut_off() {
        let mut clock = AudioClock::new(BlockNumber::containing_block(SourceTime::from_millis(2_000)));
        assert!(placed(&mut clock, 0, &tone(48_000)).is_empty());
        assert_eq!(placed(&mut clock, 1_000 * MS, &tone(96_000)).len(), 48_000 / 1_024 + 1);
    }

    /// 1.5·10^9 ms are 576 GB of samples.
    #[test]
    fn silence_is_made_a_second_at_a_time_however_long_it_is() {
        let mut clock = AudioClock::new(BlockNumber(0));
        for _ in 0..3 {
            let samples: usize = clock.fill_gap(1_500_000_000 * MS).unwrap().iter().map(Vec::len).sum();
            assert!(samples <= (SAMPLE_RATE_HZ as usize + BLOCK_SAMPLES as usize) * CHANNELS, "{samples}");
        }
        assert_eq!(std::iter::from_fn(|| clock.fill_silence(MediaTime::from_millis(4_500))).count(), 2);
    }

    #[test]
    fn blocks_lie_on_one_grid_wherever_they_begin() {
        assert_eq!(BlockNumber::containing_block(SourceTime(0)), BlockNumber(0));
        assert_eq!(BlockNumber::containing_block(SourceTime::from_millis(64)), BlockNumber(3));
        assert_eq!(BlockNumber(3).start_time(), MediaTime::from_millis(64));
    }
}
