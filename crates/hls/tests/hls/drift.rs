//! Encoders whose clocks are wrong: dates, the presentation's clock, and all that was ever listed.

use std::collections::VecDeque;

use bytes::Bytes;
use headwater_hls::playlist::{self, MediaOptions, dash};
use headwater_hls::*;
use headwater_media::*;

use crate::broadcast::*;
use crate::dash::listed_by;
use crate::xml::Element;

const VIDEO: &str = "720p";
const BEGAN_MS: u64 = 1_800_000_000_000;
/// Of `broadcast::opening`, where `availabilityStartTime` is.
const ZERO_MS: u64 = BEGAN_MS - 60_000;
const SHORT: SegmentSettings = SegmentSettings { segment_ms: 10_000, part_ms: 2_000 };
/// A day of them is less to look at.
const LONG: SegmentSettings = SegmentSettings { segment_ms: 30_000, part_ms: 6_000 };
/// From a part's last frame until viewers can have it, in milliseconds.
const ENCODING_MS: u64 = 500;
/// Seconds between two looks at the clock: what dash.js begins with.
const CLOCK_READ_MS: u64 = 30_000;

fn drift(millis: u64, drift: i32) -> MediaEvent {
    MediaEvent::Drift { period: PeriodNumber(0), from: MediaTime::from_millis(millis), drift }
}

fn dates(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:2027-01-15T")).collect()
}

#[test]
fn dates_follow_the_drift_and_are_never_taken_back() {
    let all = events(MediaSequence(100), &[Plan::steady(0, 8_320)]);
    let mut window = LiveWindow::new(opening(10));
    let mut known = [drift(2_320, 80), drift(4_320, 160), drift(6_320, -7)].into_iter();
    for event in &all {
        if let MediaEvent::Part { rendition, sequence, index: PartIndex(0), .. } = event
            && rendition.as_str() == VIDEO
            && *sequence >= MediaSequence(102)
        {
            let said = known.next();
            said.iter().for_each(|event| assert_eq!(window.apply(event), Ok(Change::Drift)));
        }
        window.apply(event).unwrap();
    }
    let before = window.clone();
    for event in [drift(4_320, 9_000), drift(1_000, 9_000)] {
        assert_eq!(window.apply(&event), Ok(Change::Nothing), "a date that was given stays");
    }
    assert_eq!((&before, window.drift()), (&window, -7));
    assert_eq!(window_of(window.opening().clone(), &window.events()), window, "a newcomer knows it");
    let expected = ["08:00:00.000Z", "08:00:00.320Z", "08:00:02.400Z", "08:00:04.480Z", "08:00:06.313Z"];
    let live = playlist::media(&window, &id(VIDEO), MediaOptions::default()).unwrap();
    assert_eq!(dates(&live), expected);

    let Opening { broadcast, settings, .. } = opening(10);
    let mut archive = Archive::new(broadcast, settings, 0);
    for number in 100..104 {
        let (period, stored) = window.stored(MediaSequence(number)).unwrap();
        archive.apply(&Record::Period(period.as_ref().clone())).unwrap();
        archive.apply(&Record::Segment(stored)).unwrap();
    }
    let vod = playlist::vod_media(&archive, &id(VIDEO), playlist::Stage::Complete).unwrap();
    assert_eq!(dates(&vod), expected[..4]);
    let dvr = playlist::dvr(&archive, &window, &id(VIDEO), MediaOptions::default()).unwrap();
    assert_eq!(dates(&dvr), expected);
    let last = archive.segments().last().unwrap();
    assert_eq!(archive.wall_clock(last), Some(UnixMillis(BEGAN_MS + 4_480)));
}

#[test]
fn a_long_window_keeps_the_dates_of_all_its_segments() {
    let mut window = LiveWindow::new(opening(600));
    let Opening { first_sequence, settings, .. } = window.opening().clone();
    let MediaEvent::PeriodStart(mut start) = period_start(0, first_sequence, &Plan::steady(0, 2_000)) else {
        panic!("a period begins")
    };
    start.renditions.retain(|(rendition, _)| rendition.id == id(VIDEO));
    window.apply(&MediaEvent::PeriodStart(start.clone())).unwrap();
    for number in 0..1_300 {
        let sequence = MediaSequence(first_sequence.0 + number);
        let begins = settings.cell_start(number);
        let duration = settings.cell_start(number + 1) - begins;
        let drift = MediaEvent::Drift { period: start.number, from: begins, drift: number as i32 };
        let part = MediaEvent::Part {
            rendition: id(VIDEO),
            sequence,
            index: PartIndex(0),
            start: begins,
            duration,
            independent: true,
            bytes: Bytes::from_static(b"part"),
        };
        let end = MediaEvent::SegmentEnd { rendition: id(VIDEO), sequence };
        for event in [drift, part, end] {
            window.apply(&event).unwrap();
        }
    }
    let rendition = id(VIDEO);
    let kept: Vec<_> = window.kept(&rendition).collect();
    assert!(kept.len() > 1_200, "{} segments", kept.len());
    for (sequence, segment) in kept {
        assert_eq!(window.drift_of(&start, segment.start()) as u64, sequence.0 - first_sequence.0);
    }
}

#[test]
fn a_period_has_a_drift_of_its_own() {
    let all = events(MediaSequence(100), &[Plan::steady(0, 2_320), Plan::steady(5_000, 2_320)]);
    let second = all.iter().rposition(|event| matches!(event, MediaEvent::PeriodStart(_))).unwrap();
    let mut window = window_of(opening(10), &all[..second]);
    window.apply(&drift(2_000, 700)).unwrap();
    for event in &all[second..] {
        window.apply(event).unwrap();
    }
    assert_eq!(window.drift(), 0);
    assert_eq!(window.apply(&drift(2_200, 800)), Ok(Change::Nothing), "of a period that is over");
    let period = PeriodNumber(1);
    window.apply(&MediaEvent::Drift { period, from: MediaTime::from_millis(5_000), drift: 40 }).unwrap();
    assert_eq!((window.drift(), window.next_period()), (40, PeriodNumber(2)));
}

/// A broadcast whose encoder counts `rate` seconds in one, and everybody who watches it.
struct Broadcast {
    window: LiveWindow,
    settings: SegmentSettings,
    rendition: RenditionId,
    rate: f64,
    /// The lists of names that players may hold, with the time when they were made.
    held: VecDeque<(u64, Vec<Name>)>,
    player: Player,
}

/// An object's name.
#[derive(Clone, Debug, PartialEq)]
enum Name {
    Segment(MediaSequence),
    Part(MediaSequence, PartIndex),
    Timed(u64),
}

/// A player of DASH that asks for each segment as soon as its clock says that it is there.
#[derive(Default)]
struct Player {
    clock_read: Option<u64>,
    drift: i32,
    /// Number, start on the clock.
    listed: Vec<(u64, u64)>,
}

impl Broadcast {
    fn begin(rate: f64, settings: SegmentSettings) -> Self {
        let opening = Opening { settings, ..opening(6) };
        let plan = Plan { renditions: vec![video(VIDEO, 1280, 720, 2_800_000)], ..Plan::steady(0, 0) };
        let window = window_of(opening, &[period_start(0, MediaSequence(100), &plan)]);
        Self {
            window,
            settings,
            rendition: id(VIDEO),
            rate,
            held: VecDeque::new(),
            player: Player::default(),
        }
    }

    /// Wall-clock milliseconds since the beginning, when the encoder has counted so many.
    fn real(&self, millis: u64) -> u64 {
        (millis as f64 / self.rate) as u64
    }

    fn run(&mut self, millis: u64) {
        let settings = self.settings;
        let end_of = |cell: u64| settings.cell_start(cell).as_millis();
        for cell in (0..).take_while(|cell| end_of(*cell) < millis) {
            let sequence = MediaSequence(100 + cell);
            let starts: Vec<_> =
                (end_of(cell)..end_of(cell + 1)).step_by(self.settings.part_ms as usize).collect();
            for (index, start) in starts.iter().enumerate() {
                let end = (start + u64::from(self.settings.part_ms)).min(end_of(cell + 1));
                if index == 0 {
                    let drift = self.real(*start) as i64 - *start as i64;
                    self.window.apply(&self::drift(*start, drift as i32)).unwrap();
                }
                self.apply_part(sequence, index as u32, *start, end);
                self.look(self.real(end) + ENCODING_MS);
            }
            self.window.apply(&MediaEvent::SegmentEnd { rendition: id(VIDEO), sequence }).unwrap();
        }
    }

    fn apply_part(&mut self, sequence: MediaSequence, index: u32, start: u64, end: u64) {
        let part = MediaEvent::Part {
            rendition: self.rendition.clone(),
            sequence,
            index: PartIndex(index),
            start: MediaTime::from_millis(start),
            duration: MediaTime::from_millis(end - start),
            independent: index == 0,
            bytes: Bytes::from_static(b"part"),
        };
        self.window.apply(&part).unwrap();
    }

    fn look(&mut self, now: u64) {
        let reads =
            |every: u64, last: Option<&(u64, Vec<Name>)>| last.is_none_or(|(at, _)| at + every <= now);
        if reads(u64::from(self.settings.segment_ms), self.held.back()) {
            for (at, names) in &self.held {
                for name in names {
                    assert!(self.is_served(name), "{name:?}, listed {} ms ago, {now} ms on air", now - at);
                }
            }
            let names = self.read(now);
            self.held.push_back((now, names));
        }
        // As long as a playlist, after it was read.
        let longest = u64::from(self.settings.segment_ms) * 7;
        while self.held.front().is_some_and(|(at, _)| at + longest < now) {
            self.held.pop_front();
        }
        self.ask(now);
    }

    /// All names that a playlist and a presentation say.
    fn read(&mut self, now: u64) -> Vec<Name> {
        let text = playlist::media(&self.window, &self.rendition, MediaOptions::default()).unwrap();
        let files = text.split(['\n', '"']).filter_map(LiveObject::parse);
        let mut names: Vec<_> = files.filter_map(|file| name(file.object)).collect();
        let mpd = Element::parse(&dash::live(&self.window).unwrap());
        let video = listed_by(&mpd, self.settings).remove(0);
        let begins = (video.period_start * 1_000.0) as u64 + ZERO_MS - BEGAN_MS;
        let clock = |ticks: u64| begins + (ticks - video.offset) * 1_000 / video.timescale;
        self.player.listed =
            video.segments.iter().map(|(number, start, _)| (*number, clock(*start))).collect();
        names.extend(video.segments.iter().map(|(_, start, _)| Name::Timed(*start)));
        if self.player.clock_read.is_none_or(|read| read + CLOCK_READ_MS <= now) {
            (self.player.clock_read, self.player.drift) = (Some(now), self.window.drift());
        }
        names
    }

    /// With 200, at once or after a while.
    fn is_served(&self, name: &Name) -> bool {
        let rendition = &self.rendition;
        match name {
            Name::Timed(ticks) => match self.window.timed(rendition, MediaSequence(100), *ticks) {
                Some(window::Timed::Segment(number)) => self.is_served(&Name::Segment(number)),
                Some(window::Timed::Never(_)) | None => false,
            },
            Name::Segment(number) => {
                self.window.begun(rendition, *number).is_some() || self.window.expects(rendition, *number)
            }
            Name::Part(number, index) => {
                let is_next = self.window.next_part(rendition) == Some((*number, *index));
                is_next || self.window.part(rendition, *number, *index).is_some()
            }
        }
    }

    /// Checks that the segment a player asks for by its clock is there, or will be in a moment, and is the newest.
    fn ask(&self, now: u64) {
        let clock = now.saturating_add_signed(-i64::from(self.player.drift));
        let first_part = u64::from(self.settings.part_ms);
        let is_there = |(_, start): &&(u64, u64)| start + first_part + ENCODING_MS <= clock;
        let Some((number, start)) = self.player.listed.iter().rev().find(is_there) else { return };
        assert!(self.is_served(&Name::Segment(MediaSequence(*number))), "{number} after {now} ms");
        let comes = self.real(start + first_part) + ENCODING_MS;
        assert!(comes <= now + 1_500, "it waits {} ms for {number} after {now} ms", comes - now);
        let (newest, _) = self.window.kept(&self.rendition).last().unwrap();
        assert!(newest.0 - number <= 1, "{number} is asked for where {newest} is made, after {now} ms");
    }
}

fn name(object: Object) -> Option<Name> {
    match object {
        Object::Part(sequence, index) => Some(Name::Part(sequence, index)),
        Object::Segment(sequence) => Some(Name::Segment(sequence)),
        Object::Init(_) | Object::Timed(..) => None,
    }
}

const HOUR_MS: u64 = 3_600_000;

#[test]
fn an_encoder_that_is_slow_or_fast_is_followed() {
    for rate in [0.96, 1.04] {
        Broadcast::begin(rate, SHORT).run(HOUR_MS);
    }
}

#[test]
fn the_clock_of_a_sound_card_is_followed_for_a_day() {
    for rate in [1.0 - 200e-6, 1.0 + 200e-6] {
        Broadcast::begin(rate, LONG).run(24 * HOUR_MS);
    }
}
