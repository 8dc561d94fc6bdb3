//! Rules for a media playlist and for two of them, one after the other.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

use super::playlist::{Media, Segment};

/// Durations are printed to the microsecond.
const ROUNDING: f64 = 2e-6;

/// Rules for one playlist (RFC 8216bis).
pub fn check(media: &Media) -> Result<()> {
    ensure!(media.version >= 9, "§8: delta updates and parts need version 9");
    ensure!(media.target_duration > 0, "§4.4.3.1: EXT-X-TARGETDURATION is required");
    ensure!(
        media.part_hold_back >= 3.0 * media.part_target - ROUNDING,
        "§4.4.3.8: PART-HOLD-BACK is too short"
    );
    ensure!(
        media.ended != media.preload_hint.is_some(),
        "a hint is given exactly while there will be a next part"
    );
    for segment in &media.segments {
        check_segment(media, segment).with_context(|| format!("segment {}", segment.sequence))?;
    }
    Ok(())
}

fn check_segment(media: &Media, segment: &Segment) -> Result<()> {
    ensure!(!segment.map.is_empty(), "§4.4.4.5: fragmented MP4 needs an EXT-X-MAP");
    for (index, part) in segment.parts.iter().enumerate() {
        ensure!(
            part.duration <= media.part_target + ROUNDING,
            "§4.4.4.9: part {index} lasts {}",
            part.duration
        );
        let last = index + 1 == segment.parts.len();
        ensure!(
            last || part.duration >= 0.85 * media.part_target,
            "§4.4.4.9: part {index} lasts {}",
            part.duration
        );
    }
    if segment.uri.is_some() {
        ensure!(segment.duration.round() as u64 <= media.target_duration, "§4.4.3.1: {}", segment.duration);
        let sum: f64 = segment.parts.iter().map(|part| part.duration).sum();
        let off = (sum - segment.duration).abs();
        ensure!(
            segment.parts.is_empty() || off < ROUNDING * segment.parts.len() as f64,
            "parts add up to {sum}, not {}",
            segment.duration
        );
    }
    Ok(())
}

/// Rules for two playlists of one rendition, the second one fetched later.
pub fn check_update(before: &Media, after: &Media) -> Result<()> {
    ensure!(after.target_duration == before.target_duration, "§6.2.1: the target duration must not change");
    ensure!(after.part_target == before.part_target, "the part target must not change");
    ensure!(after.media_sequence >= before.media_sequence, "§6.2.2: the media sequence went back");
    ensure!(
        after.discontinuity_sequence >= before.discontinuity_sequence,
        "§6.2.2: the discontinuity sequence went back"
    );
    ensure!(after.next() >= before.next(), "media that was there has gone");
    ensure!(!before.ended || after.ended, "§6.2.1: EXT-X-ENDLIST is final");
    check_removed(before, after)?;
    let old: HashMap<_, _> = before.segments.iter().map(|segment| (segment.sequence, segment)).collect();
    for segment in &after.segments {
        let Some(old) = old.get(&segment.sequence) else { continue };
        check_same(old, segment).with_context(|| format!("segment {}", segment.sequence))?;
    }
    Ok(())
}

/// The discontinuity sequence counts the discontinuities that have left the playlist (§6.2.2).
fn check_removed(before: &Media, after: &Media) -> Result<()> {
    let removed = before.segments.iter().filter(|segment| segment.sequence < after.media_sequence);
    let gone = removed.filter(|segment| segment.discontinuity).count() as u64;
    let unseen = after.media_sequence > before.next().0 + 1;
    let grown = after.discontinuity_sequence - before.discontinuity_sequence;
    ensure!(unseen || grown == gone, "§6.2.2: {gone} discontinuities left, the sequence grew by {grown}");
    Ok(())
}

fn check_same(old: &Segment, new: &Segment) -> Result<()> {
    ensure!(new.map == old.map && new.discontinuity == old.discontinuity, "§6.2.1: it was changed");
    ensure!(
        old.uri.is_none() || (new.uri == old.uri && new.duration == old.duration),
        "§6.2.1: it was changed"
    );
    let common = old.parts.len().min(new.parts.len());
    ensure!(new.parts.is_empty() || new.parts.len() >= old.parts.len(), "parts have gone");
    ensure!(new.parts[..common] == old.parts[..common], "its parts were changed");
    Ok(())
}
