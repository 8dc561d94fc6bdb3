//! Between the audio decoder and the audio encoder, in the decoder's thread.

use std::sync::{Arc, Mutex, MutexGuard};

use headwater_media::lock::MutexExt;
use headwater_media::{MediaTime, SourceTime};

use super::clock::{AudioClock, Block, BlockNumber};
use super::speakers::Layout;
use crate::error::Error;
use crate::fault::{Fault, Flow};
use crate::pipeline::{Drain, PipelineInput, running_time};
use crate::stall_event::Stallable;

/// How far decoded sound may lie behind what goes into the decoder before its absence counts as silence. Decoders of
/// AAC hold back one frame, resamplers a little.
const DECODER_DELAY_US: i64 = 1_000_000;

/// Mixes the decoded sound to stereo, puts it on the clock's line and gives the blocks to the encoder.
pub(super) struct AudioFeeder {
    state: Mutex<State>,
    encoder: Arc<PipelineInput>,
    fault: Arc<Fault>,
}

struct State {
    clock: AudioClock,
    next: BlockNumber,
    layout: Layout,
}

impl AudioFeeder {
    /// Begins with the block `first`.
    pub(super) fn new(
        layout: Layout,
        first: BlockNumber,
        encoder: Arc<PipelineInput>,
        fault: &Arc<Fault>,
    ) -> Self {
        let state = State { clock: AudioClock::new(first), next: first, layout };
        Self { state: Mutex::new(state), encoder, fault: fault.clone() }
    }

    /// Ends with whole blocks, not before `end`.
    pub(super) fn finish_blocks(&self, end: Option<MediaTime>) -> Flow {
        let mut state = self.lock_state();
        if let Some(end) = end {
            self.fill_silence(&mut state, end)?;
        }
        let blocks = state.clock.finish_blocks();
        self.encode_blocks(&mut state, blocks)?;
        self.encoder.end_stream()
    }

    fn fill_silence(&self, state: &mut State, until: MediaTime) -> Flow {
        while let Some(blocks) = state.clock.fill_silence(until) {
            self.encode_blocks(state, blocks)?;
        }
        Ok(())
    }

    fn encode_blocks(&self, state: &mut State, blocks: Vec<Block>) -> Flow {
        for block in blocks {
            let bytes: Vec<u8> = block.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let mut buffer = gst::Buffer::from_mut_slice(bytes);
            let next = state.next.next();
            let unit = buffer.make_mut();
            unit.set_pts(clock_time(state.next.start_time()));
            unit.set_duration(clock_time(next.start_time() - state.next.start_time()));
            state.next = next;
            self.encoder.push_buffer(buffer)?;
        }
        Ok(())
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }
}

impl Drain for AudioFeeder {
    fn take_sample(&self, sample: &gst::Sample) -> Flow {
        let (Some(time), Some(buffer), Some(caps)) = (running_time(sample), sample.buffer(), sample.caps())
        else {
            return Ok(());
        };
        let bytes = buffer
            .map_readable()
            .map_err(|error| self.fault.fail_with(Error::Packaging(error.to_string())))?;
        let samples: Vec<f32> =
            bytes.as_chunks().0.iter().map(|sample: &[u8; 4]| f32::from_le_bytes(*sample)).collect();
        let mut state = self.lock_state();
        let stereo = state.layout.update_downmix(caps).mix_samples(samples);
        while let Some(blocks) = state.clock.fill_gap(time) {
            self.encode_blocks(&mut state, blocks)?;
        }
        let blocks = state.clock.place_samples(time, &stereo);
        self.encode_blocks(&mut state, blocks)
    }

    fn end_stream(&self) -> Flow {
        Ok(())
    }
}

impl Stallable for AudioFeeder {
    fn handle_unit(&self, time: SourceTime) -> Flow {
        self.bridge_stall(time.offset_us(-DECODER_DELAY_US))
    }

    fn bridge_stall(&self, until: SourceTime) -> Flow {
        let mut state = self.lock_state();
        self.fill_silence(&mut state, until.into())
    }
}

fn clock_time(time: MediaTime) -> gst::ClockTime {
    gst::ClockTime::from_useconds(time.0)
}
