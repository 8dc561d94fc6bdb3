//! DASH presentations as a client reads them (ISO/IEC 23009-1 §5.3). Written apart from the code that renders them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::http;
use crate::player::{ShownRendition, ShownSegment};

/// A presentation as it stands.
#[derive(Debug, Default)]
pub struct Presentation {
    /// Whether more may come.
    pub is_dynamic: bool,
    /// In the order of the periods.
    pub segments: Vec<Segment>,
}

/// A segment that a presentation says is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub period: usize,
    pub rendition: String,
    pub init: String,
    pub media: String,
}

/// `SegmentTemplate` with its `SegmentTimeline` (§5.3.9.4.4, §5.3.9.6).
#[derive(Clone, Default)]
struct Template {
    /// The number of the first segment, where segments are numbered.
    start: u64,
    media: String,
    init: String,
    /// When each segment that is listed starts, in ticks. One that repeats until the end of the period (`r="-1"`) is not
    /// there yet.
    times: Vec<u64>,
    /// End of the last one.
    end: u64,
}

impl Presentation {
    pub async fn get(url: &str) -> Result<Self> {
        Self::parse(http::get(url).await?.ok(url)?.text()).with_context(|| url.to_owned())
    }

    pub fn parse(text: &str) -> Result<Self> {
        let mut reader = Reader::from_str(text);
        let mut found = Self::default();
        let mut periods = 0;
        let mut shared = None::<Template>;
        let mut own = None::<Template>;
        let mut representation = None::<String>;
        loop {
            let event = reader.read_event()?;
            let is_empty = matches!(event, Event::Empty(_));
            match event {
                Event::Start(start) | Event::Empty(start) => match start.name().as_ref() {
                    "MPD" => found.is_dynamic = attribute(&start, "type")? == Some("dynamic".into()),
                    "Period" => periods += 1,
                    "AdaptationSet" => shared = None,
                    "Representation" => {
                        representation = attribute(&start, "id")?;
                        own = None;
                        if is_empty {
                            found.list(periods, representation.take(), shared.as_ref())?;
                        }
                    }
                    "SegmentTemplate" => {
                        let template = Some(Template::new(&start)?);
                        match representation {
                            Some(_) => own = template,
                            None => shared = template,
                        }
                    }
                    "S" => {
                        let template = own.as_mut().or(shared.as_mut()).context("S without a template")?;
                        template.add(&start)?;
                    }
                    _ => {}
                },
                Event::End(end) if end.name().as_ref() == "Representation" => {
                    found.list(periods, representation.take(), own.as_ref().or(shared.as_ref()))?;
                }
                Event::Eof => break,
                _ => {}
            }
        }
        ensure!(periods > 0, "no period in {text}");
        Ok(found)
    }

    fn list(&mut self, period: usize, rendition: Option<String>, template: Option<&Template>) -> Result<()> {
        let (Some(rendition), Some(template)) = (rendition, template) else {
            bail!("a representation without an id or a template")
        };
        for (number, time) in (template.start..).zip(&template.times) {
            let named = |text: &str| {
                let text =
                    text.replace("$RepresentationID$", &rendition).replace("$Number$", &number.to_string());
                text.replace("$Time$", &time.to_string())
            };
            let init = named(&template.init);
            let media = named(&template.media);
            self.segments.push(Segment { period, rendition: rendition.clone(), init, media });
        }
        Ok(())
    }

    /// The last segment that is listed.
    pub fn newest(&self) -> Option<&Segment> {
        self.segments.last()
    }

    /// Fetches everything that is listed below `base`, which ends with a slash.
    pub async fn fetch(&self, base: &str) -> Result<BTreeMap<String, ShownRendition>> {
        let mut shown = BTreeMap::<String, ShownRendition>::new();
        let mut inits = BTreeMap::new();
        let mut last = BTreeMap::new();
        for segment in &self.segments {
            let Segment { period, rendition, init, media } = segment;
            if !inits.contains_key(init) {
                let url = format!("{base}{init}");
                inits.insert(init, http::get(&url).await?.ok(&url)?.body);
            }
            let url = format!("{base}{media}");
            let bytes = http::get(&url).await?.ok(&url)?.body;
            let discontinuity = last.insert(rendition, period).is_some_and(|last| last != period);
            let segment = ShownSegment { init: inits[init].clone(), bytes, duration: 0.0, discontinuity };
            let others = &mut shown.entry(rendition.clone()).or_default().segments;
            others.insert(others.len() as u64, segment);
        }
        Ok(shown)
    }
}

impl Template {
    fn new(start: &BytesStart<'_>) -> Result<Self> {
        let text = |name| attribute(start, name)?.with_context(|| format!("no {name}"));
        Ok(Self {
            start: attribute(start, "startNumber")?.map_or(Ok(1), |text| text.parse())?,
            media: text("media")?,
            init: text("initialization")?,
            ..Self::default()
        })
    }

    /// Adds the segments of one `S`.
    fn add(&mut self, row: &BytesStart<'_>) -> Result<()> {
        let number = |name| {
            attribute(row, name)?.map(|text| text.parse::<i64>()).transpose().map_err(anyhow::Error::from)
        };
        let duration = u64::try_from(number("d")?.context("a duration")?)?;
        if let Some(start) = number("t")? {
            self.end = u64::try_from(start)?;
        }
        for _ in 0..=number("r")?.unwrap_or(0) {
            self.times.push(self.end);
            self.end += duration;
        }
        Ok(())
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    for found in element.attributes() {
        let found = found?;
        if found.key.as_ref() == name {
            return Ok(Some(found.normalized_value(XmlVersion::Implicit1_0)?.into_owned()));
        }
    }
    Ok(None)
}
