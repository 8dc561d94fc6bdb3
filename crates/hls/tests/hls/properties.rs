//! Whatever is broadcast, these hold after every event.

use std::collections::BTreeMap;

use headwater_hls::playlist::{MediaOptions, media};
use headwater_hls::*;
use headwater_media::*;
use proptest::prelude::*;

use crate::broadcast::*;
use crate::reader::{Playlist, Segment, read, read_after};

const NAMES: [&str; 3] = ["720p", "360p", "audio"];

/// Frames of 20 to 40 ms, a few milliseconds early or late, as publishers send them.
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

/// Viewer of every rendition, who asks for every playlist that there is.
#[derive(Default)]
struct Viewer {
    seen: BTreeMap<&'static str, Playlist>,
    removed: Removed,
}

/// Per removed segment of one rendition: how much media there was when it left, and for how much more it must stay.
#[derive(Default)]
struct Removed {
    longest: BTreeMap<u64, u64>,
    until: BTreeMap<u64, u64>,
    /// Media that became whole since the start, by segment.
    durations: BTreeMap<u64, u64>,
}

impl Viewer {
    fn look(&mut self, window: &LiveWindow) {
        let lists = NAMES.map(|name| (name, self.fetch(window, name)));
        let numbers = |list: &Playlist| (list.media_sequence, list.discontinuity_sequence);
        assert!(lists.iter().all(|(_, list)| numbers(list) == numbers(&lists[0].1)));
        self.removed.check(window, &lists[0].1);
        for (name, list) in lists {
            check_list(&list);
            check_addresses(window, name, &list);
            if let Some(before) = self.seen.get(name) {
                check_succession(before, &list);
            }
            self.seen.insert(name, list);
        }
    }

    fn fetch(&self, window: &LiveWindow, name: &str) -> Playlist {
        let full = read(&media(window, &id(name), MediaOptions::default()).unwrap());
        let skip = MediaOptions { skip: Some(Skip::Segments), ..MediaOptions::default() };
        let delta = media(window, &id(name), skip).unwrap();
        if let Some(before) = self.seen.get(name) {
            let merged = read_after(&delta, Some(before));
            let listed = |list: &Playlist| list.segments.iter().map(without_parts).collect::<Vec<_>>();
            assert_eq!(listed(&merged), listed(&full));
            let new = merged.skipped as usize;
            assert_eq!(merged.segments[new..], full.segments[new..]);
        }
        full
    }
}

/// Parts that are no longer listed may still stand in what a client has kept.
fn without_parts(segment: &Segment) -> Segment {
    Segment { parts: Vec::new(), ..segment.clone() }
}

fn check_list(list: &Playlist) {
    let part_target = list.part_target.unwrap();
    assert!(list.part_hold_back.unwrap() >= 3 * part_target);
    assert!(list.hold_back >= 3 * list.target_duration && list.skip_until >= 6 * list.target_duration);
    for segment in &list.segments {
        let parts: u64 = segment.parts.iter().map(|part| part.duration).sum();
        assert!(segment.parts.is_empty() || parts == segment.duration());
        assert!((segment.duration() + 500_000) / 1_000_000 * 1_000_000 <= list.target_duration);
        assert!(segment.parts.iter().all(|part| part.duration <= part_target), "{segment:?}");
        assert!(segment.parts.first().is_none_or(|part| part.independent));
    }
    let (open, whole): (Vec<_>, Vec<_>) = list.segments.iter().partition(|s| s.whole.is_none());
    assert!(
        open.len() <= 1
            && open.first().is_none_or(|open| open.sequence == list.segments.last().unwrap().sequence)
    );
    if list.media_sequence > 100 {
        let total: u64 = whole.iter().map(|segment| segment.duration()).sum();
        assert!(whole.len() >= 3 && total >= 3 * list.target_duration);
    }
    assert!(whole.len() <= 100);
}

/// Every address is read as the object that is meant, of the window's broadcast.
fn check_addresses(window: &LiveWindow, name: &str, list: &Playlist) {
    let broadcast = window.opening().broadcast.tag();
    let object = |file: &str| {
        let live = LiveObject::parse(file).unwrap_or_else(|| panic!("{file}"));
        assert_eq!(live.broadcast, broadcast, "{file}");
        live.object
    };
    let next = window.next_part(&id(name)).map(|(sequence, index)| Object::Part(sequence, index));
    assert_eq!(list.hint.as_deref().map(object), next);
    for segment in &list.segments {
        let sequence = MediaSequence(segment.sequence);
        let Object::Init(first) = object(&segment.map) else { panic!("{}", segment.map) };
        assert!(window.init(&id(name), first).is_some());
        if let Some((_, file)) = &segment.whole {
            assert_eq!(object(file), Object::Segment(sequence));
        }
        assert_eq!(
            segment.whole.as_ref().is_some_and(|_| !segment.gap),
            is_whole(window, name, segment.sequence)
        );
        for (index, part) in (0..).map(PartIndex).zip(&segment.parts) {
            assert_eq!(object(&part.uri), Object::Part(sequence, index));
            assert!(window.part(&id(name), sequence, index).is_some());
        }
    }
}

fn is_whole(window: &LiveWindow, name: &str, sequence: u64) -> bool {
    window.segment(&id(name), MediaSequence(sequence)).is_some()
}

/// RFC 8216bis §6.2.1 and §6.2.2: what was listed is not changed, and numbers never go back.
fn check_succession(before: &Playlist, after: &Playlist) {
    assert!(after.media_sequence >= before.media_sequence);
    assert!(after.discontinuity_sequence >= before.discontinuity_sequence);
    let last = |list: &Playlist| list.segments.last().map(|segment| segment.sequence);
    assert!(last(after) >= last(before));
    for old in before.segments.iter().filter(|old| old.sequence >= after.media_sequence) {
        let new = &after.segments[(old.sequence - after.media_sequence) as usize];
        assert_eq!((old.discontinuity, &old.map, &old.date), (new.discontinuity, &new.map, &new.date));
        assert!(old.whole.is_none() || old.whole == new.whole);
        assert!(new.parts.is_empty() || new.parts.starts_with(&old.parts));
    }
}

impl Removed {
    /// RFC 8216bis §6.2.2: a removed segment stays for its duration and that of the longest playlist that held it.
    fn check(&mut self, window: &LiveWindow, list: &Playlist) {
        let length: u64 = list.segments.iter().map(|segment| segment.duration()).sum();
        for segment in list.segments.iter().filter(|segment| segment.whole.is_some()) {
            self.durations.insert(segment.sequence, if segment.gap { 0 } else { segment.duration() });
        }
        for segment in &list.segments {
            let longest = self.longest.entry(segment.sequence).or_default();
            *longest = length.max(*longest);
        }
        let now: u64 = self.durations.values().sum();
        for (sequence, longest) in self.longest.range(..list.media_sequence) {
            let duration = self.durations[sequence];
            let until = *self.until.entry(*sequence).or_insert(now + duration + longest);
            assert!(
                duration == 0 || now >= until || is_whole(window, "720p", *sequence),
                "{sequence} left at {now}, not at {until}"
            );
        }
    }
}

fn number_of(event: &MediaEvent) -> Option<(&RenditionId, MediaSequence, PartIndex)> {
    match event {
        MediaEvent::Part { rendition, sequence, index, .. } => Some((rendition, *sequence, *index)),
        _ => None,
    }
}

/// Sound that goes on after the pictures makes gaps in theirs, and no time passes for whoever watches a gap.
#[test]
fn gaps_do_not_shorten_the_stay_of_what_left_the_playlists() {
    let period = |number: u64| Plan { audio_excess: 1_000, ..Plan::steady(1 + number * 60_000, 3_960) };
    watch(&(0..12).map(period).collect::<Vec<_>>(), 3);
}

fn watch(plans: &[Plan], window_segments: u32) {
    let mut window = LiveWindow::new(opening(window_segments));
    let mut viewer = Viewer::default();
    for event in &events(MediaSequence(100), plans) {
        let promised = number_of(event).map(|(rendition, ..)| window.next_part(rendition).unwrap());
        let come = number_of(event).map(|(_, sequence, index)| (sequence, index));
        assert_eq!(promised, come);
        assert_ne!(window.apply(event).unwrap(), Change::Nothing);
        assert_eq!(window.clone().apply(event), Ok(Change::Nothing));
        viewer.look(&window);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn playlists_keep_the_rules(plans in prop::collection::vec(plan(), 1..6), window_segments in 3u32..7) {
        watch(&plans, window_segments);
    }

    #[test]
    fn a_snapshot_replayed_is_the_same_window(
        plans in prop::collection::vec(plan(), 1..6), window_segments in 3u32..7, every in 5usize..40,
    ) {
        let all = events(MediaSequence(100), &plans);
        let mut window = LiveWindow::new(opening(window_segments));
        for (n, event) in all.iter().chain([&MediaEvent::BroadcastEnd]).enumerate() {
            window.apply(event).unwrap();
            if n % every == 0 || n == all.len() {
                let newcomer = window_of(window.opening().clone(), &window.events());
                prop_assert_eq!(&newcomer, &window);
            }
        }
        prop_assert_eq!(window.bytes(), held_bytes(&window));
        let events = window.events();
        prop_assert!(all.iter().all(|event| window.apply(event) == Ok(Change::Nothing)));
        prop_assert_eq!(events, window.events());
    }
}

fn held_bytes(window: &LiveWindow) -> usize {
    let size = |event: &MediaEvent| match event {
        MediaEvent::Part { bytes, .. } => bytes.len(),
        _ => 0,
    };
    window.events().iter().map(size).sum()
}
