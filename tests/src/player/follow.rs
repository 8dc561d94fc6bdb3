//! Following a stream to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::playlist::{Media, Multivariant, Segment};
use super::rules;
use crate::http::{self, Answer};
use crate::wait;

/// A player on one origin, or on several that a load balancer sends it to.
pub struct Player {
    /// `http://host:port/stream`, without a slash at the end. The first one that answers is used.
    bases: Vec<String>,
    is_patient: bool,
}

/// Everything that a viewer was shown.
#[derive(Debug)]
pub struct Shown {
    pub multivariant: Multivariant,
    /// By name of the rendition.
    pub renditions: BTreeMap<String, ShownRendition>,
}

#[derive(Debug, Default)]
pub struct ShownRendition {
    pub segments: BTreeMap<u64, ShownSegment>,
    /// The last playlist.
    pub playlist: Media,
    /// How often it had to go on at another origin.
    pub moves: usize,
    /// The longest time from one reload with something new to the next.
    pub longest_wait: Duration,
}

#[derive(Clone, Debug)]
pub struct ShownSegment {
    pub init: Bytes,
    pub bytes: Bytes,
    pub duration: f64,
    pub discontinuity: bool,
}

impl Player {
    pub fn new(origin: &str, stream: &str) -> Self {
        Self { bases: vec![format!("{origin}/{stream}")], is_patient: false }
    }

    /// A player that goes on at the next of these origins when one does not answer, as behind a load balancer.
    pub fn balanced(origins: &[String], stream: &str) -> Self {
        let bases = origins.iter().map(|origin| format!("{origin}/{stream}")).collect();
        Self { bases, is_patient: false }
    }

    /// It asks again when a playlist that it waits for does not come in time, as players do. Without this, a broadcast has
    /// to go on all the time.
    pub fn patient(self) -> Self {
        Self { is_patient: true, ..self }
    }

    /// Waits until the stream is live and gives its multivariant playlist.
    pub async fn wait_live(&self, limit: Duration) -> Result<Multivariant> {
        let url = format!("{}/live.m3u8", self.bases[0]);
        wait::until(&format!("{url} to be live"), limit, || async {
            let answer = http::get(&url).await.ok()?;
            (answer.status == 200).then(|| Multivariant::parse(answer.text()))
        })
        .await?
    }

    /// A rendition's playlist as it is now.
    pub async fn playlist(&self, rendition: &str) -> Result<Media> {
        let url = format!("{}/{rendition}/index.m3u8", self.bases[0]);
        Media::parse(http::get(&url).await?.ok(&url)?.text())
    }

    /// Waits until a rendition's playlist lists so many whole segments.
    pub async fn wait_segments(&self, rendition: &str, count: usize, limit: Duration) -> Result<()> {
        let is_whole = |segment: &&Segment| segment.uri.is_some();
        wait::until(&format!("{count} segments of {rendition}"), limit, || async {
            let media = self.playlist(rendition).await.ok()?;
            (media.segments.iter().filter(is_whole).count() >= count).then_some(())
        })
        .await
    }

    /// Waits until a rendition's playlist has come to this segment.
    pub async fn wait_sequence(&self, rendition: &str, sequence: u64, limit: Duration) -> Result<()> {
        wait::until(&format!("segment {sequence} of {rendition}"), limit, || async {
            let media = self.playlist(rendition).await.ok()?;
            (media.next().0 >= sequence).then_some(())
        })
        .await
    }

    /// Plays every rendition from the first segment in the playlist to `EXT-X-ENDLIST`.
    pub async fn watch(&self) -> Result<Shown> {
        self.wait_live(Duration::from_secs(20)).await?;
        let mut route = Route { bases: self.bases.clone(), moves: 0 };
        let mut tasks = JoinSet::new();
        for uri in route.multivariant().await?.playlists() {
            let (name, playlist) = uri.split_once('/').with_context(|| format!("{uri} has no rendition"))?;
            let name = name.to_owned();
            let playlist = playlist.to_owned();
            let route = route.below(&name);
            let is_patient = self.is_patient;
            let following = Following { route, is_patient, ..Default::default() };
            tasks.spawn(async move {
                let shown = following.follow(&playlist).await.with_context(|| format!("rendition {name}"))?;
                anyhow::Ok((name, shown))
            });
        }
        let mut renditions = BTreeMap::new();
        while let Some(done) = tasks.join_next().await {
            renditions.extend([done??]);
        }
        Ok(Shown { multivariant: route.multivariant().await?, renditions })
    }
}

#[derive(Default)]
struct Following {
    route: Route,
    is_patient: bool,
    last: Option<Media>,
    inits: BTreeMap<String, Bytes>,
    parts: BTreeMap<(u64, usize), Bytes>,
    segments: BTreeMap<u64, ShownSegment>,
    /// How many of the route's moves were looked into.
    compared: usize,
    /// The last part that was listed, as its segment and its place in there, and when it was new.
    newest: Option<(u64, usize)>,
    heard: Option<Instant>,
    longest_wait: Duration,
}

impl Following {
    async fn follow(mut self, playlist: &str) -> Result<ShownRendition> {
        let mut uri = playlist.to_owned();
        loop {
            let answer = self.route.get(&uri).await?;
            // It was held as long as a reload may be (RFC 8216bis §6.2.5.2), so this is no busy loop.
            if self.is_patient && self.last.is_some() && answer.status == 503 {
                continue;
            }
            let answer = answer.ok(&uri)?;
            let media = Media::parse(answer.text()).with_context(|| answer.text().to_owned())?;
            self.take(&media).await.with_context(|| answer.text().to_owned())?;
            self.measure(&media);
            if media.ended {
                let segments = self.segments;
                let moves = self.route.moves;
                let longest_wait = self.longest_wait;
                return Ok(ShownRendition { segments, playlist: media, moves, longest_wait });
            }
            let (sequence, part) = media.next();
            uri = format!("{playlist}?_HLS_msn={sequence}&_HLS_part={part}");
            self.last = Some(media);
        }
    }

    /// Only a part is something new: the last segment is closed when the reconnect window is over.
    fn measure(&mut self, media: &Media) {
        let newest = media.segments.iter().rev().find(|segment| !segment.parts.is_empty());
        let newest = newest.map(|segment| (segment.sequence, segment.parts.len()));
        if newest > self.newest {
            let now = Instant::now();
            let waited = self.heard.replace(now).map_or(Duration::ZERO, |heard| now - heard);
            self.longest_wait = self.longest_wait.max(waited);
            self.newest = newest;
        }
    }

    async fn take(&mut self, media: &Media) -> Result<()> {
        rules::check(media)?;
        self.compare().await?;
        if let Some(last) = &self.last {
            rules::check_update(last, media)?;
            ensure!(
                media.next() > last.next() || media.ended,
                "the reload did not block until there was more"
            );
        }
        for segment in &media.segments {
            self.take_segment(segment).await?;
        }
        self.check_reports(media)
    }

    async fn take_segment(&mut self, segment: &Segment) -> Result<()> {
        if !self.inits.contains_key(&segment.map) {
            let init = self.fetch(&segment.map).await?;
            self.inits.insert(segment.map.clone(), init);
        }
        for (index, part) in segment.parts.iter().enumerate() {
            if !self.parts.contains_key(&(segment.sequence, index)) {
                let bytes = self.fetch(&part.uri).await?;
                self.parts.insert((segment.sequence, index), bytes);
            }
        }
        match &segment.uri {
            Some(uri) if !self.segments.contains_key(&segment.sequence) => {
                self.take_whole(segment, uri).await
            }
            _ => Ok(()),
        }
    }

    async fn take_whole(&mut self, segment: &Segment, uri: &str) -> Result<()> {
        let bytes = self.fetch(uri).await?;
        let parts = self.parts.range((segment.sequence, 0)..(segment.sequence + 1, 0));
        let joined: Vec<u8> = parts.flat_map(|(_, part)| part.iter().copied()).collect();
        ensure!(segment.parts.is_empty() || joined == bytes, "segment {uri} is not its parts joined");
        if let Some((last, _)) = self.segments.last_key_value() {
            ensure!(last + 1 == segment.sequence, "segment {} follows {last}", segment.sequence);
        }
        let shown = ShownSegment {
            init: self.inits[&segment.map].clone(),
            bytes,
            duration: segment.duration,
            discontinuity: segment.discontinuity,
        };
        self.segments.insert(segment.sequence, shown);
        Ok(())
    }

    /// The renditions' own numbers may run ahead or behind by the time that it took to look, not more.
    fn check_reports(&self, media: &Media) -> Result<()> {
        let (own, _) = media.next();
        for report in &media.reports {
            let last: u64 = report.get("LAST-MSN").context("a report without LAST-MSN")?.parse()?;
            ensure!(
                last.abs_diff(own) <= 2,
                "a rendition report says {last} while this rendition is at {own}"
            );
        }
        Ok(())
    }

    /// After a move: what the last origin has advertised is there, too, and has the same bytes.
    async fn compare(&mut self) -> Result<()> {
        if self.compared == self.route.moves {
            return Ok(());
        }
        self.compared = self.route.moves;
        for segment in self.last.as_ref().map_or_else(Vec::new, |last| last.segments.clone()) {
            ensure!(self.fetch(&segment.map).await? == self.inits[&segment.map], "{} differs", segment.map);
            for (index, part) in segment.parts.iter().enumerate() {
                let same = self.fetch(&part.uri).await? == self.parts[&(segment.sequence, index)];
                ensure!(same, "{} differs between the origins", part.uri);
            }
            if let Some(uri) = &segment.uri {
                let same = self.fetch(uri).await? == self.segments[&segment.sequence].bytes;
                ensure!(same, "{uri} differs between the origins");
            }
        }
        Ok(())
    }

    /// Everything that a playlist names is there.
    async fn fetch(&mut self, uri: &str) -> Result<Bytes> {
        let answer = self.route.get(uri).await?;
        if answer.status != 200 {
            bail!("{uri} was advertised and answers {}: {}", answer.status, answer.text());
        }
        Ok(answer.body)
    }
}

/// Origins to fetch from: the one that is used, and those after it.
#[derive(Clone, Default)]
struct Route {
    bases: Vec<String>,
    moves: usize,
}

impl Route {
    fn below(&self, directory: &str) -> Self {
        let bases = self.bases.iter().map(|base| format!("{base}/{directory}")).collect();
        Self { bases, moves: self.moves }
    }

    /// An answer, whichever it is: an origin that does not answer is left for the next one.
    async fn get(&mut self, uri: &str) -> Result<Answer> {
        loop {
            match http::get(&format!("{}/{uri}", self.bases[0])).await {
                Ok(answer) => return Ok(answer),
                Err(error) if self.bases.len() == 1 => return Err(error),
                Err(_) => {
                    self.bases.remove(0);
                    self.moves += 1;
                }
            }
        }
    }

    async fn multivariant(&mut self) -> Result<Multivariant> {
        Multivariant::parse(self.get("live.m3u8").await?.ok("live.m3u8")?.text())
    }
}
