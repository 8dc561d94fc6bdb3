//! Routes: the resources that paths name. Every object has exactly one path: numbers are written without leading zeros, names hold only
//! characters that need no percent-encoding, so anything else is no route.

use std::str::FromStr;

use headwater_hls::{LiveObject, Object};
use headwater_media::{BroadcastId, MediaSequence, RenditionId, StreamId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Home,
    /// The player page.
    Page(StreamId),
    /// The player page with a slash too many, which would break its relative links.
    SlashedPage(StreamId),
    /// A file below `/assets/`.
    Asset(String),
    Multivariant(StreamId),
    /// The multivariant playlist with what is stored before the live window.
    Dvr(StreamId),
    /// The presentation for DASH players.
    Presentation(StreamId),
    /// The presentation with what is stored before the live window.
    DvrPresentation(StreamId),
    /// The time by the broadcast's clock, for players that measure their latency.
    UtcTiming(StreamId),
    Thumbnail(StreamId),
    /// The index of the storyboard.
    Storyboard(StreamId),
    /// A sheet of it.
    Sheet(StreamId, BroadcastId, u32),
    /// A picture of a recording.
    RecordedThumbnail(StreamId, BroadcastId),
    RecordedStoryboard(StreamId, BroadcastId),
    Rendition(StreamId, RenditionId, Resource),
    /// The newest recordings of a stream.
    Recordings(StreamId),
    /// Something of one recording.
    Recording(StreamId, BroadcastId, Recorded),
}

/// Resource of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Multivariant,
    /// The presentation for DASH players.
    Presentation,
    /// All of it in one file.
    Mp4,
    Playlist(RenditionId),
    Init(RenditionId, MediaSequence),
    Segment(RenditionId, MediaSequence),
}

/// Resource of a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Playlist(PlaylistScope),
    Object(LiveObject),
}

/// How far back a media playlist reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaylistScope {
    /// The live window.
    Window,
    /// The stored segments before the live window, too.
    Dvr,
}

impl Route {
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let mut names = path.splitn(4, '/');
        match (names.next()?, names.next(), names.next(), names.next()) {
            ("", None, ..) => Some(Self::Home),
            ("favicon.ico" | "robots.txt" | "assets", None, ..) => None,
            ("assets", Some(_), ..) => path.split_once('/').map(|(_, file)| Self::Asset(file.into())),
            (stream, None, ..) => stream.parse().ok().map(Self::Page),
            (stream, Some(""), None, _) => stream.parse().ok().map(Self::SlashedPage),
            (stream, Some("live.m3u8"), None, _) => stream.parse().ok().map(Self::Multivariant),
            (stream, Some("dvr.m3u8"), None, _) => stream.parse().ok().map(Self::Dvr),
            (stream, Some("live.mpd"), None, _) => stream.parse().ok().map(Self::Presentation),
            (stream, Some("dvr.mpd"), None, _) => stream.parse().ok().map(Self::DvrPresentation),
            (stream, Some("time"), None, _) => stream.parse().ok().map(Self::UtcTiming),
            (stream, Some("recordings.json"), None, _) => stream.parse().ok().map(Self::Recordings),
            (stream, Some("thumbnail.jpg"), None, _) => stream.parse().ok().map(Self::Thumbnail),
            (stream, Some("storyboard.vtt"), None, _) => stream.parse().ok().map(Self::Storyboard),
            (stream, Some(id), Some("thumbnail.jpg"), None) => {
                Some(Self::RecordedThumbnail(stream.parse().ok()?, broadcast(id)?))
            }
            (stream, Some(id), Some("storyboard.vtt"), None) => {
                Some(Self::RecordedStoryboard(stream.parse().ok()?, broadcast(id)?))
            }
            (stream, Some(id), Some("storyboard"), Some(file)) => {
                let sheet = number(file.strip_suffix(".jpg")?)?;
                Some(Self::Sheet(stream.parse().ok()?, broadcast(id)?, sheet))
            }
            (stream, Some(file), None, _) => {
                let (broadcast, whole) = Recorded::parse_whole(file)?;
                Some(Self::Recording(stream.parse().ok()?, broadcast, whole))
            }
            (stream, Some(id), Some(rendition), Some(file)) => {
                let recorded = Recorded::parse(rendition.parse().ok()?, file)?;
                Some(Self::Recording(stream.parse().ok()?, broadcast(id)?, recorded))
            }
            (stream, Some(rendition), Some(file), None) => {
                Some(Self::Rendition(stream.parse().ok()?, rendition.parse().ok()?, Resource::parse(file)?))
            }
        }
    }

    /// The label of metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Home | Self::Page(_) | Self::SlashedPage(_) => "page",
            Self::Asset(_) => "asset",
            Self::Multivariant(_) | Self::Dvr(_) => "multivariant",
            Self::Presentation(_) | Self::DvrPresentation(_) => "presentation",
            Self::UtcTiming(_) => "time",
            Self::Thumbnail(_) | Self::RecordedThumbnail(..) => "thumbnail",
            Self::Storyboard(_) | Self::RecordedStoryboard(..) | Self::Sheet(..) => "storyboard",
            Self::Recordings(_) => "recordings",
            Self::Recording(_, _, recorded) => recorded.kind(),
            Self::Rendition(_, _, Resource::Playlist(_)) => "playlist",
            Self::Rendition(_, _, Resource::Object(live)) => match live.object {
                Object::Init(_) => "init",
                Object::Segment(_) | Object::Timed(..) => "segment",
                Object::Part(..) => "part",
            },
        }
    }
}

impl Recorded {
    /// Parses the name of a resource of the whole recording: `vod-<broadcast>.<kind>`.
    fn parse_whole(file: &str) -> Option<(BroadcastId, Self)> {
        let (id, kind) = file.strip_prefix("vod-")?.split_once('.')?;
        let whole = match kind {
            "m3u8" => Self::Multivariant,
            "mpd" => Self::Presentation,
            "mp4" => Self::Mp4,
            _ => return None,
        };
        Some((broadcast(id)?, whole))
    }

    fn parse(rendition: RenditionId, file: &str) -> Option<Self> {
        if file == "index.m3u8" {
            return Some(Self::Playlist(rendition));
        }
        match Object::parse(file)? {
            Object::Init(first) => Some(Self::Init(rendition, first)),
            Object::Segment(sequence) => Some(Self::Segment(rendition, sequence)),
            Object::Part(..) | Object::Timed(..) => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Multivariant => "multivariant",
            Self::Presentation => "presentation",
            Self::Mp4 => "mp4",
            Self::Playlist(_) => "playlist",
            Self::Init(..) => "init",
            Self::Segment(..) => "segment",
        }
    }
}

/// A broadcast's id as this service writes it.
fn broadcast(text: &str) -> Option<BroadcastId> {
    text.parse::<BroadcastId>().ok().filter(|id| id.to_string() == text)
}

impl Resource {
    fn parse(file: &str) -> Option<Self> {
        match file {
            "index.m3u8" => Some(Self::Playlist(PlaylistScope::Window)),
            "dvr.m3u8" => Some(Self::Playlist(PlaylistScope::Dvr)),
            _ => LiveObject::parse(file).map(Self::Object),
        }
    }
}

/// A number as this service writes it.
fn number<T: FromStr + ToString>(text: &str) -> Option<T> {
    text.parse::<T>().ok().filter(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamId {
        "demo".parse().unwrap()
    }

    fn object(file: &str) -> Option<LiveObject> {
        match Route::parse(&format!("/demo/720p/{file}"))? {
            Route::Rendition(_, _, Resource::Object(object)) => Some(object),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_name_what_they_say() {
        assert_eq!(Route::parse("/"), Some(Route::Home));
        assert_eq!(Route::parse("/demo"), Some(Route::Page(stream())));
        assert_eq!(Route::parse("/demo/"), Some(Route::SlashedPage(stream())));
        assert_eq!(Route::parse("/demo/live.m3u8"), Some(Route::Multivariant(stream())));
        assert_eq!(Route::parse("/demo/live.mpd"), Some(Route::Presentation(stream())));
        assert_eq!(Route::parse("/demo/time"), Some(Route::UtcTiming(stream())));
        assert_eq!(Route::parse("/assets/player-1F.js"), Some(Route::Asset("player-1F.js".into())));
        let playlist = |scope| Route::Rendition(stream(), "720p".parse().unwrap(), Resource::Playlist(scope));
        assert_eq!(Route::parse("/demo/720p/index.m3u8"), Some(playlist(PlaylistScope::Window)));
        assert_eq!(Route::parse("/demo/720p/dvr.m3u8"), Some(playlist(PlaylistScope::Dvr)));
        assert_eq!(Route::parse("/demo/dvr.m3u8"), Some(Route::Dvr(stream())));
        assert_eq!(Route::parse("/demo/dvr.mpd"), Some(Route::DvrPresentation(stream())));
        assert_eq!(Route::parse("/demo/thumbnail.jpg"), Some(Route::Thumbnail(stream())));
        assert_eq!(Route::parse("/demo/storyboard.vtt"), Some(Route::Storyboard(stream())));
        let id = "019a1b2c-3d4e-7f50-8a61-728394a5b6c7";
        let sheet = Some(Route::Sheet(stream(), id.parse().unwrap(), 3));
        assert_eq!(Route::parse(&format!("/demo/{id}/storyboard/3.jpg")), sheet);
        assert_eq!(Route::parse(&format!("/demo/{id}/storyboard/03.jpg")), None);
        let thumbnail = Some(Route::RecordedThumbnail(stream(), id.parse().unwrap()));
        assert_eq!(Route::parse(&format!("/demo/{id}/thumbnail.jpg")), thumbnail);
        let storyboard = Some(Route::RecordedStoryboard(stream(), id.parse().unwrap()));
        assert_eq!(Route::parse(&format!("/demo/{id}/storyboard.vtt")), storyboard);
        for name in ["init-7.mp4", "7.m4s", "7.0.m4s", "7-900.m4s"] {
            let live = object(&format!("0a1b2c3d-{name}")).unwrap();
            assert_eq!(Some(live.object), Object::parse(name));
            assert_eq!(live.broadcast.to_string(), "0a1b2c3d");
        }
    }

    #[test]
    fn a_recording_is_beside_and_below_its_name() {
        let id = "019a1b2c-3d4e-7f50-8a61-728394a5b6c7";
        let recording = |recorded| Some(Route::Recording(stream(), id.parse().unwrap(), recorded));
        assert_eq!(Route::parse("/demo/recordings.json"), Some(Route::Recordings(stream())));
        assert_eq!(Route::parse(&format!("/demo/vod-{id}.m3u8")), recording(Recorded::Multivariant));
        assert_eq!(Route::parse(&format!("/demo/vod-{id}.mpd")), recording(Recorded::Presentation));
        assert_eq!(Route::parse(&format!("/demo/vod-{id}.mp4")), recording(Recorded::Mp4));
        let rendition = || "720p".parse().unwrap();
        for (file, recorded) in [
            ("index.m3u8", Recorded::Playlist(rendition())),
            ("init-7.mp4", Recorded::Init(rendition(), MediaSequence(7))),
            ("7.m4s", Recorded::Segment(rendition(), MediaSequence(7))),
        ] {
            assert_eq!(Route::parse(&format!("/demo/{id}/720p/{file}")), recording(recorded), "{file}");
        }
        let upper = id.to_uppercase();
        for path in [
            format!("/demo/vod-{upper}.m3u8"),
            format!("/demo/vod-{id}.m4s"),
            format!("/demo/{upper}/720p/7.m4s"),
            format!("/demo/{id}/720p/7.0.m4s"),
            format!("/demo/{id}/journal/0-1"),
        ] {
            assert_eq!(Route::parse(&path), None, "{path}");
        }
    }

    #[test]
    fn an_object_has_one_path() {
        for file in ["7.m4s", "init-7.mp4", "7-900.m4s", "a-7.m4s", "0A1B2C3D-7.m4s", "0a1b2c3d-07.m4s"] {
            assert_eq!(object(file), None, "{file}");
        }
        assert_eq!(object("0a1b2c3d-7.m4s/"), None);
        let id = "019a1b2c-3d4e-7f50-8a61-728394a5b6c7";
        assert_eq!(
            Route::parse(&format!("/demo/{id}/720p/0a1b2c3d-7.m4s")),
            None,
            "a recording's URL has the id"
        );
    }

    #[test]
    fn what_is_no_name_is_no_route() {
        for path in
            ["", "demo", "//", "/../x", "/demo/720p", "/demo/720p/", "/a%20b", "/demo/..", "/favicon.ico"]
        {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }

    /// Names of the variants of the enums that a path may name.
    fn variants() -> Vec<&'static str> {
        let files = [include_str!("route.rs"), include_str!("../../../hls/src/object.rs")];
        let code = files.into_iter().flat_map(|file| file.split("impl ").next());
        let lines = code.flat_map(str::lines);
        let names = lines.filter_map(|line| line.strip_prefix("    ")?.split(['(', ',']).next());
        names.filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase())).collect()
    }

    #[test]
    fn every_route_is_in_the_reference() {
        let reference = include_str!("../../../../docs/http-api.md");
        let paths = reference.lines().filter_map(|line| line.strip_prefix("| `/")?.split('`').next());
        let mut documented = String::new();
        for path in paths {
            let mut example = format!("/{path}");
            for (placeholder, value) in [
                ("<stream>", "demo"),
                ("<rendition>", "720p"),
                ("<broadcast>", "019a1b2c-3d4e-7f50-8a61-728394a5b6c7"),
                ("<number>", "7"),
                ("<tag>", "0a1b2c3d"),
                ("<part>", "0"),
                ("<ticks>", "900"),
                ("<file>", "player.js"),
            ] {
                example = example.replace(placeholder, value);
            }
            let route = Route::parse(&example).unwrap_or_else(|| panic!("/{path} is no route"));
            documented.push_str(&format!(" {route:?}"));
        }
        let words: Vec<_> = documented.split(|char: char| !char.is_alphanumeric()).collect();
        assert!(variants().len() > 25, "{:?}", variants());
        for variant in variants() {
            assert!(words.contains(&variant), "docs/http-api.md does not name the route {variant}");
        }
        for scope in ["Window", "Dvr"] {
            assert!(words.contains(&scope), "docs/http-api.md does not name the playlists of {scope}");
        }
    }
}
