//! Composition times: how much later than it is decoded a picture is shown.

use std::time::Duration;

use super::Notice;

/// The largest composition offset that is believed: 16 pictures that wait for each other at 4 a second.
/// Believed, a larger one would stop the picture for as long as it says.
pub const MAX_COMPOSITION: Duration = Duration::from_secs(4);
const MAX_COMPOSITION_US: u64 = MAX_COMPOSITION.as_micros() as u64;

/// Brings composition offsets within bounds.
#[derive(Debug, Default)]
pub(super) struct Composition {
    /// Microseconds that offsets are too large by, since a keyframe had one beyond all bounds.
    shift: i64,
}

impl Composition {
    /// The offset to go by in microseconds, and what is to be told when it is not the one that was sent.
    pub(super) fn read_offset(&mut self, keyframe: bool, offset: i64) -> (i32, Option<Notice>) {
        let candidates = [offset, offset.saturating_sub(self.shift)];
        let is_sane = |offset: &i64| offset.unsigned_abs() <= MAX_COMPOSITION_US;
        let sane = candidates.into_iter().find(is_sane).and_then(|offset| i32::try_from(offset).ok());
        if let Some(sane) = sane {
            return (sane, None);
        }
        if keyframe {
            self.shift = offset;
        }
        (0, keyframe.then_some(Notice::CompositionMoved { by_ms: -(offset / 1_000) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an offset in milliseconds.
    fn read(composition: &mut Composition, keyframe: bool, millis: i64) -> (i32, Option<Notice>) {
        let (offset, notice) = composition.read_offset(keyframe, millis * 1_000);
        (offset / 1_000, notice)
    }

    #[test]
    fn a_constant_excess_is_taken_off_and_the_order_stays() {
        let mut composition = Composition::default();
        let sent = [(true, 20_000), (false, 20_080), (false, 19_960), (true, 20_000), (false, 80)];
        let offsets = sent.map(|(keyframe, offset)| read(&mut composition, keyframe, offset).0);
        assert_eq!(offsets, [0, 80, -40, 0, 80]);
    }

    #[test]
    fn a_single_excess_is_left_out_and_told_where_it_stays() {
        let mut composition = Composition::default();
        assert_eq!(read(&mut composition, false, 8_000_000), (0, None));
        assert_eq!(read(&mut composition, false, -80), (-80, None));
        let notice = Notice::CompositionMoved { by_ms: -20_000 };
        assert_eq!(read(&mut composition, true, 20_000), (0, Some(notice)));
        assert_eq!(read(&mut composition, true, 20_000), (0, None), "once");
        assert_eq!(composition.read_offset(true, i64::MIN + 1).0, 0);
    }
}
