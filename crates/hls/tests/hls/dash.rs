//! MPDs, read back.

use headwater_hls::playlist::dash;
use headwater_hls::window::Timed;
use headwater_hls::*;
use headwater_media::*;
use proptest::prelude::*;

use crate::broadcast::*;
use crate::xml::Element;

/// The clock that `broadcast` gives its first period.
const WALL_CLOCK_MS: u64 = 1_800_000_000_000;

fn live(plans: &[Plan]) -> LiveWindow {
    window_of(opening(10), &events(MediaSequence(100), plans))
}

fn mpd(window: &LiveWindow) -> Element {
    Element::parse(&dash::live(window).unwrap())
}

/// Rendition in a period, with its timeline unrolled.
#[derive(Debug)]
pub(crate) struct Listed {
    period: String,
    /// In seconds.
    pub period_start: f64,
    pub id: String,
    pub timescale: u64,
    pub offset: u64,
    pub init: String,
    /// Number, start and duration of what is there and of what is announced.
    pub segments: Vec<(u64, u64, u64)>,
}

/// Segments at the end of a rendition that goes on which are announced: the one that is made or comes next, and those
/// after it.
const EXPECTED: usize = 1 + headwater_hls::window::ANNOUNCED_SEGMENTS as usize;

fn listed(mpd: &Element) -> Vec<Listed> {
    listed_by(mpd, SegmentSettings::default())
}

pub(crate) fn listed_by(mpd: &Element, settings: SegmentSettings) -> Vec<Listed> {
    let sets = mpd.all("Period").flat_map(|period| period.all("AdaptationSet").map(move |set| (period, set)));
    let all = sets.flat_map(|(period, set)| set.all("Representation").map(move |one| (period, set, one)));
    all.map(|(period, set, one)| {
        let template = one.all("SegmentTemplate").chain(set.all("SegmentTemplate")).next().unwrap();
        let mut segments = unrolled(template);
        if !template.has("startNumber") {
            count_by_time(&mut segments, template, settings);
        }
        Listed {
            period: period.text("id").into(),
            period_start: period.seconds("start"),
            id: one.text("id").into(),
            timescale: template.number("timescale"),
            offset: template.number("presentationTimeOffset"),
            init: template.text("initialization").into(),
            segments,
        }
    })
    .collect()
}

/// A live presentation names segments by time; their numbers follow from the grid of the period.
fn count_by_time(segments: &mut [(u64, u64, u64)], template: &Element, settings: SegmentSettings) {
    let first = template.text("initialization").split(['-', '.']).nth_back(1).unwrap();
    let (directory, tag) =
        template.text("initialization").split_once("-init-").unwrap().0.split_once('/').unwrap();
    assert_eq!(template.text("media"), format!("{directory}/{tag}-{first}-$Time$.m4s"));
    let timescale = template.number("timescale");
    let offset = template.number("presentationTimeOffset");
    for (number, start, _) in segments {
        let since = MediaTime::from_ticks(*start - offset, timescale as u32);
        *number = first.parse::<u64>().unwrap() + settings.cell(since + MediaTime::from_millis(1));
    }
}

fn unrolled(template: &Element) -> Vec<(u64, u64, u64)> {
    let number = if template.has("startNumber") { template.number("startNumber") } else { 0 };
    let mut segments = Vec::new();
    let mut number = number;
    let mut time = None;
    for row in template.one("SegmentTimeline").all("S") {
        // As VLC 3.0 reads it: one that is negative is 2^32 segments.
        let repeat: u32 = if row.has("r") { row.text("r").parse().unwrap() } else { 0 };
        for nth in 0..=repeat {
            let start = if nth == 0 && row.has("t") { row.number("t") } else { time.unwrap() };
            segments.push((number, start, row.number("d")));
            (number, time) = (number + 1, Some(start + row.number("d")));
        }
    }
    segments
}

/// `tfdt` of a chunk (ISO/IEC 14496-12 §8.8.12), version 1.
fn decode_time(chunk: &[u8]) -> u64 {
    let at = chunk.windows(4).position(|window| window == b"tfdt").unwrap() + 8;
    u64::from_be_bytes(chunk[at..at + 8].try_into().unwrap())
}

#[test]
fn it_says_what_is_there() {
    let mpd = mpd(&live(&[Plan::steady(3_600_000, 21_000)]));
    assert_eq!((mpd.name.as_str(), mpd.text("type")), ("MPD", "dynamic"));
    assert_eq!(mpd.text("availabilityStartTime"), "2027-01-15T07:59:00.000Z");
    assert_eq!(mpd.text("publishTime"), "2027-01-15T08:00:21.000Z");
    assert_eq!(mpd.text("minimumUpdatePeriod"), "PT2S");
    assert_eq!(mpd.text("timeShiftBufferDepth"), "PT20S");
    assert_eq!(mpd.text("suggestedPresentationDelay"), "PT10S");
    let clocks: Vec<_> = mpd.all("UTCTiming").map(|clock| clock.text("value")).collect();
    // ExoPlayer reads the last one, and resolves no address against the MPD's.
    assert_eq!(clocks, ["time", "2027-01-15T08:00:21.000Z"]);
    let latency = mpd.one("ServiceDescription").one("Latency");
    assert_eq!((latency.number("target"), latency.number("max")), (2_050, 6_000));
    let period = mpd.one("Period");
    assert_eq!((period.text("id"), period.text("start")), ("0", "PT60S"));
    let sets: Vec<_> = period.all("AdaptationSet").collect();
    assert_eq!([sets[0].text("mimeType"), sets[1].text("mimeType")], ["video/mp4", "audio/mp4"]);
    let videos: Vec<_> = sets[0].all("Representation").collect();
    assert_eq!([videos[0].text("id"), videos[1].text("id")], ["720p", "360p"]);
    assert_eq!((videos[0].text("codecs"), videos[0].text("frameRate")), ("avc1.64001f", "30000/1001"));
    assert_eq!((videos[1].number("width"), videos[1].number("height")), (640, 360));
    assert_eq!(videos[1].number("bandwidth"), 800_000);
    let audio = sets[1].one("Representation");
    assert_eq!((audio.text("codecs"), audio.number("audioSamplingRate")), ("mp4a.40.2", 48_000));
    assert_eq!(audio.one("AudioChannelConfiguration").text("value"), "2");
    let template = sets[0].one("SegmentTemplate");
    assert_eq!(template.text("availabilityTimeOffset"), "1.65");
    assert_eq!(template.text("availabilityTimeComplete"), "false");
    assert_eq!(template.text("initialization"), "$RepresentationID$/03030303-init-100.mp4");
    let reference = sets[1].one("ProducerReferenceTime");
    assert_eq!(reference.text("wallClockTime"), "2027-01-15T08:00:00.000Z");
    assert_eq!(reference.number("presentationTime"), 3_600_000 * 48);
}

#[test]
fn the_segment_that_is_made_is_announced_as_soon_as_it_has_begun() {
    let all = events(MediaSequence(100), &[Plan::steady(0, 4_000)]);
    let playable = |events: &[MediaEvent]| window_of(opening(10), events).is_playable();
    let some = (1..).find(|n| playable(&all[..*n])).unwrap();
    assert!(dash::live(&window_of(opening(10), &all[..some - 1])).is_none(), "a rendition is missing");
    let listed = listed(&mpd(&window_of(opening(10), &all[..some])));
    // The first segment is a short one.
    let announced = [(101, 28_800, 180_000), (102, 208_800, 180_000), (103, 388_800, 180_000)];
    assert_eq!(listed[0].segments, [[(100, 0, 28_800)].as_slice(), &announced].concat());
}

#[test]
fn a_discontinuity_is_a_period_on_the_same_clock() {
    let listed = listed(&mpd(&live(&[Plan::steady(5_000, 3_320), Plan::steady(7_000, 2_000)])));
    let of = |period: &str| listed.iter().find(|one| one.period == period && one.id == "720p").unwrap();
    let first = of("0");
    let second = of("1");
    assert_eq!((first.period_start, second.period_start), (60.0, 3_660.0));
    assert_eq!((first.offset, second.offset), (450_000, 630_000));
    assert_eq!(first.segments.last(), Some(&(102, 450_000 + 208_800, 90_000)));
    assert_eq!(second.segments.last(), Some(&(107, 630_000 + 28_800 + 3 * 180_000, 180_000)));
    assert_eq!(second.segments[0], (104, 658_800, 151_200), "the short one has gone");
    assert_eq!(second.init, "$RepresentationID$/03030303-init-103.mp4");
}

/// As ffmpeg looks for them, by whole seconds.
#[test]
fn the_short_segment_of_a_live_period_goes_when_a_whole_one_follows_everywhere() {
    let all = events(MediaSequence(100), &[Plan::steady(0, 8_000)]);
    let ends = |name: &str| {
        all.iter().position(|event| {
            matches!(event, MediaEvent::SegmentEnd { rendition, sequence } if rendition.as_str() == name && sequence.0 == 101)
        })
    };
    let whole = ["720p", "360p", "audio"].map(|name| ends(name).unwrap()).into_iter().max().unwrap();
    let firsts = |window: &LiveWindow| -> Vec<_> {
        listed(&mpd(window)).iter().map(|one| one.segments[0].0).collect()
    };
    assert_eq!(firsts(&window_of(opening(10), &all[..whole])), [100; 3]);
    let mut window = window_of(opening(10), &all[..=whole]);
    assert_eq!(firsts(&window), [101; 3]);
    window.apply(&MediaEvent::BroadcastEnd).unwrap();
    assert_eq!(firsts(&window), [100; 3], "nobody reads it again");
}

#[test]
fn what_has_ended_is_static() {
    let mut window = live(&[Plan::steady(5_000, 5_000)]);
    window.apply(&MediaEvent::BroadcastEnd).unwrap();
    let mpd = mpd(&window);
    assert_eq!((mpd.text("type"), mpd.seconds("mediaPresentationDuration")), ("static", 65.0));
    assert_eq!(mpd.one("Period").text("duration"), "PT5S");
    assert!(!mpd.has("minimumUpdatePeriod") && mpd.all("UTCTiming").next().is_none());
    let listed = listed(&mpd);
    assert!(listed.iter().all(|one| one.segments.len() == 4), "{listed:?}");
}

#[test]
fn only_what_follows_a_gap_is_listed() {
    let all = events(MediaSequence(100), &[Plan::steady(0, 12_320)]);
    let sequence_of = |event: &MediaEvent| match event {
        MediaEvent::Part { sequence, .. } | MediaEvent::SegmentEnd { sequence, .. } => Some(sequence.0),
        _ => None,
    };
    let within = |from: u64, to: u64| {
        all.iter().filter(move |event| sequence_of(event).is_none_or(|n| (from..to).contains(&n)))
    };
    let mut window = window_of(opening(10), &within(100, 103).cloned().collect::<Vec<_>>());
    window.adopt(&Opening { first_sequence: MediaSequence(104), ..opening(10) }).unwrap();
    assert_eq!(listed(&mpd(&window))[0].segments.len(), 2, "what is there until more comes");
    for event in within(104, 200) {
        window.apply(event).unwrap();
    }
    let video = &listed(&mpd(&window))[0];
    let numbers: Vec<_> = video.segments.iter().map(|(number, ..)| *number).collect();
    assert_eq!((numbers, video.period.as_str()), ((104..=106 + EXPECTED as u64).collect(), "0"));
    assert_eq!(video.segments[0].1, (320 + 3 * 2_000) * 90);
}

#[test]
fn a_rendition_that_ends_early_is_shorter() {
    let ends_early = Plan { audio_excess: -1_500, ..Plan::steady(0, 3_320) };
    let listed = listed(&mpd(&live(&[ends_early, Plan::steady(0, 2_000)])));
    let lengths: Vec<_> = listed[..3].iter().map(|one| one.segments.len()).collect();
    assert_eq!(lengths, [2, 2, 1]);
}

#[test]
fn time_between_the_periods_of_what_has_ended_belongs_to_the_one_before() {
    let mut window = live(&[Plan::steady(5_000, 3_320), Plan::steady(7_000, 2_000)]);
    window.apply(&MediaEvent::BroadcastEnd).unwrap();
    let mpd = mpd(&window);
    let periods: Vec<_> = mpd.all("Period").collect();
    assert_eq!((periods.len(), periods[0].has("duration"), periods[1].text("duration")), (2, false, "PT2S"));
    assert_eq!(mpd.seconds("mediaPresentationDuration"), periods[1].seconds("start") + 2.0);
}

#[test]
fn what_is_announced_and_not_made_is_known_to_be_past_the_end() {
    let ends_early = Plan { audio_excess: -1_500, ..Plan::steady(0, 3_320) };
    let mut window = live(&[ends_early, Plan::steady(5_000, 5_000)]);
    let past = |window: &LiveWindow, rendition: &str, n| window.past_end(&id(rendition), MediaSequence(n));
    let numbers = |window: &LiveWindow, rendition: &str| -> Vec<_> {
        (99..110).filter_map(|n| past(window, rendition, n).map(|past| (n, past))).collect()
    };
    assert_eq!(numbers(&window, "audio"), [(102, 0)], "the first period had no more of it");
    assert_eq!(numbers(&window, "720p"), [], "it is on air");
    window.apply(&MediaEvent::BroadcastEnd).unwrap();
    assert_eq!(numbers(&window, "720p"), [(107, 0), (108, 1), (109, 2)]);
    assert_eq!(numbers(&window, "audio"), [(102, 0), (107, 0), (108, 1), (109, 2)]);
    assert_eq!(past(&window, "90p", 107), None);
    let styp = headwater_hls::cmaf::END_SEGMENT;
    assert_eq!((u32::from_be_bytes(styp[..4].try_into().unwrap()) as usize, &styp[4..8]), (24, &b"styp"[..]));
}

#[test]
fn nothing_is_no_presentation() {
    assert_eq!(dash::live(&LiveWindow::new(opening(10))), None);
    let Opening { broadcast, settings, .. } = opening(10);
    assert_eq!(dash::stored(&Archive::new(broadcast, settings, 0)), None);
}

/// Archive of these plans without the segments that `lost` names.
fn archive(plans: &[Plan], lost: impl Fn(&str, u64) -> bool) -> Archive {
    let events = events(MediaSequence(100), plans);
    let Opening { broadcast, settings, .. } = opening(10);
    let window = window_of(Opening { window_segments: 40, ..opening(10) }, &events);
    let mut archive = Archive::new(broadcast, settings, 0);
    let starts = events.iter().filter_map(|event| match event {
        MediaEvent::PeriodStart(start) => Some(start),
        _ => None,
    });
    let mut next = 100;
    for start in starts {
        (next..start.first_sequence.0).for_each(|n| store(&mut archive, &window, n, &lost));
        next = start.first_sequence.0;
        archive.apply(&Record::Period(start.clone())).unwrap();
    }
    (next..window.next_sequence().0).for_each(|n| store(&mut archive, &window, n, &lost));
    archive
}

fn store(archive: &mut Archive, window: &LiveWindow, number: u64, lost: &impl Fn(&str, u64) -> bool) {
    let piece = |name: &&str| {
        let segment = window.segment(&id(name), MediaSequence(number))?;
        let size = (!lost(name, number)).then_some(segment.size() as u64);
        Some(Piece { rendition: id(name), start: segment.start(), duration: segment.duration(), size })
    };
    let pieces = ["720p", "360p", "audio"].iter().filter_map(piece).collect();
    archive
        .apply(&Record::Segment(StoredSegment { sequence: MediaSequence(number), pieces, drift: 0 }))
        .unwrap();
}

#[test]
fn what_is_stored_is_one_presentation_without_waits() {
    let ends_early = Plan { audio_excess: -1_500, ..Plan::steady(5_000, 3_320) };
    let archive = archive(&[ends_early, Plan::steady(7_000, 6_320)], |_, _| false);
    let mpd = Element::parse(&dash::stored(&archive).unwrap());
    assert_eq!((mpd.text("type"), mpd.seconds("mediaPresentationDuration")), ("static", 9.64));
    let periods: Vec<_> = mpd.all("Period").map(|one| (one.text("id"), one.seconds("start"))).collect();
    assert_eq!(periods, [("0", 0.0), ("1", 3.32)]);
    let listed = listed(&mpd);
    assert_eq!(listed[0].init, format!("{}/$RepresentationID$/init-100.mp4", archive.broadcast()));
    assert_eq!(listed[0].segments, [(100, 450_000, 28_800), (101, 478_800, 180_000), (102, 658_800, 90_000)]);
    assert_eq!(listed[2].segments.len(), 2, "the audio ended early");
    assert_eq!((listed[3].offset, listed[3].segments.len()), (630_000, 4));
}

#[test]
fn what_is_stored_comes_before_the_live_window() {
    let plans = [Plan::steady(5_000, 20_320), Plan::steady(7_000, 40_320)];
    let archive = archive(&plans, |_, _| false);
    let window = live(&plans);
    let short = listed(&mpd(&window));
    let mpd = Element::parse(&dash::dvr(&archive, &window).unwrap());
    assert_eq!((mpd.text("type"), mpd.seconds("timeShiftBufferDepth")), ("dynamic", 3_640.0));
    let long = listed(&mpd);
    assert_eq!((short.len(), long.len()), (3, 6));
    assert_eq!((long[0].segments[0].0, long[0].segments.len(), long[0].period_start), (101, 10, 60.0));
    assert_eq!((long[3].segments[0].0, long[3].period_start), (112, short[0].period_start));
    assert!(long[3].segments.ends_with(&short[0].segments));
    let trimmed = {
        let mut archive = archive.clone();
        archive.trim(MediaTime::from_millis(30_000));
        archive
    };
    let some = Element::parse(&dash::dvr(&trimmed, &window).unwrap());
    assert!(
        listed(&some)[0].segments.ends_with(&short[0].segments)
            && some.seconds("timeShiftBufferDepth") >= 30.0
    );
    let mut old = Archive::new(archive.broadcast(), archive.settings(), 0);
    archive.records().iter().take(5).for_each(|record| drop(old.apply(record)));
    assert_eq!(dash::dvr(&old, &window), dash::live(&window), "it does not reach to the window");
}

/// Players that read it again find what they hold under the same names, at the same time.
#[test]
fn the_end_is_presented_alike_when_the_live_window_is_gone() {
    let plans = [Plan::steady(5_000, 20_320), Plan::steady(7_000, 40_320)];
    let mut events = events(MediaSequence(100), &plans);
    events.push(MediaEvent::BroadcastEnd);
    let window = window_of(opening(10), &events);
    let mut archive = archive(&plans, |_, _| false);
    for reach in [3_600_000, 30_000] {
        archive.trim(MediaTime::from_millis(reach));
        let without_rates = |text: &str| {
            let parts = text.split(" bandwidth=\"").enumerate();
            parts
                .map(|(nth, part)| if nth == 0 { part } else { part.split_once('"').unwrap().1 })
                .collect::<String>()
        };
        let then = without_rates(&dash::dvr(&archive, &window).unwrap());
        assert_eq!(without_rates(&dash::ended(&archive).unwrap()), then);
        assert!(then.contains("type=\"static\"") && then.contains("/03030303-111-$Time$.m4s"), "{then}");
    }
    let empty = Archive::new(archive.broadcast(), archive.settings(), 0);
    assert_eq!(dash::ended(&empty), None);
}

#[test]
fn a_stored_period_with_a_hole_in_it_becomes_several() {
    let lost = |name: &str, number: u64| number == 102 || name == "360p" && number == 104;
    let mpd = Element::parse(&dash::stored(&archive(&[Plan::steady(0, 12_320)], lost)).unwrap());
    // Frames of audio cross boundaries.
    let tenths = |seconds: f64| (seconds * 10.0).round() as u64;
    let length = |one: &Element| tenths(one.seconds("duration"));
    let periods: Vec<_> = mpd.all("Period").map(|one| (one.text("id"), length(one))).collect();
    assert_eq!(periods, [("0", 23), ("0.103", 20), ("0.104", 20), ("0.105", 40)]);
    let listed = listed(&mpd);
    let of = |period: &str| listed.iter().filter(|one| one.period == period).collect::<Vec<_>>();
    assert_eq!(of("0.104").iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["720p", "audio"]);
    let last = of("0.105")[0];
    assert_eq!((last.segments[0].0, last.segments[0].1, last.offset), (105, 8_320 * 90, 8_320 * 90));
    assert_eq!(tenths(last.period_start), 63);
}

fn plan() -> impl Strategy<Value = Plan> {
    let frames =
        (20u64..=40).prop_flat_map(|length| prop::collection::vec((length - 3)..=(length + 3), 5..600));
    (1u64..20_000_000_000, frames, -1_000i64..1_000).prop_map(|(origin, frames, audio_excess)| Plan {
        origin,
        frames,
        audio_excess,
        renditions: ladder(),
    })
}

/// Checks the rules for every MPD of a broadcast, whenever it is asked for.
fn check(window: &LiveWindow, all: &LiveWindow) {
    let Some(text) = dash::live(window) else { return };
    let mpd = Element::parse(&text);
    let live = window.renditions().map(|rendition| window.next_part(&rendition.id));
    let newest = live.flatten().next().map(|(next, _)| window.period_of(next).unwrap().number.0);
    for one in listed(&mpd) {
        let goes_on = newest.is_some_and(|newest| one.period == newest.to_string());
        let number: u64 = one.period.parse().unwrap();
        let wall_clock = (WALL_CLOCK_MS + number * 3_600_000) as f64 / 1_000.0;
        let whole = one.segments.len() - if goes_on { EXPECTED } else { 0 };
        if mpd.text("type") == "dynamic" && whole > 2 {
            let seconds = one.segments.iter().map(|(_, start, _)| (start - one.offset) / one.timescale);
            assert!(seconds.collect::<Vec<_>>().windows(2).all(|two| two[0] < two[1]), "{one:?}");
        }
        assert!((one.period_start - (wall_clock - WALL_CLOCK_MS as f64 / 1_000.0 + 60.0)).abs() < 1e-6);
        for (place, (sequence, start, duration)) in one.segments.iter().enumerate() {
            let sequence = MediaSequence(*sequence);
            let is_expected = goes_on && place + EXPECTED >= one.segments.len();
            let ahead = place + EXPECTED - one.segments.len().min(place + EXPECTED);
            if let Some(part) = window.part(&id(&one.id), sequence, PartIndex(0)) {
                assert_eq!(*start, decode_time(&part.bytes), "{} {sequence}", one.id);
                assert!(*start >= one.offset);
            } else {
                assert!(is_expected, "{} {sequence} is listed", one.id);
            }
            if is_expected {
                assert_eq!(window.next_uncommitted_of(&one.id).0 + ahead as u64, sequence.0);
                assert!(window.expects(&id(&one.id), sequence), "{} {sequence} may be asked for", one.id);
            }
            let first = one.init.split(['-', '.']).nth_back(1).unwrap().parse().unwrap();
            let named = window.timed(&id(&one.id), MediaSequence(first), *start);
            assert_eq!(named, Some(Timed::Segment(sequence)), "{} {start}", one.id);
            let Some(real) = all.segment(&id(&one.id), sequence) else { continue };
            // What was expected did not come: another period did.
            if is_expected && all.period_of(sequence).unwrap().number.0 != newest.unwrap() {
                continue;
            }
            let frame = one.timescale * 45 / 1_000;
            assert!(start.abs_diff(ticks(real.start(), one.timescale)) <= if ahead > 0 { frame } else { 0 });
            let off = (start + duration).abs_diff(ticks(real.end(), one.timescale));
            let most = if is_expected { (1 + ahead as u64) * frame } else { 0 };
            // A period's last segment ends where its frames do.
            let next = all.segment(&id(&one.id), sequence.next());
            let is_last = next.is_none_or(|next| next.start() != real.end());
            assert!(off <= most || is_expected && is_last, "{} {sequence}: {off}", one.id);
        }
    }
}

fn ticks(time: MediaTime, timescale: u64) -> u64 {
    (u128::from(time.0) * u128::from(timescale) + 500_000).div_euclid(1_000_000) as u64
}

trait Ahead {
    fn next_uncommitted_of(&self, rendition: &str) -> MediaSequence;
}

impl Ahead for LiveWindow {
    /// The segment of a rendition that is made now or next.
    fn next_uncommitted_of(&self, rendition: &str) -> MediaSequence {
        let (mut next, _) = self.next_part(&id(rendition)).unwrap();
        let before = MediaSequence(next.0 - 1);
        // All parts are there, and its end is not said yet.
        if self.part(&id(rendition), before, PartIndex(0)).is_some()
            && self.segment(&id(rendition), before).is_none()
        {
            next = before;
        }
        next
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn times_and_numbers_are_those_of_the_segments(plans in prop::collection::vec(plan(), 1..4), step in 1usize..40) {
        let events = events(MediaSequence(100), &plans);
        // Everything at once, as far as it is kept.
        let all = window_of(opening(40), &events);
        let mut window = LiveWindow::new(opening(10));
        for (n, event) in events.iter().enumerate() {
            window.apply(event).unwrap();
            if n % step == 0 || matches!(event, MediaEvent::PeriodStart(_)) {
                check(&window, &all);
            }
        }
        window.apply(&MediaEvent::BroadcastEnd).unwrap();
        check(&window, &all);
    }
}
