//! Two broadcasts of one stream share no address, whatever their numbers are.

use std::collections::BTreeSet;

use headwater_hls::playlist::{MediaOptions, dash, dvr, ended_media, media, media_after};
use headwater_hls::*;
use headwater_media::*;
use proptest::prelude::*;

use crate::broadcast::*;
use crate::dash::listed_by;
use crate::xml::Element;

/// A broadcast that viewers can go back in.
struct Broadcast {
    window: LiveWindow,
    archive: Archive,
}

impl Broadcast {
    /// Periods of these lengths in milliseconds, numbered from `first` on.
    fn new(random: [u8; 10], first: u64, lengths: &[u64]) -> Self {
        let broadcast = BroadcastId::new(UnixMillis(1_800_000_000_000), &random);
        let first_sequence = MediaSequence(first);
        let mut window = LiveWindow::new(Opening { broadcast, first_sequence, ..opening(3) });
        let mut archive = Archive::new(broadcast, window.opening().settings, 0);
        let plan = |(nth, length): (u64, &u64)| Plan::steady(40 + nth * 3_600_000, *length);
        let plans: Vec<_> = (0..).zip(lengths).map(plan).collect();
        for event in events(first_sequence, &plans) {
            window.apply(&event).unwrap();
            archive.follow(&window);
        }
        Self { window, archive }
    }

    fn tag(&self) -> BroadcastTag {
        self.window.opening().broadcast.tag()
    }

    /// Every media file that a playlist or presentation of the broadcast names.
    fn files(&self) -> BTreeSet<String> {
        let Self { window, archive } = self;
        let rendition = id("720p");
        let plain = MediaOptions { low_latency: false, ..MediaOptions::default() };
        let lists = [
            media(window, &rendition, MediaOptions::default()),
            media(window, &rendition, plain),
            dvr(archive, window, &rendition, MediaOptions::default()),
            ended_media(archive, &rendition),
        ];
        let listed = lists.iter().flatten().flat_map(|text| named_by(text));
        let presented = [dash::live(window), dash::dvr(archive, window), dash::ended(archive)];
        listed.chain(presented.iter().flatten().flat_map(|text| presented_by(text))).collect()
    }
}

/// The media files that a playlist names.
fn named_by(playlist: &str) -> Vec<String> {
    let is_media = |word: &&str| word.ends_with(".m4s") || word.ends_with(".mp4");
    playlist.split(['\n', '"']).filter(is_media).map(str::to_owned).collect()
}

/// The media files of the first rendition that a presentation names; each is read as the object that is meant.
fn presented_by(text: &str) -> Vec<String> {
    let mpd = Element::parse(text);
    let mut files = Vec::new();
    for listed in listed_by(&mpd, SegmentSettings::default()).iter().filter(|listed| listed.id == "720p") {
        let init = listed.init.strip_prefix("$RepresentationID$/").unwrap();
        let Some(LiveObject { broadcast, object: Object::Init(first) }) = LiveObject::parse(init) else {
            panic!("{init}")
        };
        files.push(init.to_owned());
        let template = format!("{broadcast}-{first}-$Time$.m4s");
        assert!(text.contains(&format!("media=\"$RepresentationID$/{template}\"")), "{text}");
        for (_, start, _) in &listed.segments {
            let file = template.replace("$Time$", &start.to_string());
            let timed = LiveObject { broadcast, object: Object::Timed(first, *start) };
            assert_eq!(LiveObject::parse(&file), Some(timed));
            files.push(file);
        }
    }
    files
}

fn tag(file: &str) -> BroadcastTag {
    LiveObject::parse(file).unwrap_or_else(|| panic!("{file} is no live object")).broadcast
}

/// Its media came faster than real time, so that its numbers ran ahead of the clock.
#[test]
fn a_broadcast_that_uses_numbers_again_has_other_addresses() {
    let [before, after] = [[3; 10], [4; 10]].map(|random| Broadcast::new(random, 100, &[20_000]));
    let [old, new] = [&before, &after].map(Broadcast::files);
    let numbers = |files: &BTreeSet<String>| -> BTreeSet<_> {
        files.iter().map(|file| LiveObject::parse(file).unwrap().object.to_string()).collect()
    };
    assert_eq!(numbers(&old), numbers(&new), "they have all numbers in common");
    assert!(old.is_disjoint(&new) && old.len() > 30, "{old:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn broadcasts_share_no_address(
        randoms in prop::array::uniform2(prop::array::uniform10(any::<u8>())),
        lengths in prop::array::uniform2(prop::collection::vec(2_000u64..30_000, 1..4)),
        ahead in 0u64..30,
    ) {
        let before = Broadcast::new(randoms[0], 100, &lengths[0]);
        let after = Broadcast::new(randoms[1], 100 + ahead, &lengths[1]);
        prop_assume!(before.tag() != after.tag());
        let [old, new] = [&before, &after].map(Broadcast::files);
        prop_assert!(old.iter().all(|file| tag(file) == before.tag()));
        prop_assert!(new.iter().all(|file| tag(file) == after.tag()));
        // What is listed of both is named as each of them names it.
        let mut broken_off = before.window.clone();
        broken_off.apply(&MediaEvent::BroadcastEnd).unwrap();
        let both = media_after(&broken_off, &after.window, &id("720p"), MediaOptions::default()).unwrap();
        for file in named_by(&both) {
            let known = if tag(&file) == before.tag() { &old } else { &new };
            let end = broken_off.next_sequence();
            let is_gap = LiveObject::parse(&file).unwrap().object.sequence() >= end;
            prop_assert!(known.contains(&file) || is_gap && tag(&file) == before.tag(), "{file}");
        }
    }
}

/// Stored segments of another broadcast are not listed under the tag of the one that is shown.
#[test]
fn an_archive_of_another_broadcast_is_not_listed() {
    let [before, after] = [[3; 10], [4; 10]].map(|random| Broadcast::new(random, 100, &[60_000]));
    let list = dvr(&before.archive, &after.window, &id("720p"), MediaOptions::default()).unwrap();
    let alone = media(&after.window, &id("720p"), MediaOptions::default()).unwrap();
    assert_eq!(list, alone.replace("/index.m3u8", "/dvr.m3u8"));
    assert_eq!(dash::dvr(&before.archive, &after.window), dash::live(&after.window));
}
