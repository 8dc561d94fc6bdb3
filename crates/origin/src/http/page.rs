//! The player page and its assets, built by `web/build.mjs` and carried in the binary. A build without Node.js has a
//! plain page in their place that says how to get the player.

use std::borrow::Cow;

use bytes::Bytes;
use headwater_media::StreamId;
use http::header::{CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::answer::{Answer, Cache};
use super::etag;
use super::problem::Problem;

#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Built;

/// The page without a player.
const FALLBACK: &str = include_str!("../../web/fallback.html");
const HOME: &str = include_str!("home.html");

/// Scripts and styles come from here only; media is fed to the player by `blob:`; anybody may embed the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'",
);

/// The page names its assets, so a new version of it must be seen soon.
const PAGE_CACHE: Cache = Cache::Seconds(60);
const HTML: &str = "text/html; charset=utf-8";

/// The same for every stream: the page reads the stream's name off its own address.
pub(crate) fn player() -> Answer {
    html(Built::get("index.html").map_or(Bytes::from_static(FALLBACK.as_bytes()), contents))
}

pub(crate) fn home() -> Answer {
    html(Bytes::from_static(HOME.as_bytes()))
}

/// To the page's own address, on which its relative links work.
pub(crate) fn without_slash(stream: &StreamId) -> Answer {
    let location = HeaderValue::try_from(format!("../{stream}")).expect("a stream's name is visible ASCII");
    let answer = Answer::new(HTML, PAGE_CACHE, Bytes::new());
    answer.status(StatusCode::PERMANENT_REDIRECT).headers([(LOCATION, location)])
}

/// A file whose name carries a hash of its contents.
pub(crate) fn asset(file: &str) -> Result<Answer, Problem> {
    let found = Built::get(&format!("assets/{file}")).ok_or(Problem::NoRoute)?;
    let bytes = contents(found);
    let etag = etag::of_text(&bytes);
    Ok(Answer::new(content_type(file), Cache::Immutable, bytes).etag(etag))
}

fn html(bytes: Bytes) -> Answer {
    let etag = etag::of_text(&bytes);
    let headers =
        [(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, HeaderValue::from_static("same-origin"))];
    Answer::new(HTML, PAGE_CACHE, bytes).etag(etag).headers(headers)
}

fn contents(file: EmbeddedFile) -> Bytes {
    match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

fn content_type(file: &str) -> &'static str {
    match file.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("json" | "map") => "application/json",
        _ => "application/octet-stream",
    }
}
