//! A ladder fitted to a source.

use super::{Ladder, MIN_SIDE, Rung};
use crate::ids::RenditionId;

/// Picture of one rendition of a source. Pixels are square.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// The length of the shorter side, such as `720p`, or the rung's own name where it has its full size.
    pub name: RenditionId,
    /// Even, at least 16.
    pub width: u32,
    pub height: u32,
    /// Bits a second that the encoder is held to.
    pub bitrate: u32,
}

/// A source's own size is a rendition where it is higher than the best fitting rung by more than this.
const CLEARLY_LARGER_PERCENT: u64 = 110;
/// Below this even a thumbnail falls to pieces.
const MIN_BITRATE: u64 = 100_000;

impl Ladder {
    /// The renditions of a source of `width` x `height` pixels, each `sample_aspect` (width, height) in shape: best
    /// first, never empty for a ladder with rungs.
    ///
    /// The picture keeps its shape inside each rung's box, which is turned for portrait. It is never enlarged: of
    /// the rungs that are larger than the source the smallest one is given at the source's own size, with its bit
    /// rate in proportion, if that is clearly larger than the best rung that fits; the others are left out.
    pub fn renditions_for(&self, width: u32, height: u32, sample_aspect: (u32, u32)) -> Vec<Fitted> {
        let source = Source::new(width, height, sample_aspect);
        let (fitting, larger): (Vec<_>, Vec<_>) =
            self.rungs.iter().partition(|rung| source.scale_to(rung) <= 1.0);
        let mut fitted: Vec<_> = fitting.into_iter().map(|rung| source.fit_rung(rung)).collect();
        if let Some(own) = larger.last().and_then(|rung| source.own_size(rung, fitted.first())) {
            fitted.insert(0, own);
        }
        make_names_unique(&mut fitted);
        fitted
    }

    /// The renditions of a source that follows another one in the same broadcast, of which viewers know `kept`: every
    /// one of them is there again, at the source's own size where its box has become too large, since a playlist that
    /// was given to viewers must go on. New ones are rungs of the ladder only, so that their number stays bounded
    /// however often a publisher changes its picture.
    pub fn renditions_keeping(
        &self,
        kept: &[Fitted],
        width: u32,
        height: u32,
        sample_aspect: (u32, u32),
    ) -> Vec<Fitted> {
        let mut fitted = self.renditions_for(width, height, sample_aspect);
        if kept.is_empty() {
            return fitted;
        }
        let known = |name: &RenditionId| kept.iter().any(|kept| kept.name == *name);
        fitted.retain(|new| known(&new.name) || self.rungs.iter().any(|rung| rung.name == new.name));
        let source = Source::new(width, height, sample_aspect);
        for kept in kept {
            if !fitted.iter().any(|new| new.name == kept.name) {
                fitted.push(source.fit_again(kept));
            }
        }
        fitted.sort_by_key(|rendition| std::cmp::Reverse(rendition.bitrate));
        fitted
    }
}

fn clearly_larger(own: &Fitted, best: &Fitted) -> bool {
    u64::from(short_side(own)) * 100 > u64::from(short_side(best)) * CLEARLY_LARGER_PERCENT
}

fn short_side(fitted: &Fitted) -> u32 {
    fitted.width.min(fitted.height)
}

/// The source as it is shown, in square pixels.
struct Source {
    width: f64,
    height: f64,
}

impl Source {
    fn new(width: u32, height: u32, (aspect_width, aspect_height): (u32, u32)) -> Self {
        let aspect_width = f64::from(aspect_width);
        let aspect_height = f64::from(aspect_height);
        let width = f64::from(width.max(1));
        let height = f64::from(height.max(1));
        // Beyond this it is nonsense, and no reason to show one line of pixels.
        let sane = (0.25..=4.0).contains(&(aspect_width / aspect_height));
        // Multiplied first, so that a whole result is exact.
        Self { width: if sane { width * aspect_width / aspect_height } else { width }, height }
    }

    /// The rung's box, turned as the source is.
    fn box_of(&self, rung: &Rung) -> (f64, f64) {
        let short = rung.width.min(rung.height);
        let long = rung.width.max(rung.height);
        let (width, height) = if self.width >= self.height { (long, short) } else { (short, long) };
        (f64::from(width), f64::from(height))
    }

    /// How much the source must be scaled to fill the rung's box.
    fn scale_to(&self, rung: &Rung) -> f64 {
        let (width, height) = self.box_of(rung);
        (width / self.width).min(height / self.height)
    }

    fn fit_rung(&self, rung: &Rung) -> Fitted {
        let scale = self.scale_to(rung);
        let width = even_side(self.width * scale).min(even_below(self.width));
        let height = even_side(self.height * scale).min(even_below(self.height));
        let full = width.min(height) == rung.width.min(rung.height);
        let name = if full { rung.name.clone() } else { rung_name(width.min(height)) };
        Fitted { name, width, height, bitrate: rung.bitrate }
    }

    /// A rendition of another source, under its old name.
    fn fit_again(&self, kept: &Fitted) -> Fitted {
        let Fitted { name, width, height, bitrate } = kept.clone();
        let rung = Rung { name: name.clone(), width, height, bitrate };
        let scale = self.scale_to(&rung).min(1.0);
        let width = even_side(self.width * scale).min(even_below(self.width));
        let height = even_side(self.height * scale).min(even_below(self.height));
        Fitted { name, width, height, bitrate }
    }

    /// The source as it is, unless that is hardly more than the best rendition that fits.
    fn own_size(&self, rung: &Rung, best: Option<&Fitted>) -> Option<Fitted> {
        let width = even_below(self.width);
        let height = even_below(self.height);
        let share =
            u64::from(rung.bitrate) * u64::from(width) * u64::from(height) / rung.pixel_count().max(1);
        let least = best.map_or(MIN_BITRATE, |best| u64::from(best.bitrate));
        let bitrate = share.max(least).min(u64::from(rung.bitrate)) as u32;
        let own = Fitted { name: rung_name(width.min(height)), width, height, bitrate };
        best.is_none_or(|best| clearly_larger(&own, best)).then_some(own)
    }
}

fn even_side(side: f64) -> u32 {
    ((side / 2.0).round() as u32 * 2).max(MIN_SIDE)
}

fn even_below(side: f64) -> u32 {
    ((side / 2.0).floor() as u32 * 2).max(MIN_SIDE)
}

fn rung_name(short_side: u32) -> RenditionId {
    format!("{short_side}p").parse().expect("digits and a letter are a rendition name")
}

/// Rungs of different boxes can come out alike: the later ones are numbered.
fn make_names_unique(fitted: &mut [Fitted]) {
    for at in 1..fitted.len() {
        let (before, rest) = fitted.split_at_mut(at);
        let this = &mut rest[0];
        let short = short_side(this);
        let mut number = 2;
        while before.iter().any(|other| other.name == this.name) {
            this.name =
                format!("{short}p-{number}").parse().expect("digits, 'p' and '-' are a rendition name");
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fitted(width: u32, height: u32, aspect: (u32, u32)) -> Vec<(String, u32, u32, u32)> {
        let renditions = Ladder::default().renditions_for(width, height, aspect);
        renditions
            .into_iter()
            .map(|r| (r.name.as_str().to_owned(), r.width, r.height, r.bitrate / 1_000))
            .collect()
    }

    fn expect(width: u32, height: u32, aspect: (u32, u32), expected: &[(&str, u32, u32, u32)]) {
        let expected: Vec<_> = expected.iter().map(|(n, w, h, b)| ((*n).to_owned(), *w, *h, *b)).collect();
        assert_eq!(fitted(width, height, aspect), expected, "{width}x{height}");
    }

    const SQUARE: (u32, u32) = (1, 1);

    fn names(renditions: &[Fitted]) -> Vec<&str> {
        renditions.iter().map(|rendition| rendition.name.as_str()).collect()
    }

    #[test]
    fn what_viewers_know_is_there_again_for_every_later_source() {
        let ladder = Ladder::default();
        let first = ladder.renditions_for(1280, 720, SQUARE);
        let smaller = ladder.renditions_keeping(&first, 480, 270, SQUARE);
        assert_eq!(names(&smaller), ["720p", "480p", "360p"]);
        assert!(
            smaller.iter().all(|rendition| (rendition.width, rendition.height) == (480, 270)),
            "{smaller:?}"
        );
        let upright = ladder.renditions_keeping(&first, 720, 1280, SQUARE);
        assert_eq!((upright[0].width, upright[0].height), (720, 1280));
        let small_first = ladder.renditions_for(480, 270, SQUARE);
        assert_eq!(names(&small_first), ["270p"]);
        let larger = ladder.renditions_keeping(&small_first, 1280, 720, SQUARE);
        assert_eq!(names(&larger), ["720p", "480p", "360p", "270p"]);
    }

    #[test]
    fn odd_sizes_do_not_pile_up() {
        let ladder = Ladder::default();
        let mut kept = ladder.renditions_for(500, 282, SQUARE);
        for width in (200..1_900).step_by(14) {
            kept = ladder.renditions_keeping(&kept, width, width * 9 / 16, SQUARE);
        }
        assert_eq!(names(&kept), ["720p", "480p", "360p", "282p"]);
    }

    #[test]
    fn landscape() {
        let whole = [("720p", 1280, 720, 2800), ("480p", 854, 480, 1400), ("360p", 640, 360, 800)];
        expect(1920, 1080, SQUARE, &whole);
        expect(1280, 720, SQUARE, &whole);
        expect(1440, 1080, (4, 3), &whole);
    }

    #[test]
    fn portrait() {
        let whole = [("720p", 720, 1280, 2800), ("480p", 480, 854, 1400), ("360p", 360, 640, 800)];
        expect(1080, 1920, SQUARE, &whole);
        expect(720, 1280, SQUARE, &whole);
    }

    #[test]
    fn ultrawide_is_named_by_the_height_it_gets() {
        expect(
            2560,
            1080,
            SQUARE,
            &[("540p", 1280, 540, 2800), ("360p", 854, 360, 1400), ("270p", 640, 270, 800)],
        );
    }

    #[test]
    fn a_source_between_two_rungs_keeps_its_size() {
        expect(
            1000,
            562,
            SQUARE,
            &[("562p", 1000, 562, 1707), ("480p", 854, 480, 1400), ("360p", 640, 360, 800)],
        );
        expect(853, 479, SQUARE, &[("478p", 852, 478, 1390), ("360p", 640, 360, 800)]);
    }

    #[test]
    fn a_source_hardly_larger_than_a_rung_gets_no_rendition_of_its_own() {
        expect(690, 388, SQUARE, &[("360p", 640, 360, 800)]);
    }

    #[test]
    fn tiny_sources_get_one_rendition() {
        expect(160, 90, SQUARE, &[("90p", 160, 90, 100)]);
        expect(10, 10, SQUARE, &[("16p", 16, 16, 100)]);
    }

    #[test]
    fn pixels_that_are_not_square_become_square() {
        expect(720, 480, (10, 11), &[("480p", 654, 480, 1400), ("360p", 490, 360, 800)]);
        expect(720, 480, (0, 1), &[("480p", 720, 480, 1400), ("360p", 540, 360, 800)]);
    }

    #[test]
    fn rungs_that_come_out_alike_keep_different_names() {
        let rungs = ["1280x960@3M", "1280x720@2M"].map(|text| text.parse().unwrap()).to_vec();
        let renditions = Ladder { rungs, ..Ladder::default() }.renditions_for(2560, 1080, SQUARE);
        let names: Vec<_> = renditions.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["540p", "540p-2"]);
    }

    proptest! {
        #[test]
        fn every_source_gets_renditions_that_can_be_encoded(
            width in 1u32..=8192, height in 1u32..=8192, aspect in (0u32..200, 0u32..200),
        ) {
            let renditions = Ladder::default().renditions_for(width, height, aspect);
            let source = Source::new(width, height, aspect);
            prop_assert!((1..=3).contains(&renditions.len()));
            for (at, rendition) in renditions.iter().enumerate() {
                let Fitted { width, height, .. } = *rendition;
                prop_assert!(width % 2 == 0 && height % 2 == 0 && width >= 16 && height >= 16);
                prop_assert!(f64::from(width) <= source.width.max(16.0) && f64::from(height) <= source.height.max(16.0));
                prop_assert!(renditions[..at].iter().all(|other| other.name != rendition.name));
                prop_assert!(renditions[..at].iter().all(|other| other.bitrate >= rendition.bitrate));
            }
        }
    }
}
