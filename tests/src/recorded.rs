//! A recording as it is in a directory that is the store, read apart from the code that writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::content;
use crate::player::{Multivariant, ShownRendition, ShownSegment};

/// A finished recording.
#[derive(Debug)]
pub struct Recorded {
    /// State in its summary: `complete` or `interrupted`.
    pub state: String,
    /// By name.
    pub renditions: BTreeMap<String, ShownRendition>,
    /// All files that playlists name, themselves included.
    files: BTreeSet<PathBuf>,
    /// Whether playlists may name segments that are missing (`EXT-X-GAP`).
    may_have_gaps: bool,
}

impl Recorded {
    /// The only recording of a stream; none while it is not finished.
    pub fn finished(store: &Path, stream: &str) -> Result<Option<Self>> {
        if Self::is_marked(store, stream) {
            Ok(None)
        } else {
            Self::read(&store.join(stream), false).map(Some)
        }
    }

    /// The same, where segments may be missing, and are left out.
    pub fn finished_with_gaps(store: &Path, stream: &str) -> Result<Option<Self>> {
        if Self::is_marked(store, stream) {
            Ok(None)
        } else {
            Self::read(&store.join(stream), true).map(Some)
        }
    }

    /// Whether a recording of the stream is unfinished.
    fn is_marked(store: &Path, stream: &str) -> bool {
        let marks = store.join(".live").join(stream);
        std::fs::read_dir(marks).is_ok_and(|mut marks| marks.next().is_some())
    }

    /// The playlists of the only recording of a stream, as they are now.
    pub fn playlists(store: &Path, stream: &str) -> Result<BTreeMap<String, String>> {
        let directory = store.join(stream);
        let (_, text) = multivariant(&directory)?;
        let mut texts = BTreeMap::new();
        for uri in Multivariant::parse(&text)?.playlists() {
            let text = std::fs::read_to_string(directory.join(&uri))?;
            texts.insert(uri, text);
        }
        texts.insert("multivariant".into(), text);
        Ok(texts)
    }

    fn read(directory: &Path, may_have_gaps: bool) -> Result<Self> {
        let (path, text) = multivariant(directory)?;
        let (state, renditions) = Default::default();
        let mut recorded = Self { state, renditions, files: [path].into(), may_have_gaps };
        for uri in Multivariant::parse(&text)?.playlists() {
            let file = directory.join(&uri);
            let name = Path::new(&uri).parent().and_then(Path::file_name).context("a rendition")?;
            let rendition = recorded.rendition(&file).with_context(|| file.display().to_string())?;
            recorded.renditions.insert(name.to_string_lossy().into_owned(), rendition);
            let summary = file.parent().and_then(Path::parent).context("a recording")?.join("recording.json");
            let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(summary)?)?;
            recorded.state = summary["state"].as_str().context("a state")?.to_owned();
        }
        Ok(recorded)
    }

    /// Reads a media playlist by hand: it must be complete, and everything that it names must be there.
    fn rendition(&mut self, file: &Path) -> Result<ShownRendition> {
        let text = std::fs::read_to_string(file)?;
        let directory = file.parent().context("a directory")?;
        ensure!(text.contains("#EXT-X-PLAYLIST-TYPE:VOD\n") && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
        ensure!(self.may_have_gaps || !text.contains("EXT-X-GAP"), "something is missing: {text}");
        let target: f64 = field(&text, "#EXT-X-TARGETDURATION:").context("a target duration")?.parse()?;
        let mut rendition = ShownRendition::default();
        let mut init = Bytes::new();
        let mut duration = 0.0;
        let mut discontinuity = false;
        let mut longest: f64 = 0.0;
        let mut is_gap = false;
        for line in text.lines() {
            if let Some(uri) = field(line, "#EXT-X-MAP:URI=\"") {
                init = self.file(directory, uri.trim_end_matches('"'))?;
            } else if let Some(length) = field(line, "#EXTINF:") {
                duration = length.trim_end_matches(',').parse()?;
                longest = longest.max(duration);
            } else if line == "#EXT-X-DISCONTINUITY" {
                discontinuity = true;
            } else if line == "#EXT-X-GAP" {
                is_gap = true;
            } else if !line.starts_with('#') && std::mem::take(&mut is_gap) {
                continue;
            } else if !line.starts_with('#') {
                let sequence = line.strip_suffix(".m4s").context("a segment")?.parse()?;
                let segment = ShownSegment {
                    init: init.clone(),
                    bytes: self.file(directory, line)?,
                    duration,
                    discontinuity,
                };
                ensure!(rendition.segments.insert(sequence, segment).is_none(), "{sequence} is there twice");
                discontinuity = false;
            }
        }
        ensure!(target == longest.round(), "the longest segment has {longest} s, and the target is {target}");
        self.files.insert(file.into());
        Ok(rendition)
    }

    fn file(&mut self, directory: &Path, name: &str) -> Result<Bytes> {
        let path = directory.join(name);
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        self.files.insert(path);
        Ok(bytes.into())
    }

    /// The numbers of the pictures of each timeline of a rendition.
    pub async fn numbers(&self, directory: &Path, name: &str) -> Result<Vec<Vec<u32>>> {
        let rendition = self.renditions.get(name).with_context(|| format!("there is no rendition {name}"))?;
        content::numbers(directory, &format!("recorded-{name}"), rendition).await
    }

    /// Every object is what it should be, from its first box to its last.
    pub fn everything_is_whole(&self) -> Result<()> {
        for (name, rendition) in &self.renditions {
            for (sequence, segment) in &rendition.segments {
                let kinds = boxes(&segment.bytes).with_context(|| format!("{name} {sequence}"))?;
                let chunks: Vec<_> = kinds.iter().filter(|kind| *kind == "moof" || *kind == "mdat").collect();
                let alternate =
                    chunks.chunks(2).all(|chunk| matches!(chunk, [a, b] if *a == "moof" && *b == "mdat"));
                ensure!(!chunks.is_empty() && alternate, "{name} {sequence} has {kinds:?}");
                let init = boxes(&segment.init)?;
                ensure!(init == ["ftyp", "moov"], "the init segment of {name} {sequence} has {init:?}");
            }
        }
        Ok(())
    }

    /// The store has no media that no playlist names.
    pub fn nothing_else(&self, store: &Path) -> Result<()> {
        for path in files(store)? {
            let end = path.extension().map(|end| end.to_string_lossy().into_owned()).unwrap_or_default();
            let is_media = matches!(end.as_str(), "m4s" | "mp4" | "m3u8");
            ensure!(!is_media || self.files.contains(&path), "nobody names {}", path.display());
        }
        Ok(())
    }
}

/// The only multivariant playlist of a stream.
fn multivariant(directory: &Path) -> Result<(PathBuf, String)> {
    let entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let is_it = |path: &PathBuf| path.extension().is_some_and(|end| end == "m3u8");
    let mut found: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(is_it).collect();
    ensure!(found.len() == 1, "there are {found:?}");
    let path = found.remove(0);
    let text = std::fs::read_to_string(&path)?;
    Ok((path, text))
}

/// Text behind `name`, up to the end of its line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(name)?;
    rest.lines().next()
}

/// The kinds of the boxes that bytes consist of, to the last byte.
fn boxes(mut bytes: &[u8]) -> Result<Vec<String>> {
    let mut kinds = Vec::new();
    while !bytes.is_empty() {
        let head = bytes.get(..8).context("a box is cut off")?;
        let size = u32::from_be_bytes(head[..4].try_into()?) as usize;
        ensure!(size >= 8 && size <= bytes.len(), "a box of {size} bytes in {}", bytes.len());
        kinds.push(String::from_utf8_lossy(&head[4..]).into_owned());
        bytes = &bytes[size..];
    }
    Ok(kinds)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}
