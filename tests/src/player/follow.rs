//! Following a stream to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::playlist::{Media, Multivariant, Segment};
use super::rules;
use crate::http;
use crate::wait;

/// A player on one origin.
pub struct Player {
    /// `http://host:port/stream`, without a slash at the end.
    base: String,
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
        Self { base: format!("{origin}/{stream}") }
    }

    /// Waits until the stream is live and gives its multivariant playlist.
    pub async fn wait_live(&self, limit: Duration) -> Result<Multivariant> {
        let url = format!("{}/live.m3u8", self.base);
        wait::until(&format!("{url} to be live"), limit, || async {
            let answer = http::get(&url).await.ok()?;
            (answer.status == 200).then(|| Multivariant::parse(answer.text()))
        })
        .await?
    }

    /// Waits until a rendition's playlist lists so many whole segments.
    pub async fn wait_segments(&self, rendition: &str, count: usize, limit: Duration) -> Result<()> {
        let url = format!("{}/{rendition}/index.m3u8", self.base);
        wait::until(&format!("{count} segments in {url}"), limit, || async {
            let answer = http::get(&url).await.ok().filter(|answer| answer.status == 200)?;
            let media = Media::parse(answer.text()).ok()?;
            (media.segments.iter().filter(|segment| segment.uri.is_some()).count() >= count).then_some(())
        })
        .await
    }

    /// Plays every rendition from the first segment in the playlist to `EXT-X-ENDLIST`.
    pub async fn watch(&self) -> Result<Shown> {
        self.wait_live(Duration::from_secs(20)).await?;
        let first = http::get(&format!("{}/live.m3u8", self.base)).await?;
        let mut tasks = JoinSet::new();
        for uri in Multivariant::parse(first.text())?.playlists() {
            let (name, _) = uri.split_once('/').with_context(|| format!("{uri} has no rendition"))?;
            let (name, url) = (name.to_owned(), format!("{}/{}", self.base, uri));
            tasks.spawn(async move {
                let shown = follow(&url).await.with_context(|| format!("rendition {name}"))?;
                anyhow::Ok((name, shown))
            });
        }
        let mut renditions = BTreeMap::new();
        while let Some(done) = tasks.join_next().await {
            renditions.extend([done??]);
        }
        let last = http::get(&format!("{}/live.m3u8", self.base)).await?;
        Ok(Shown { multivariant: Multivariant::parse(last.text())?, renditions })
    }
}

async fn follow(url: &str) -> Result<ShownRendition> {
    let mut rendition =
        Following { base: url.rsplit_once('/').context("a URL")?.0.into(), ..Default::default() };
    let mut url_now = url.to_owned();
    loop {
        let answer = http::get(&url_now).await?.ok(&url_now)?;
        let media = Media::parse(answer.text()).with_context(|| answer.text().to_owned())?;
        rendition.take(&media).await.with_context(|| answer.text().to_owned())?;
        if media.ended {
            return Ok(ShownRendition { segments: rendition.segments, playlist: media });
        }
        let (sequence, part) = media.next();
        url_now = format!("{url}?_HLS_msn={sequence}&_HLS_part={part}");
        rendition.last = Some(media);
    }
}

#[derive(Default)]
struct Following {
    base: String,
    last: Option<Media>,
    inits: BTreeMap<String, Bytes>,
    parts: BTreeMap<(u64, usize), Bytes>,
    segments: BTreeMap<u64, ShownSegment>,
}

impl Following {
    async fn take(&mut self, media: &Media) -> Result<()> {
        rules::check(media)?;
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

    /// Everything that a playlist names is there.
    async fn fetch(&self, uri: &str) -> Result<Bytes> {
        let url = format!("{}/{uri}", self.base);
        let answer = http::get(&url).await?;
        if answer.status != 200 {
            bail!("{url} was advertised and answers {}: {}", answer.status, answer.text());
        }
        Ok(answer.body)
    }
}
