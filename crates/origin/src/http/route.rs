//! Routes: the paths that the origin answers, each in one place with the label of metrics and the handler. Every object has
//! exactly one path: numbers are written without leading zeros, names hold only characters that need no percent-encoding,
//! so anything else is no route. docs/http-api.md lists them.

use std::pin::Pin;
use std::str::FromStr;

use headwater_hls::{LiveObject, Object};
use headwater_media::{BroadcastId, RenditionId, StreamId};
use headwater_recordings::Layout;

use super::call::{Answered, Call};
use super::handlers::playlist::PlaylistScope;
use super::handlers::recorded::Resource;
use crate::mirror::PlaylistKind;

/// Route of one request.
pub(super) struct Route<'a> {
    /// Label of metrics.
    pub(super) label: &'static str,
    /// The handler's answer. Nothing is done for it before it is awaited.
    pub(super) answer: Pin<Box<dyn Future<Output = Answered> + Send + 'a>>,
}

impl<'a> Route<'a> {
    fn new(label: &'static str, answer: impl Future<Output = Answered> + Send + 'a) -> Self {
        Self { label, answer: Box::pin(answer) }
    }

    /// The route that a request's path names.
    pub(super) fn find(call: Call<'a>) -> Option<Self> {
        let path = call.request.uri.path().strip_prefix('/')?;
        let mut names = path.splitn(4, '/');
        let route = match (names.next()?, names.next(), names.next(), names.next()) {
            ("", None, ..) => Self::new("page", call.home_page()),
            ("favicon.ico" | "robots.txt" | "assets", None, ..) => return None,
            ("assets", Some(_), ..) => Self::new("asset", call.asset(path.split_once('/')?.1)),
            (stream, None, ..) => Self::new("page", call.player_page(stream.parse().ok()?)),
            (stream, Some(file), None, _) => Self::find_of_stream(call, stream.parse().ok()?, file)?,
            (stream, Some(folder @ ("manifest" | "thumbnails")), Some(file), None) => {
                stream.parse::<StreamId>().ok()?;
                Self::find_by_other_name(call, folder, file)?
            }
            (stream, Some(id), Some("thumbnail.jpg"), None) => {
                Self::new("thumbnail", call.recorded_thumbnail(layout(stream, id)?))
            }
            (stream, Some(id), Some("storyboard.vtt"), None) => {
                Self::new("storyboard", call.recorded_storyboard(layout(stream, id)?))
            }
            (stream, Some(rendition), Some(file), None) => {
                Self::find_of_rendition(call, stream.parse().ok()?, rendition.parse().ok()?, file)?
            }
            (stream, Some(id), Some("storyboard"), Some(file)) => {
                let number = number(file.strip_suffix(".jpg")?)?;
                Self::new("storyboard", call.storyboard_sheet(layout(stream, id)?, number))
            }
            (stream, Some(id), Some(rendition), Some(file)) => {
                Self::find_of_recording(call, layout(stream, id)?, rendition.parse().ok()?, file)?
            }
        };
        Some(route)
    }

    /// Routes of the form `/<stream>/<file>`.
    fn find_of_stream(call: Call<'a>, stream: StreamId, file: &str) -> Option<Self> {
        let route = match file {
            "" | "iframe" => Self::new("page", call.slashed_page(stream)),
            "live.m3u8" => Self::new("multivariant", call.multivariant(stream, PlaylistKind::Multivariant)),
            "dvr.m3u8" => Self::new("multivariant", call.multivariant(stream, PlaylistKind::DvrMultivariant)),
            "live.mpd" => Self::new("presentation", call.presentation(stream, PlaylistKind::Presentation)),
            "dvr.mpd" => Self::new("presentation", call.presentation(stream, PlaylistKind::DvrPresentation)),
            "time" => Self::new("time", call.utc_timing(stream)),
            "recordings.json" => Self::new("recordings", call.recordings(stream)),
            "thumbnail.jpg" => Self::new("thumbnail", call.thumbnail(stream)),
            "storyboard.vtt" => Self::new("storyboard", call.storyboard(stream)),
            file => {
                let (id, kind) = file.strip_prefix("vod-")?.split_once('.')?;
                let layout = Layout { stream, broadcast: broadcast(id)? };
                match kind {
                    "m3u8" => Self::new("multivariant", call.recorded(layout, Resource::Multivariant)),
                    "mpd" => Self::new("presentation", call.recorded(layout, Resource::Presentation)),
                    "mp4" => Self::new("mp4", call.recorded(layout, Resource::Mp4)),
                    _ => return None,
                }
            }
        };
        Some(route)
    }

    /// Routes of the form `/<stream>/<folder>/<file>` that Cloudflare Stream has for resources of a stream.
    fn find_by_other_name(call: Call<'a>, folder: &str, file: &str) -> Option<Self> {
        let route = match (folder, file) {
            ("manifest", "video.m3u8") => Self::new("multivariant", call.other_name("../live.m3u8")),
            ("manifest", "video.mpd") => Self::new("presentation", call.other_name("../live.mpd")),
            ("thumbnails", "thumbnail.jpg") => Self::new("thumbnail", call.other_name("../thumbnail.jpg")),
            _ => return None,
        };
        Some(route)
    }

    /// Routes of the form `/<stream>/<rendition>/<file>`.
    fn find_of_rendition(
        call: Call<'a>,
        stream: StreamId,
        rendition: RenditionId,
        file: &str,
    ) -> Option<Self> {
        let playlist =
            |scope| Self::new("playlist", call.media_playlist(stream.clone(), rendition.clone(), scope));
        let route = match file {
            "index.m3u8" => playlist(PlaylistScope::Window),
            "dvr.m3u8" => playlist(PlaylistScope::Dvr),
            file => {
                let live = LiveObject::parse(file)?;
                let label = match live.object {
                    Object::Init(_) => "init",
                    Object::Segment(_) | Object::Timed(..) => "segment",
                    Object::Part(..) => "part",
                };
                Self::new(label, call.live_object(stream, rendition, live))
            }
        };
        Some(route)
    }

    /// Routes of the form `/<stream>/<broadcast>/<rendition>/<file>`.
    fn find_of_recording(call: Call<'a>, layout: Layout, rendition: RenditionId, file: &str) -> Option<Self> {
        let (label, resource) = match file {
            "index.m3u8" => ("playlist", Resource::Playlist(rendition)),
            file => match Object::parse(file)? {
                Object::Init(first) => ("init", Resource::Init(rendition, first)),
                Object::Segment(sequence) => ("segment", Resource::Segment(rendition, sequence)),
                Object::Part(..) | Object::Timed(..) => return None,
            },
        };
        Some(Self::new(label, call.recorded(layout, resource)))
    }
}

/// A recording, by names in a path.
fn layout(stream: &str, id: &str) -> Option<Layout> {
    Some(Layout { stream: stream.parse().ok()?, broadcast: broadcast(id)? })
}

/// A broadcast's id as this service writes it.
fn broadcast(text: &str) -> Option<BroadcastId> {
    text.parse::<BroadcastId>().ok().filter(|id| id.to_string() == text)
}

/// A number as this service writes it.
fn number<T: FromStr + ToString>(text: &str) -> Option<T> {
    text.parse::<T>().ok().filter(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;
    use std::sync::Arc;

    use headwater_registry::{MemoryRegistry, Ttls};
    use headwater_runtime::config;
    use headwater_runtime::readiness::Readiness;
    use headwater_wire::Channels;
    use http::Request;

    use super::*;
    use crate::{Core, Settings};

    const BROADCAST: &str = "019a1b2c-3d4e-7f50-8a61-728394a5b6c7";

    /// An origin that knows nothing.
    fn origin() -> Core {
        let variables = [("HEADWATER_STORE_URL".to_owned(), "none".to_owned())];
        let config = config::load(config::Service::AllInOne, None, variables).unwrap().config;
        let registry = Arc::new(MemoryRegistry::new(Ttls::default()));
        Core::start(&Settings::from(config), registry, Channels::default(), None, &Readiness::default())
    }

    /// Label of the route that a path names.
    fn label_of(origin: &Core, path: &str) -> Option<&'static str> {
        let (request, ()) = Request::get(path).body(()).unwrap().into_parts();
        let from = IpAddr::from([192, 0, 2, 1]);
        Route::find(Call { service: &origin.service, from, request: &request }).map(|route| route.label)
    }

    /// Paths as docs/http-api.md writes them, with their labels.
    const DOCUMENTED: [(&str, &str); 31] = [
        ("/", "page"),
        ("/<stream>", "page"),
        ("/<stream>/", "page"),
        ("/<stream>/iframe", "page"),
        ("/<stream>/manifest/video.m3u8", "multivariant"),
        ("/<stream>/manifest/video.mpd", "presentation"),
        ("/<stream>/thumbnails/thumbnail.jpg", "thumbnail"),
        ("/assets/<file>", "asset"),
        ("/<stream>/live.m3u8", "multivariant"),
        ("/<stream>/dvr.m3u8", "multivariant"),
        ("/<stream>/<rendition>/index.m3u8", "playlist"),
        ("/<stream>/<rendition>/dvr.m3u8", "playlist"),
        ("/<stream>/<rendition>/<tag>-init-<number>.mp4", "init"),
        ("/<stream>/<rendition>/<tag>-<number>.m4s", "segment"),
        ("/<stream>/<rendition>/<tag>-<number>.<part>.m4s", "part"),
        ("/<stream>/live.mpd", "presentation"),
        ("/<stream>/dvr.mpd", "presentation"),
        ("/<stream>/<rendition>/<tag>-<number>-<ticks>.m4s", "segment"),
        ("/<stream>/time", "time"),
        ("/<stream>/recordings.json", "recordings"),
        ("/<stream>/vod-<broadcast>.m3u8", "multivariant"),
        ("/<stream>/vod-<broadcast>.mpd", "presentation"),
        ("/<stream>/vod-<broadcast>.mp4", "mp4"),
        ("/<stream>/<broadcast>/<rendition>/index.m3u8", "playlist"),
        ("/<stream>/<broadcast>/<rendition>/init-<number>.mp4", "init"),
        ("/<stream>/<broadcast>/<rendition>/<number>.m4s", "segment"),
        ("/<stream>/thumbnail.jpg", "thumbnail"),
        ("/<stream>/<broadcast>/thumbnail.jpg", "thumbnail"),
        ("/<stream>/storyboard.vtt", "storyboard"),
        ("/<stream>/<broadcast>/storyboard.vtt", "storyboard"),
        ("/<stream>/<broadcast>/storyboard/<number>.jpg", "storyboard"),
    ];

    fn example(documented: &str) -> String {
        let values = [
            ("<stream>", "demo"),
            ("<rendition>", "720p"),
            ("<broadcast>", BROADCAST),
            ("<number>", "7"),
            ("<tag>", "0a1b2c3d"),
            ("<part>", "0"),
            ("<ticks>", "900"),
            ("<file>", "player-1F.js"),
        ];
        values.into_iter().fold(documented.to_owned(), |path, (name, value)| path.replace(name, value))
    }

    #[tokio::test]
    async fn each_path_has_its_label() {
        let origin = origin();
        for (path, label) in DOCUMENTED {
            assert_eq!(label_of(&origin, &example(path)), Some(label), "{path}");
        }
    }

    #[tokio::test]
    async fn each_object_has_one_path() {
        let origin = origin();
        let upper = BROADCAST.to_uppercase();
        for path in [
            "/demo/720p/7.m4s",
            "/demo/720p/init-7.mp4",
            "/demo/720p/7-900.m4s",
            "/demo/720p/a-7.m4s",
            "/demo/720p/0A1B2C3D-7.m4s",
            "/demo/720p/0a1b2c3d-07.m4s",
            "/demo/720p/0a1b2c3d-7.m4s/",
            // A recording's URL has the id, and not the tag.
            &format!("/demo/{BROADCAST}/720p/0a1b2c3d-7.m4s"),
            &format!("/demo/{BROADCAST}/720p/7.0.m4s"),
            &format!("/demo/{BROADCAST}/720p/7-900.m4s"),
            &format!("/demo/{BROADCAST}/journal/0-1"),
            &format!("/demo/{BROADCAST}/storyboard/03.jpg"),
            &format!("/demo/{upper}/720p/7.m4s"),
            &format!("/demo/{upper}/thumbnail.jpg"),
            &format!("/demo/vod-{upper}.m3u8"),
            &format!("/demo/vod-{BROADCAST}.m4s"),
            "/demo/720p/thumbnail.jpg",
            "/demo/thumbnails/live.m3u8",
            "/demo/manifest/video.mpd/",
            "/a%20b/manifest/video.mpd",
            "/demo/720p/storyboard.vtt",
        ] {
            assert_eq!(label_of(&origin, path), None, "{path}");
        }
    }

    #[tokio::test]
    async fn a_path_without_valid_names_is_no_route() {
        let origin = origin();
        for path in ["//", "/../x", "/demo/720p", "/demo/720p/", "/a%20b", "/demo/..", "/favicon.ico", "*"] {
            assert_eq!(label_of(&origin, path), None, "{path}");
        }
    }

    #[test]
    fn the_reference_has_every_route_and_no_other() {
        let reference = include_str!("../../../../docs/http-api.md");
        let rows = reference.lines().filter_map(|line| line.strip_prefix("| `/")?.split('`').next());
        let documented: BTreeSet<_> = rows.map(|path| format!("/{path}")).collect();
        assert_eq!(documented, DOCUMENTED.map(|(path, _)| path.to_owned()).into());
        let (code, _) = include_str!("route.rs").split_once("#[cfg(test)]").unwrap();
        let patterns = code.lines().filter_map(|line| line.split_once("=>").map(|(pattern, _)| pattern));
        let names = patterns.flat_map(|pattern| pattern.split('"').skip(1).step_by(2));
        let names: BTreeSet<_> = names.filter(|name| !["favicon.ico", "robots.txt"].contains(name)).collect();
        assert!(names.len() > 12, "{names:?}");
        for name in names {
            let is_named = documented.iter().any(|path| path.contains(name));
            assert!(is_named, "docs/http-api.md does not name {name}");
        }
    }
}
