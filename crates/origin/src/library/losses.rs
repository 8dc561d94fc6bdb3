//! Segments that the index of a complete recording names and the store has lost: an index does not change any more, and
//! objects can be deleted by anybody who reaches the bucket.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use headwater_media::lock::MutexExt;
use headwater_media::{MediaSequence, RenditionId};
use headwater_recordings::Layout;

/// Recordings that losses are remembered of; the one that was found out first is forgotten first.
const MAX_RECORDINGS: usize = 64;
/// Segments of one recording: five hours of one rendition. Beyond it nobody plays it anyway.
const MAX_SEGMENTS: usize = 10_000;

/// The segments of one recording that are lost, each in a rendition.
pub(crate) type Lost = BTreeSet<(MediaSequence, RenditionId)>;

/// The losses that this origin has found out.
#[derive(Debug, Default)]
pub(super) struct Losses(Mutex<VecDeque<(Layout, Arc<Lost>)>>);

impl Losses {
    pub(super) fn of_recording(&self, layout: &Layout) -> Arc<Lost> {
        let all = self.all();
        all.iter().find(|(of, _)| of == layout).map(|(_, lost)| lost.clone()).unwrap_or_default()
    }

    /// Remembers these; false where they are known, or too many.
    pub(super) fn add(
        &self,
        layout: &Layout,
        lost: impl IntoIterator<Item = (MediaSequence, RenditionId)>,
    ) -> bool {
        let mut all = self.all();
        let nth = all.iter().position(|(of, _)| of == layout).unwrap_or_else(|| {
            if all.len() >= MAX_RECORDINGS {
                all.pop_front();
            }
            all.push_back((layout.clone(), Arc::default()));
            all.len() - 1
        });
        let known = Arc::make_mut(&mut all[nth].1);
        let before = known.len();
        for one in lost {
            if known.len() < MAX_SEGMENTS {
                known.insert(one);
            }
        }
        known.len() > before
    }

    /// A segment is there again.
    pub(super) fn remove(&self, layout: &Layout, found: &(MediaSequence, RenditionId)) {
        if let Some((_, lost)) = self.all().iter_mut().find(|(of, _)| of == layout) {
            Arc::make_mut(lost).remove(found);
        }
    }

    pub(super) fn forget(&self, layout: &Layout) {
        self.all().retain(|(of, _)| of != layout);
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<(Layout, Arc<Lost>)>> {
        self.0.lock_ignoring_poison()
    }
}

#[cfg(test)]
mod tests {
    use headwater_media::{BroadcastId, UnixMillis};

    use super::*;

    fn layout(nth: usize) -> Layout {
        let broadcast = BroadcastId::new(UnixMillis(1_800_000_000_000 + nth as u64), &[7; 10]);
        Layout { stream: "demo".parse().unwrap(), broadcast }
    }

    fn segments(count: usize) -> Vec<(MediaSequence, RenditionId)> {
        (0..count as u64).map(|n| (MediaSequence(n), "720p".parse().unwrap())).collect()
    }

    #[test]
    fn losses_are_remembered_within_bounds() {
        let losses = Losses::default();
        assert!(losses.add(&layout(0), segments(2)) && !losses.add(&layout(0), segments(2)));
        losses.remove(&layout(0), &segments(1)[0]);
        assert_eq!(*losses.of_recording(&layout(0)), segments(2).split_off(1).into_iter().collect());
        losses.add(&layout(0), segments(2 * MAX_SEGMENTS));
        assert_eq!(losses.of_recording(&layout(0)).len(), MAX_SEGMENTS);
        for nth in 1..=MAX_RECORDINGS {
            losses.add(&layout(nth), segments(1));
        }
        assert!(losses.of_recording(&layout(0)).is_empty() && losses.all().len() == MAX_RECORDINGS);
        losses.forget(&layout(MAX_RECORDINGS));
        assert!(losses.of_recording(&layout(MAX_RECORDINGS)).is_empty());
    }
}
