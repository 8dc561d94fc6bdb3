//! Between the decoder and the encoders, in the decoder's thread.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use headwater_media::{Limits, MediaError, MediaSequence, MediaTime, SourceTime};

use super::track::Track;
use super::{FrameRate, colours, encoder_time};
use crate::error::Error;
use crate::fault::{Fault, Flow};
use crate::pacer::{Pacer, Slot};
use crate::pipeline::{Drain, PipelineInput, running_time};
use crate::progress::Progress;
use crate::stall_event::Stallable;

/// Source time without any picture after which a source is given up.
const FIRST_PICTURE_TIMEOUT: Duration = Duration::from_secs(5);
/// Why there is none, by what came meanwhile: pictures, or sound only.
const UNDECODED_REASON: &str =
    "could be decoded in the first 5 s: the H.264 video is damaged or of an unknown kind";
const UNSENT_REASON: &str =
    "could be decoded, and the encoder sends only sound since 5 s: check its video source";
/// Source time in microseconds that a decoder may hold pictures back (B-frames of a slow source) before their absence counts
/// as loss.
const DECODER_DELAY_US: i64 = 3_000_000;

/// Paces the decoded pictures and gives each to every encoder.
pub(super) struct FrameFanOut {
    state: Mutex<State>,
    branches: Vec<Branch>,
    follower: Option<Arc<dyn Follower>>,
    frame_rate: FrameRate,
    progress: Arc<Progress>,
    fault: Arc<Fault>,
}

/// The way to one encoder.
pub(super) struct Branch {
    pub(super) input: Arc<PipelineInput>,
    pub(super) track: Arc<Track>,
}

/// Must not get ahead of the pictures: their last segment is the period's last one.
pub(crate) trait Follower: Send + Sync {
    fn allow_sequence(&self, sequence: MediaSequence) -> Flow;
}

struct State {
    pacer: Pacer,
    picture: Picture,
    caps: Option<gst::Caps>,
    /// Of the period; none where the scaler makes it.
    colorimetry: Option<String>,
}

/// The newest picture.
enum Picture {
    /// None yet, since the access unit of this time.
    Awaited {
        since: Option<SourceTime>,
    },
    Decoded(gst::Buffer),
}

impl FrameFanOut {
    pub(super) fn new(
        pacer: Pacer,
        frame_rate: FrameRate,
        branches: Vec<Branch>,
        follower: Option<Arc<dyn Follower>>,
        progress: &Arc<Progress>,
        fault: &Arc<Fault>,
    ) -> Self {
        let state = State { pacer, picture: Picture::Awaited { since: None }, caps: None, colorimetry: None };
        let progress = progress.clone();
        let fault = fault.clone();
        Self { state: Mutex::new(state), branches, follower, frame_rate, progress, fault }
    }

    /// End of the last picture, and the last segment that has one.
    pub(super) fn end_position(&self) -> Option<(MediaTime, MediaSequence)> {
        let state = self.lock_state();
        state.pacer.end_time().zip(state.pacer.last_sequence())
    }

    fn take_frame(&self, state: &mut State, time: SourceTime, picture: gst::Buffer) -> Flow {
        let pace = state.pacer.take_frame(time);
        self.progress.count_repeated(pace.held.len() + pace.new.len().saturating_sub(1));
        self.show_slots(state, &pace.held)?;
        if pace.late {
            self.progress.count_dropped();
            return Ok(());
        }
        state.picture = Picture::Decoded(picture);
        self.show_slots(state, &pace.new)
    }

    /// Gives the newest picture to every encoder, for each slot once.
    fn show_slots(&self, state: &State, slots: &[Slot]) -> Flow {
        let Picture::Decoded(picture) = &state.picture else { return Ok(()) };
        for slot in slots {
            let mut frame = picture.copy();
            let unit = frame.make_mut();
            unit.set_pts(encoder_time(slot.time));
            unit.set_dts(gst::ClockTime::NONE);
            unit.set_duration(gst::ClockTime::NONE);
            let is_entry = state.pacer.is_entry(slot.placement);
            self.branches.iter().try_for_each(|branch| branch.show_slot(*slot, is_entry, frame.clone()))?;
            if let Some(follower) = &self.follower {
                follower.allow_sequence(slot.placement.sequence)?;
            }
        }
        Ok(())
    }

    /// Follows the decoder when it finds another picture size than before; the encoders keep theirs, and the colours
    /// that the period began with.
    fn adopt_caps(&self, state: &mut State, caps: &gst::CapsRef) -> Flow {
        if state.caps.as_deref() == Some(caps) {
            return Ok(());
        }
        self.check_size(caps)?;
        let caps = caps.to_owned();
        if state.caps.is_none() {
            state.colorimetry = colours::read_colorimetry(&caps);
        }
        let mut encoded = caps.clone();
        for structure in encoded.make_mut().iter_mut() {
            structure.set("framerate", self.frame_rate.fraction());
            structure.set("interlace-mode", "progressive");
            if let Some(colorimetry) = &state.colorimetry {
                structure.set("colorimetry", colorimetry);
            }
            structure.remove_fields(["field-order", "multiview-mode", "multiview-flags"]);
        }
        self.branches.iter().for_each(|branch| branch.input.set_caps(&encoded));
        state.caps = Some(caps);
        Ok(())
    }

    /// The configuration record was looked at by the proxy; a parameter set within the stream was not.
    fn check_size(&self, caps: &gst::CapsRef) -> Flow {
        let Limits { max_width, max_height, .. } = Limits::default();
        let side =
            |name| caps.structure(0).and_then(|caps| caps.get::<i32>(name).ok()).unwrap_or(0).unsigned_abs();
        let width = side("width");
        let height = side("height");
        if width <= max_width && height <= max_height {
            return Ok(());
        }
        let error = MediaError::PictureTooLarge { width, height, max_width, max_height };
        Err(self.fault.fail_with(Error::Unsupported(error.to_string())))
    }

    /// Gives up a source that never shows anything.
    fn check_first_picture(&self, state: &mut State, now: SourceTime, why: &str) -> Flow {
        let Picture::Awaited { since } = &mut state.picture else { return Ok(()) };
        match now.since(*since.get_or_insert(now)) {
            waited if waited < FIRST_PICTURE_TIMEOUT => Ok(()),
            _ => Err(self.fault.fail_with(Error::Unsupported(format!("no picture {why}")))),
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }
}

impl Drain for FrameFanOut {
    fn take_sample(&self, sample: &gst::Sample) -> Flow {
        let (Some(time), Some(caps), Some(picture)) =
            (running_time(sample), sample.caps(), sample.buffer_owned())
        else {
            self.progress.count_dropped();
            return Ok(());
        };
        let mut state = self.lock_state();
        self.adopt_caps(&mut state, caps)?;
        // Timestamps went in as whole microseconds.
        let time = SourceTime((time + 500) / 1_000);
        self.take_frame(&mut state, time, picture)
    }

    fn end_stream(&self) -> Flow {
        let end = self.lock_state().pacer.end_time();
        self.branches.iter().try_for_each(|make_branch| {
            make_branch.track.close_input(end)?;
            make_branch.input.end_stream()
        })
    }
}

impl Stallable for FrameFanOut {
    fn handle_unit(&self, time: SourceTime) -> Flow {
        let mut state = self.lock_state();
        self.check_first_picture(&mut state, time, UNDECODED_REASON)?;
        let slots = state.pacer.repeat_until(time.offset_us(-DECODER_DELAY_US));
        self.progress.count_repeated(slots.len());
        self.show_slots(&state, &slots)
    }

    fn bridge_stall(&self, until: SourceTime) -> Flow {
        let mut state = self.lock_state();
        self.check_first_picture(&mut state, until, UNSENT_REASON)?;
        let slots = state.pacer.repeat_until(until);
        self.progress.count_repeated(slots.len());
        self.show_slots(&state, &slots)
    }
}

impl Branch {
    fn show_slot(&self, slot: Slot, is_entry: bool, frame: gst::Buffer) -> Flow {
        self.track.expect_slot(slot);
        if is_entry {
            self.input.send_event(keyframe_request(slot.time));
        }
        self.input.push_buffer(frame)
    }
}

/// The frame of this time is to be a keyframe.
fn keyframe_request(time: SourceTime) -> gst::Event {
    let time = encoder_time(time);
    gst_video::DownstreamForceKeyUnitEvent::builder()
        .timestamp(time)
        .stream_time(time)
        .running_time(time)
        .all_headers(true)
        .build()
}
