use headwater_hls::playlist::{MediaOptions, dvr, dvr_multivariant, ended_multivariant, media};
use headwater_hls::*;
use headwater_media::*;

use crate::broadcast::*;
use crate::reader::read;

/// Two periods of a minute and of twenty seconds, and an archive that followed from the start.
fn long_broadcast() -> (LiveWindow, Archive) {
    followed(&[Plan::steady(0, 60_000), Plan::steady(5_000, 21_000)])
}

fn followed(plans: &[Plan]) -> (LiveWindow, Archive) {
    let mut window = LiveWindow::new(opening(10));
    let mut archive = Archive::new(window.opening().broadcast, window.opening().settings, 0);
    for event in events(MediaSequence(100), plans) {
        window.apply(&event).unwrap();
        archive.follow(&window);
    }
    (window, archive)
}

fn text(archive: &Archive, window: &LiveWindow, skip: Option<Skip>) -> String {
    dvr(archive, window, &id("720p"), MediaOptions { skip, ..MediaOptions::default() }).unwrap()
}

#[test]
fn history_and_window_join_without_a_hole() {
    let (window, archive) = long_broadcast();
    let all = text(&archive, &window, None);
    let live = media(&window, &id("720p"), Default::default()).unwrap();
    let all_read = read(&all);
    let live_read = read(&live);
    let numbers: Vec<_> = all_read.segments.iter().map(|segment| segment.sequence).collect();
    let last = *numbers.last().unwrap();
    assert_eq!(numbers, (100..=last).collect::<Vec<_>>());
    assert_eq!(live_read.segments.last().unwrap().sequence, last);
    assert!(live_read.segments.len() < numbers.len() - 20);
    // From its first segment on, the window is listed as without history.
    let tail = |text: &str| {
        text.split_once(&format!("{}.m4s\n", live_read.segments[0].sequence)).unwrap().1.to_owned()
    };
    assert_eq!(tail(&all), tail(&live).replace("/index.m3u8", "/dvr.m3u8"));
    assert_eq!(all.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    assert_eq!(all.matches("#EXT-X-MAP").count(), 2);
    let files = |text: &str| {
        text.lines().filter(|line| line.contains("dvr.m3u8")).map(str::to_owned).collect::<Vec<_>>()
    };
    let multivariant = files(&dvr_multivariant(&window).unwrap());
    assert!(multivariant.contains(&"720p/dvr.m3u8".into()), "{multivariant:?}");
    assert_eq!(files(&ended_multivariant(&archive).unwrap()), multivariant);
}

#[test]
fn a_delta_update_leaves_history_out_and_applies() {
    let (window, archive) = long_broadcast();
    let whole = text(&archive, &window, None);
    let delta = text(&archive, &window, Some(Skip::Segments));
    let segments = |text: &str| -> Vec<String> {
        let lines: Vec<_> =
            text.lines().filter(|line| line.ends_with(".m4s") && !line.starts_with('#')).collect();
        lines.into_iter().map(str::to_owned).collect()
    };
    let skip = delta.lines().find_map(|line| line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS=")).unwrap();
    let skip: usize = skip.parse().unwrap();
    assert_eq!(segments(&whole)[skip..], segments(&delta)[..]);
    assert!(skip > 30, "{skip}");
    assert!(delta.len() < media(&window, &id("720p"), Default::default()).unwrap().len());
}

#[test]
fn an_hours_delta_is_small() {
    let (window, archive) = followed(&[Plan::steady(0, 3_600_000)]);
    let whole = text(&archive, &window, None);
    let delta = text(&archive, &window, Some(Skip::Segments));
    assert_eq!(read(&whole).segments.len(), 1_801);
    assert!(whole.len() < 96_000 && delta.len() < 3_000, "{} and {}", whole.len(), delta.len());
}

#[test]
fn a_history_that_begins_in_the_middle_counts_what_is_gone() {
    let (window, mut archive) = long_broadcast();
    archive.trim(MediaTime::from_millis(30_000));
    let trimmed = text(&archive, &window, None);
    assert!(trimmed.contains("#EXT-X-DISCONTINUITY-SEQUENCE:0\n"), "{trimmed}");
    assert_eq!(trimmed.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    archive.trim(MediaTime::from_millis(20_500));
    let trimmed = text(&archive, &window, None);
    assert!(trimmed.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{trimmed}");
    assert_eq!(trimmed.matches("#EXT-X-DISCONTINUITY\n").count(), 0);
}

#[test]
fn what_is_lost_is_a_gap() {
    let (window, mut archive) = long_broadcast();
    let mut lost = archive.segment(MediaSequence(105)).unwrap().as_ref().clone();
    lost.pieces[0].size = None;
    archive.apply(&Record::Segment(lost)).unwrap();
    assert!(text(&archive, &window, None).contains("#EXT-X-GAP\n#EXTINF:2.000000,\n03030303-105.m4s\n"));
}

/// Sound that comes with the second period: there is no init segment of it in the first one.
#[test]
fn a_period_without_the_rendition_is_a_gap_and_names_no_init_segment() {
    let silent = ladder().into_iter().filter(|rendition| rendition.id != id("audio")).collect();
    let first = Plan { renditions: silent, ..Plan::steady(0, 30_000) };
    let (window, archive) = followed(&[first, Plan::steady(5_000, 30_000)]);
    let list = dvr(&archive, &window, &id("audio"), MediaOptions::default()).unwrap();
    let inits: Vec<_> =
        list.lines().filter_map(|line| line.split("init-").nth(1)?.strip_suffix(".mp4\"")).collect();
    let second = archive.periods().last().unwrap().first_sequence;
    assert_eq!(inits, [second.to_string()]);
    assert!(archive.init(&id("audio"), second).is_some());
    assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    let before = list.split("#EXT-X-MAP").next().unwrap();
    assert!(
        before.matches(".m4s").count() > 10
            && before.matches(".m4s").count() == before.matches("#EXT-X-GAP").count()
    );
}

#[test]
fn what_does_not_reach_the_window_is_not_listed() {
    let (window, archive) = long_broadcast();
    let mut early = Archive::new(archive.broadcast(), archive.settings(), 0);
    for record in archive.records().iter().take(10) {
        early.apply(record).unwrap();
    }
    let live = media(&window, &id("720p"), MediaOptions::default()).unwrap();
    assert_eq!(text(&early, &window, None), live.replace("/index.m3u8", "/dvr.m3u8"));
}
