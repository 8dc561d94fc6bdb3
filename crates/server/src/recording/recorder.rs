//! The recorder of a broadcast: hands its segments over to be stored.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use headwater_hls::cmaf::table;
use headwater_hls::{Segment, WholeSegment};
use headwater_media::broadcast::{Policy, RecordedRenditions};
use headwater_media::lock::MutexExt;
use headwater_media::{
    Epoch, Opening, PeriodNumber, PeriodStart, Piece, Record, Rendition, RenditionId, RenditionKind,
    StoredSegment,
};
use headwater_platform::store::Key;
use headwater_recordings::uploads::{Guard, Lane, Progress, Receipt};
use headwater_recordings::{Finisher, JournalWriter, Layout, mark_text, names_successor};
use headwater_wire::SegmentSamples;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{JournalHandoff, Storage};

/// Segments whose fate may be open at a time: more than two hours of them. Beyond it they are stored all the same; viewers can't
/// go back to them while the broadcast is live.
const MAX_OPEN_SEGMENTS: usize = 4_096;
/// Blocks of the journal that wait to be written at most, beside those in the spool: eight hours of segments of two seconds, in
/// some 15 MB.
const MAX_WAITING_BLOCKS: usize = 240;
const JOURNAL_TYPE: &str = "application/octet-stream";
/// Content type of a rendition that its period does not describe, which no window has.
const UNKNOWN_MEDIA_TYPE: &str = "video/mp4";

/// Recorder of one broadcast: hands over each segment that becomes whole, and never waits.
pub(crate) struct Recorder {
    pub(super) layout: Layout,
    pub(super) epoch: Epoch,
    lane: Lane,
    /// Guard of the journal's newest block.
    pub(super) guard: Guard,
    policy: Policy,
    /// Handoff for the journal.
    handoffs: Arc<dyn JournalHandoff>,
    state: Mutex<State>,
}

struct State {
    journal: JournalWriter,
    /// The last period that was handed over.
    period: Option<PeriodNumber>,
    /// The journal's blocks that were handed over and are not known to be stored. The newest one is the last.
    written: Vec<Written>,
    /// Receipts of the last writings of the journal that are not known to be stored.
    unstored: Vec<Receipt>,
    /// The journal's newest block.
    block: Option<Key>,
    /// Receipt of the mark that the recording is unfinished.
    marked: Option<Receipt>,
    /// Time when the newest block of the journal, or else the mark, was handed over.
    renewed: Instant,
    /// Segments for the [`UploadTracker`](super::UploadTracker); none when no more come.
    entries: Option<mpsc::Sender<Entry>>,
    /// Whether the broadcast has come to its end here.
    is_over: bool,
    /// Whether the end of what a publisher has sent is lost.
    is_cut_short: bool,
}

/// A block of the journal.
struct Written {
    key: Key,
    block: Bytes,
    receipt: Receipt,
}

/// A segment that was handed over.
pub(crate) struct Entry {
    /// The period that begins with it.
    pub(super) period: Option<PeriodStart>,
    /// Record of the segment in the journal.
    pub(super) segment: StoredSegment,
    pub(super) receipts: Vec<(RenditionId, Receipt)>,
    /// Receipt of the journal that names it.
    pub(super) written: Receipt,
}

/// Objects that have to survive this process until a segment is committed.
#[derive(Debug, Default)]
pub(crate) struct Durability(Vec<Receipt>);

impl Durability {
    /// Waits until everything is stored, or on the disk, or lost.
    pub(crate) async fn wait(&mut self) {
        for receipt in &mut self.0 {
            if receipt.progress() == Progress::Waiting {
                receipt.safe().await;
            }
        }
    }
}

impl Recorder {
    /// Recorder of a broadcast that begins, or goes on, here; none where it is not stored. The receiver is told each segment
    /// that was handed over. `known` are the renditions that viewers know already.
    pub(crate) fn new(
        storage: &Storage,
        layout: Layout,
        opening: &Opening,
        policy: &Policy,
        known: &[Rendition],
        handoffs: Arc<dyn JournalHandoff>,
    ) -> Option<(Self, mpsc::Receiver<Entry>)> {
        if policy.recording.is_none() && policy.dvr_window.is_zero() {
            return None;
        }
        let (entries, told) = mpsc::channel(MAX_OPEN_SEGMENTS);
        let kept = match policy.recording {
            None => Some(Vec::new()),
            Some(RecordedRenditions::All) => None,
            Some(RecordedRenditions::Top) => Some(with_best(&[], known.iter())),
        };
        let journal = JournalWriter::new(layout.clone(), opening.epoch, opening.settings, kept)
            .waiting_for(policy.reconnect_window)
            .reaching_back(policy.dvr_window)
            .kept_for(policy.retention);
        let state = State {
            journal,
            period: None,
            written: Vec::new(),
            unstored: Vec::new(),
            block: None,
            marked: None,
            renewed: Instant::now(),
            entries: Some(entries),
            is_over: false,
            is_cut_short: false,
        };
        let lane = storage.uploads.lane(layout.lane());
        let epoch = opening.epoch;
        let policy = policy.clone();
        let state = Mutex::new(state);
        let guard = Guard::yielding(names_successor);
        let recorder = Self { layout, epoch, lane, guard, policy, handoffs, state };
        recorder.mark();
        Some((recorder, told))
    }

    /// Hands these segments over. The result says when they are safe.
    pub(crate) fn record(&self, whole: Vec<WholeSegment>) -> Durability {
        let mut state = self.lock_state();
        let receipts = whole.into_iter().flat_map(|segment| self.record_one(&mut state, segment));
        Durability(receipts.collect())
    }

    /// Takes no more segments. `is_over` says that the broadcast has ended, so that its recording can be finished.
    pub(crate) fn close(&self, is_over: bool) {
        let mut state = self.lock_state();
        if state.entries.take().is_some() {
            state.is_over = is_over;
        }
    }

    /// Waits until another server goes on with the broadcast, by the journal in the store.
    pub(crate) async fn succeeded(&self) {
        self.guard.succeeded().await;
    }

    /// Notes whether the end of what a publisher has sent is lost: such a recording is not complete.
    pub(crate) fn set_cut_short(&self, is_cut_short: bool) {
        self.lock_state().is_cut_short = is_cut_short;
    }

    /// The owner that finishes the recording when its broadcast is over.
    pub(super) fn finisher(&self) -> Finisher<'static> {
        Finisher::Owner { epoch: self.epoch, is_whole: !self.lock_state().is_cut_short }
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock_state().is_over
    }

    /// Whether there is going to be a recording, and not only a DVR window while the broadcast is live.
    pub(super) fn keeps_anything(&self) -> bool {
        self.policy.recording.is_some()
    }

    /// Whether the recording keeps a rendition.
    pub(super) fn keeps(&self, rendition: &RenditionId) -> bool {
        self.lock_state().journal.kept().is_none_or(|kept| kept.contains(rendition))
    }

    /// Marks the recording as unfinished. Once more when media waits on the disk: the process that uploads it may come after a
    /// server that has finished the recording without it.
    pub(super) fn mark(&self) {
        self.put_mark(&mut self.lock_state());
    }

    fn put_mark(&self, state: &mut State) {
        let text = mark_text(Some(self.epoch));
        state.marked = Some(self.lane.put(self.layout.marker(), text, "text/plain"));
        state.renewed = Instant::now();
    }

    /// Shows that the owner lives, where it has written nothing for so long, as its publisher is away or silent.
    pub(super) fn renew(&self, silence: Duration) {
        let mut state = self.lock_state();
        if state.entries.is_none() || state.renewed.elapsed() < silence {
            return;
        }
        if state.journal.is_empty() {
            drop(state);
            self.mark();
        } else {
            drop(self.write_journal(&mut state));
        }
    }

    /// Writes the period again with the next segment: a server that has taken the recording over may have deleted its init
    /// segments.
    pub(super) fn begin_again(&self) {
        self.lock_state().period = None;
        self.mark();
    }

    /// Replaces the record of a segment in the journal.
    pub(super) fn correct(&self, segment: StoredSegment) {
        let mut state = self.lock_state();
        state.journal.append(Record::Segment(segment));
        self.write_journal(&mut state);
    }

    /// Writes the blocks of the journal again that there was no room for; to be called when there is. Whether there were
    /// any.
    pub(super) fn rewrite(&self) -> bool {
        let mut state = self.lock_state();
        let mut was_lost = false;
        state.written.retain(|written| !matches!(written.receipt.progress(), Progress::Stored { .. }));
        for Written { key, block, receipt } in &mut state.written {
            if receipt.progress() == Progress::Dropped {
                *receipt = self.lane.put_guarded(key.clone(), block.clone(), JOURNAL_TYPE, &self.guard);
                was_lost = true;
            }
        }
        was_lost
    }

    /// Waits until the journal is stored as it is now, and the mark; or can't be now.
    pub(super) async fn written(&self) {
        let receipts: Vec<_> = {
            let state = self.lock_state();
            state.written.iter().map(|written| &written.receipt).chain(&state.marked).cloned().collect()
        };
        for mut receipt in receipts {
            receipt.settled().await;
        }
    }

    fn record_one(&self, state: &mut State, whole: WholeSegment) -> Vec<Receipt> {
        let is_new = state.period != Some(whole.period.number);
        if is_new {
            self.begin_period(state, &whole.period);
        }
        let wanted: Vec<_> =
            whole.renditions.iter().filter(|(id, _)| self.is_stored(state, id)).cloned().collect();
        let segment = stored_segment(&whole, &wanted);
        let held = wanted.iter().filter_map(|(id, segment)| Some((id, segment.as_ref()?)));
        let mut tables = Vec::new();
        let put = held.filter(|(_, segment)| !segment.is_gap()).map(|(id, segment)| {
            let key = self.layout.segment(id, whole.sequence);
            let body = body(segment);
            tables.extend(table::table_of(&body).map(|table| (id.clone(), table)));
            (id.clone(), self.lane.put_new(key, body, content_type(&whole.period, id)))
        });
        let receipts: Vec<_> = put.collect();
        // After what it names: a lane keeps its order.
        state.journal.append(Record::Segment(segment.clone()));
        state.journal.add_samples(SegmentSamples { sequence: whole.sequence, tables });
        let written = self.write_journal(state);
        // Without the record, a server that takes over knows nothing of the segment.
        let safe = receipts.iter().map(|(_, receipt)| receipt.clone()).chain([written.clone()]).collect();
        let period = is_new.then(|| whole.period.as_ref().clone());
        self.tell_tracker(state, Entry { period, segment, receipts, written });
        safe
    }

    fn begin_period(&self, state: &mut State, period: &PeriodStart) {
        state.period = Some(period.number);
        if self.policy.recording.is_some()
            && let Some(kept) = state.journal.kept()
        {
            let kept = with_best(kept, period.renditions.iter().map(|(rendition, _)| rendition));
            state.journal.keep(kept);
        }
        for (rendition, init) in &period.renditions {
            if self.is_stored(state, &rendition.id) {
                let key = self.layout.init(&rendition.id, period.first_sequence);
                self.lane.put_new(key, init.clone(), content_type(period, &rendition.id));
            }
        }
        state.journal.append(Record::Period(period.clone()));
    }

    /// Whether a rendition is stored: to keep it, or to go back while it is live.
    fn is_stored(&self, state: &State, rendition: &RenditionId) -> bool {
        !self.policy.dvr_window.is_zero() || state.journal.kept().is_none_or(|kept| kept.contains(rendition))
    }

    fn write_journal(&self, state: &mut State) -> Receipt {
        state.unstored.retain(|receipt| matches!(receipt.progress(), Progress::Waiting | Progress::Spooled));
        // As the store is late with these, it is with this one: so many more segments are made until it is there.
        state.journal.hand_off(self.handoffs.handoff(state.unstored.len() as u64));
        let (key, block) = state.journal.block();
        if state.block.replace(key.clone()).is_some_and(|last| last != key) {
            // A server that has taken the recording over for a while has taken the mark away.
            self.put_mark(state);
        }
        let receipt = self.lane.put_guarded(key.clone(), block.clone(), JOURNAL_TYPE, &self.guard);
        state.renewed = Instant::now();
        state.unstored.push(receipt.clone());
        let too_many = state.unstored.len().saturating_sub(MAX_WAITING_BLOCKS);
        state.unstored.drain(..too_many);
        state.written.retain(|written| {
            written.key != key && !matches!(written.receipt.progress(), Progress::Stored { .. })
        });
        let too_many = (state.written.len() + 1).saturating_sub(MAX_WAITING_BLOCKS);
        state.written.drain(..too_many);
        state.written.push(Written { key, block, receipt: receipt.clone() });
        receipt
    }

    fn tell_tracker(&self, state: &State, entry: Entry) {
        let Some(entries) = &state.entries else { return };
        if entries.try_send(entry).is_err() {
            metrics::counter!("headwater_recording_untold_segments_total").increment(1);
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }
}

/// The renditions that are kept, and the best one of each kind that has none among them.
fn with_best<'a>(kept: &[RenditionId], renditions: impl Iterator<Item = &'a Rendition>) -> Vec<RenditionId> {
    let (pictures, sounds): (Vec<_>, Vec<_>) =
        renditions.partition(|rendition| matches!(rendition.kind, RenditionKind::Video { .. }));
    let mut kept = kept.to_vec();
    for kind in [pictures, sounds] {
        if !kind.iter().any(|rendition| kept.contains(&rendition.id)) {
            kept.extend(kind.first().map(|best| best.id.clone()));
        }
    }
    kept
}

fn stored_segment(whole: &WholeSegment, wanted: &[(RenditionId, Option<Arc<Segment>>)]) -> StoredSegment {
    let (start, duration) = whole.place();
    let piece = |(id, segment): &(RenditionId, Option<Arc<Segment>>)| match segment {
        Some(segment) => segment.piece(id),
        None => Piece { rendition: id.clone(), start, duration, size: None },
    };
    let pieces = wanted.iter().map(piece).collect();
    StoredSegment { sequence: whole.sequence, pieces, drift: whole.drift }
}

/// A store takes an object in one piece: this is the one copy that is made of its media.
fn body(segment: &Segment) -> Bytes {
    match segment.parts() {
        [part] => part.bytes.clone(),
        parts => {
            let mut body = BytesMut::with_capacity(segment.size());
            parts.iter().for_each(|part| body.extend_from_slice(&part.bytes));
            body.freeze()
        }
    }
}

fn content_type(period: &PeriodStart, id: &RenditionId) -> &'static str {
    let rendition = period.renditions.iter().find(|(rendition, _)| rendition.id == *id);
    rendition.map_or(UNKNOWN_MEDIA_TYPE, |(rendition, _)| rendition.media_type())
}
