//! Composition times: how much later than it is decoded a picture is shown.

use super::Notice;

/// The largest composition offset that is believed, in milliseconds: 16 pictures that wait for each other at 4 a second.
/// Believed, a larger one would stop the picture for as long as it says.
pub const MAX_COMPOSITION_MS: u32 = 4_000;

/// Brings composition offsets within bounds.
#[derive(Debug, Default)]
pub(super) struct Composition {
    /// Amount that offsets are too large by, since a keyframe had one beyond all bounds.
    shift: i32,
}

impl Composition {
    /// The offset to go by, and what is to be told when it is not the one that was sent.
    pub(super) fn read(&mut self, keyframe: bool, offset: i32) -> (i32, Option<Notice>) {
        let candidates = [offset, offset.saturating_sub(self.shift)];
        if let Some(sane) = candidates.into_iter().find(|offset| offset.unsigned_abs() <= MAX_COMPOSITION_MS)
        {
            return (sane, None);
        }
        if keyframe {
            self.shift = offset;
        }
        (0, keyframe.then_some(Notice::CompositionMoved { by_ms: -i64::from(offset) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_excess_is_taken_off_and_the_order_stays() {
        let mut composition = Composition::default();
        let sent = [(true, 20_000), (false, 20_080), (false, 19_960), (true, 20_000), (false, 80)];
        let read = sent.map(|(keyframe, offset)| composition.read(keyframe, offset).0);
        assert_eq!(read, [0, 80, -40, 0, 80]);
    }

    #[test]
    fn a_single_excess_is_left_out_and_told_where_it_stays() {
        let mut composition = Composition::default();
        assert_eq!(composition.read(false, 8_000_000), (0, None));
        assert_eq!(composition.read(false, -80), (-80, None));
        let notice = Notice::CompositionMoved { by_ms: -20_000 };
        assert_eq!(composition.read(true, 20_000), (0, Some(notice)));
        assert_eq!(composition.read(true, 20_000), (0, None), "once");
        assert_eq!(composition.read(true, i32::MIN).0, 0);
    }
}
