//! Output of a worker, as it is and as an independent reader (ffprobe) sees it.

use std::collections::BTreeMap;
use std::process::Command;

use headwater_hls::Packager;
use headwater_media::{MediaEvent, MediaTime, PeriodStart, Rendition, RenditionKind};
use headwater_transcode::{Report, Stats};

pub struct Output {
    pub periods: Vec<PeriodStart>,
    pub parts: Vec<Part>,
    /// Rendition and number of each segment that was ended.
    pub ended: Vec<(String, u64)>,
    pub stats: Vec<Stats>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    pub period: usize,
    pub rendition: String,
    pub sequence: u64,
    pub index: u32,
    pub start: MediaTime,
    pub duration: MediaTime,
    pub independent: bool,
    pub bytes: bytes::Bytes,
}

impl Output {
    /// Packages the frames as a server does it, and takes what it makes of them.
    pub fn new(reports: Vec<Report>) -> Self {
        let mut output = Self { periods: vec![], parts: vec![], ended: vec![], stats: vec![] };
        let mut packager = Packager::default();
        for report in reports {
            let made = match report {
                Report::Stats(stats) => {
                    output.stats.push(stats);
                    continue;
                }
                Report::PeriodStart(start) => {
                    packager.begin(&start).expect("the period before has ended");
                    output.periods.push(start);
                    continue;
                }
                Report::Frame(frame) => packager.push(frame),
                Report::RenditionEnd(rendition) => packager.end(rendition),
            };
            made.expect("frames and ends fit").into_iter().for_each(|event| output.take(event));
        }
        output
    }

    fn take(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::SegmentEnd { rendition, sequence } => {
                self.ended.push((rendition.to_string(), sequence.0));
            }
            MediaEvent::Part { rendition, sequence, index, start, duration, independent, bytes } => {
                let period = self.periods.len().checked_sub(1).expect("a period starts before its parts");
                let rendition = rendition.to_string();
                let sequence = sequence.0;
                let index = index.0;
                self.parts.push(Part {
                    period,
                    rendition,
                    sequence,
                    index,
                    start,
                    duration,
                    independent,
                    bytes,
                });
            }
            event => panic!("a packager does not make {event:?}"),
        }
    }

    pub fn renditions(&self, period: usize) -> Vec<Rendition> {
        self.periods[period].renditions.iter().map(|(rendition, _)| rendition.clone()).collect()
    }

    pub fn names(&self, period: usize) -> Vec<String> {
        self.renditions(period).iter().map(|rendition| rendition.id.to_string()).collect()
    }

    pub fn video_names(&self, period: usize) -> Vec<String> {
        let is_video = |rendition: &Rendition| matches!(rendition.kind, RenditionKind::Video { .. });
        let videos = self.renditions(period).into_iter().filter(is_video);
        videos.map(|rendition| rendition.id.to_string()).collect()
    }

    pub fn parts_of(&self, period: usize, rendition: &str) -> Vec<&Part> {
        self.parts.iter().filter(|part| part.period == period && part.rendition == rendition).collect()
    }

    /// Init segment and every part: a file.
    pub fn file(&self, period: usize, rendition: &str) -> Vec<u8> {
        let inits = &self.periods[period].renditions;
        let (_, init) =
            inits.iter().find(|(known, _)| known.id.as_str() == rendition).expect("it has an init segment");
        let parts = self.parts_of(period, rendition).into_iter().flat_map(|part| part.bytes.to_vec());
        init.iter().copied().chain(parts).collect()
    }

    /// The presentation times in seconds that ffprobe finds, after decoding everything without an error.
    pub fn decoded_times(&self, period: usize, rendition: &str) -> Vec<f64> {
        probe(&self.file(period, rendition), "frame=pts_time:frame_side_data=")
    }

    /// The times in seconds of the frames as they are stored.
    pub fn stored_times(&self, period: usize, rendition: &str) -> Vec<f64> {
        probe(&self.file(period, rendition), "packet=pts_time:packet_side_data=")
    }

    /// Everything that must hold for every output.
    pub fn check(&self) {
        for period in 0..self.periods.len() {
            for name in self.names(period) {
                self.check_rendition(period, &name);
            }
            self.check_alignment(period);
        }
        self.check_sequences();
    }

    fn check_rendition(&self, period: usize, name: &str) {
        let parts = self.parts_of(period, name);
        assert!(!parts.is_empty(), "{name} has no parts");
        for pair in parts.windows(2) {
            let part = pair[0];
            let next = pair[1];
            assert_eq!(
                part.start + part.duration,
                next.start,
                "{name} {}.{} has a seam",
                part.sequence,
                part.index
            );
            let follows = (part.sequence, part.index + 1) == (next.sequence, next.index);
            let begins = (part.sequence + 1, 0) == (next.sequence, next.index);
            assert!(
                follows || begins,
                "{name}: {}.{} after {}.{}",
                next.sequence,
                next.index,
                part.sequence,
                part.index
            );
            assert!((1..=351_000).contains(&part.duration.0), "{name}: a part of {}", part.duration);
        }
        for part in parts {
            let in_band = name != "audio" && nal_types(&part.bytes).any(|kind| matches!(kind, 7 | 8));
            assert!(!in_band, "{name} {}.{} carries parameter sets", part.sequence, part.index);
            assert!(
                part.independent || part.index > 0,
                "{name} {} does not begin with a keyframe",
                part.sequence
            );
            assert!(
                self.ended.contains(&(name.to_owned(), part.sequence)),
                "{name} {} has no end",
                part.sequence
            );
        }
    }

    /// Same numbers in every rendition, and the same cuts in every rendition of the pictures.
    fn check_alignment(&self, period: usize) {
        let numbers = |name: &String| {
            let mut numbers: Vec<_> = self.parts_of(period, name).iter().map(|part| part.sequence).collect();
            numbers.dedup();
            numbers
        };
        let names = self.names(period);
        for pair in names.windows(2) {
            assert_eq!(numbers(&pair[0]), numbers(&pair[1]), "{} and {}", pair[0], pair[1]);
        }
        for pair in self.video_names(period).windows(2) {
            assert_eq!(
                self.cuts(period, &pair[0]),
                self.cuts(period, &pair[1]),
                "{} and {}",
                pair[0],
                pair[1]
            );
        }
    }

    fn check_sequences(&self) {
        let mut last = BTreeMap::new();
        for part in &self.parts {
            let before = last.insert(part.rendition.clone(), part.sequence).unwrap_or(part.sequence);
            assert!(part.sequence == before || part.sequence == before + 1, "{} skips", part.rendition);
        }
        for pair in self.periods.windows(2) {
            assert!(pair[0].first_sequence < pair[1].first_sequence);
        }
    }

    /// Number, index, start, duration of every part.
    pub fn cuts(&self, period: usize, rendition: &str) -> Vec<(u64, u32, MediaTime, MediaTime)> {
        let parts = self.parts_of(period, rendition);
        parts.into_iter().map(|part| (part.sequence, part.index, part.start, part.duration)).collect()
    }
}

fn probe(file: &[u8], entries: &str) -> Vec<f64> {
    let path = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(path.path(), file).unwrap();
    let output = Command::new("ffprobe")
        .args(["-hide_banner", "-loglevel", "warning", "-of", "default=nk=1:nw=1", "-show_entries", entries])
        .arg(path.path())
        .output()
        .expect("ffprobe must be installed for these tests");
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| line.parse().expect(line)).collect()
}

/// Decodes a file with ffmpeg, timestamps kept as they are; the time before the first frame is dropped.
pub fn decode(file: &[u8], arguments: &str) -> Vec<u8> {
    let path = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(path.path(), file).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-i"])
        .arg(path.path())
        .args(arguments.split_whitespace())
        .arg("-")
        .output()
        .expect("ffmpeg must be installed for these tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The types of the NAL units of a chunk of H.264, whose access units follow each other in its `mdat`.
fn nal_types(chunk: &[u8]) -> impl Iterator<Item = u8> {
    let length = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let mut rest = &chunk[length(chunk) + 8..];
    std::iter::from_fn(move || {
        let nal = rest.get(4..)?.first()? & 0x1f;
        rest = &rest[4 + length(rest)..];
        Some(nal)
    })
}
