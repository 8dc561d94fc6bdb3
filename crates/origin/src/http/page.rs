//! The player page and its assets, built by `web/build.mjs` and carried in the binary. A build without Node.js has a
//! plain page in their place that says how to get the player.

use std::borrow::Cow;

use bytes::Bytes;
use headwater_media::StreamId;
use http::header::{CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};
use http::{HeaderName, HeaderValue, StatusCode, Uri};
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

/// What the page may load (CSP Level 3). Scripts and styles come from here only; media is fed to the player by `blob:`;
/// anybody may embed the page.
pub(crate) struct Policy(HeaderValue);

impl Policy {
    /// `store` is where viewers are sent for the media of recordings (`store.public_url`), if not here.
    pub(crate) fn new(store: Option<&str>) -> Self {
        let store = store.and_then(source).map(|source| format!(" {source}")).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
             media-src 'self' blob:{store}; connect-src 'self'{store}; worker-src 'self' blob:; base-uri 'none'; \
             form-action 'none'"
        );
        Self(HeaderValue::try_from(policy).expect("a source is visible ASCII"))
    }
}

/// A URL's scheme, host and port; a policy takes no path where requests are redirected.
fn source(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?.as_str();
    // Names of hosts have no other characters; a policy would be cut off at some.
    let is_plain = authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    is_plain.then(|| Some(format!("{}://{authority}", uri.scheme_str()?))).flatten()
}

/// The page names its assets, so a new version of it must be seen soon.
const PAGE_CACHE: Cache = Cache::Seconds(60);
/// It is another page as soon as somebody publishes under the name.
const UNKNOWN_CACHE: Cache = Cache::Seconds(1);
const HTML: &str = "text/html; charset=utf-8";

/// The same for every stream: the page reads the stream's name off its own address. That of a name under which nothing has
/// ever been broadcast says so, and waits all the same.
pub(crate) fn player(policy: &Policy, is_known: bool) -> Answer {
    let page = Built::get("index.html").map_or(Bytes::from_static(FALLBACK.as_bytes()), contents);
    if is_known {
        return html(policy, page);
    }
    let marked = String::from_utf8_lossy(&page).replacen("<body ", "<body data-unknown ", 1);
    let answer = Answer::new(HTML, UNKNOWN_CACHE, marked.into());
    answer.status(StatusCode::NOT_FOUND).headers(page_headers(policy))
}

pub(crate) fn home(policy: &Policy) -> Answer {
    html(policy, Bytes::from_static(HOME.as_bytes()))
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

fn html(policy: &Policy, bytes: Bytes) -> Answer {
    let etag = etag::of_text(&bytes);
    Answer::new(HTML, PAGE_CACHE, bytes).etag(etag).headers(page_headers(policy))
}

fn page_headers(policy: &Policy) -> [(HeaderName, HeaderValue); 2] {
    [(CONTENT_SECURITY_POLICY, policy.0.clone()), (REFERRER_POLICY, HeaderValue::from_static("same-origin"))]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(store: Option<&str>) -> String {
        Policy::new(store).0.to_str().unwrap().to_owned()
    }

    fn sources<'a>(policy: &'a str, directive: &str) -> Vec<&'a str> {
        let mut directives = policy.split(';').map(|one| one.split_whitespace().collect::<Vec<_>>());
        directives.find(|one| one[0] == directive).unwrap()[1..].to_vec()
    }

    #[test]
    fn media_may_come_from_where_viewers_are_sent() {
        let policy = policy(Some("https://cdn.example:8443/recordings"));
        assert_eq!(sources(&policy, "connect-src"), ["'self'", "https://cdn.example:8443"]);
        assert_eq!(sources(&policy, "media-src"), ["'self'", "blob:", "https://cdn.example:8443"]);
        assert_eq!(sources(&policy, "script-src"), ["'self'"]);
        assert_eq!(policy.matches("cdn").count(), 2);
    }

    #[test]
    fn without_such_a_place_everything_comes_from_here() {
        let here = policy(None);
        assert_eq!(sources(&here, "connect-src"), ["'self'"]);
        assert!(!here.contains("http"), "{here}");
        assert_eq!(policy(Some("https://a;script-src/")), here, "it could say anything");
    }
}
