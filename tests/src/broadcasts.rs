//! Broadcasts whose every picture is counted, and which server has them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_registry::{Ownership, Registry};

use crate::content;
use crate::player::{Shown, ShownRendition};
use crate::publish::Source;
use crate::stack::Stack;
use crate::wait;

/// Renditions that [`Plan::tiny`](crate::stack::Plan::tiny) makes of a [`tiny`] source.
pub const TINY_RENDITIONS: [&str; 2] = ["180p", "90p"];

/// A source for a tiny ladder. Without B-frames, so that wherever it is cut nothing is missing before the cut.
pub fn tiny(seconds: u32) -> Source {
    Source { width: 320, height: 180, b_frames: 0, seconds, ..Source::default() }
}

/// Owner of the stream, by the registry; waits for one that has told its broadcast.
pub async fn owner(registry: &dyn Registry, stream: &str, limit: Duration) -> Result<Ownership> {
    let stream = stream.parse().context("the name of a stream")?;
    wait::until("the stream to have an owner", limit, || async {
        registry.owner(&stream).await.ok().flatten().filter(|owner| owner.broadcast.is_some())
    })
    .await
}

/// Everything that was sent was shown once, in order, in one timeline, in every rendition.
pub async fn shown_in_one_go(stack: &Stack, shown: &Shown, sent: usize) -> Result<()> {
    for name in TINY_RENDITIONS {
        let numbers = content::numbers(stack.path(), name, rendition(shown, name)?).await?;
        ensure!(numbers.len() == 1, "{name} shows {} timelines", numbers.len());
        ensure!(numbers[0] == counted(sent), "{name} shows {:?}", numbers[0]);
    }
    let breaks = shown.renditions.values().flat_map(|rendition| rendition.segments.values());
    ensure!(!breaks.into_iter().any(|segment| segment.discontinuity), "there is a discontinuity");
    Ok(())
}

/// Two timelines with one discontinuity between them: the first as far as it was sent, but for its last `torn` pictures
/// perhaps, the second one whole.
pub async fn shown_in_two_parts(
    stack: &Stack,
    shown: &Shown,
    first: std::ops::RangeInclusive<usize>,
    second: usize,
) -> Result<()> {
    for name in TINY_RENDITIONS {
        let numbers = content::numbers(stack.path(), name, rendition(shown, name)?).await?;
        ensure!(numbers.len() == 2, "{name} shows {} timelines", numbers.len());
        ensure!(first.contains(&numbers[0].len()), "{name} shows {} of {first:?}", numbers[0].len());
        ensure!(numbers[0] == counted(numbers[0].len()), "{name} shows {:?} first", numbers[0]);
        ensure!(numbers[1] == counted(second), "{name} shows {:?} then", numbers[1]);
    }
    for (name, rendition) in &shown.renditions {
        let breaks = rendition.segments.values().filter(|segment| segment.discontinuity).count();
        ensure!(breaks == 1, "{name} has {breaks} discontinuities");
    }
    Ok(())
}

/// Two players were shown the same bytes, as far as both have a segment.
pub fn same_bytes(first: &Shown, second: &Shown) -> Result<()> {
    for (name, rendition) in &first.renditions {
        for (sequence, segment) in &rendition.segments {
            let Some(other) = second.renditions[name].segments.get(sequence) else { continue };
            ensure!(segment.bytes == other.bytes, "{name} {sequence} differs between the origins");
        }
    }
    Ok(())
}

/// Two players were shown the same, from beginning to end: what holds for one of them holds for both.
pub fn same(first: &Shown, second: &Shown) -> Result<()> {
    for (name, rendition) in &first.renditions {
        let one = &rendition.segments;
        let other = &second.renditions[name].segments;
        ensure!(one.keys().eq(other.keys()), "{name}: {:?} and {:?}", one.keys(), other.keys());
    }
    same_bytes(first, second)
}

fn rendition<'a>(shown: &'a Shown, name: &str) -> Result<&'a ShownRendition> {
    shown.renditions.get(name).with_context(|| format!("there is no rendition {name}"))
}

fn counted(sent: usize) -> Vec<u32> {
    (0..sent as u32).collect()
}
