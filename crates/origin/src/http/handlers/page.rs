//! The player page and its assets, built by `web/player/build.mjs` and carried in the binary. A build without Node.js has a
//! plain page in their place that says how to get the player.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use bytes::Bytes;
use headwater_media::lock::MutexExt;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::response::answer::Answer;
use crate::http::response::cache::Cache;
use crate::http::response::conditions::text;
use crate::http::response::problem::Problem;
use crate::representation::encoding::{accepts_gzip, gzip};
use crate::representation::etag;

#[derive(RustEmbed)]
#[folder = "../../web/player/dist"]
#[allow_missing = true]
struct Built;

/// The page without a player.
const FALLBACK_PAGE: &str = include_str!("../../../../../web/player/fallback.html");
const HOME_PAGE: &str = include_str!("home.html");

/// Content-Security-Policy of the page (CSP Level 3). Scripts and styles come from here only; media is fed to the player by `blob:`;
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
const HTML_TYPE: &str = "text/html; charset=utf-8";

/// The same for every stream: the page reads the stream's name off its own address. That of a name under which nothing has
/// ever been broadcast says so, and waits all the same.
pub(crate) fn player(policy: &Policy, is_known: bool) -> Answer {
    let page = Built::get("index.html").map_or(Bytes::from_static(FALLBACK_PAGE.as_bytes()), contents);
    if is_known {
        return html(policy, page);
    }
    let marked = String::from_utf8_lossy(&page).replacen("<body ", "<body data-unknown ", 1);
    let answer = Answer::new(HTML_TYPE, UNKNOWN_CACHE, marked.into());
    answer.status(StatusCode::NOT_FOUND).headers(page_headers(policy))
}

pub(crate) fn home(policy: &Policy) -> Answer {
    html(policy, Bytes::from_static(HOME_PAGE.as_bytes()))
}

/// To the page's own address, on which its relative links work; what the query says goes with it.
pub(crate) fn redirect(path: &str, query: &str) -> Answer {
    let mark = if query.is_empty() { "" } else { "?" };
    let location = HeaderValue::try_from(format!("{path}{mark}{query}"));
    let location =
        location.unwrap_or_else(|_| HeaderValue::try_from(path).expect("paths of ours are visible ASCII"));
    let answer = Answer::new(HTML_TYPE, PAGE_CACHE, Bytes::new());
    answer.status(StatusCode::PERMANENT_REDIRECT).headers([(LOCATION, location)])
}

/// A file whose name carries a hash of its contents, compressed for whoever takes that.
pub(crate) fn asset(file: &str, headers: &HeaderMap) -> Result<Answer, Problem> {
    let found = Built::get(&format!("assets/{file}")).ok_or(Problem::NoRoute)?;
    Ok(served(file, contents(found), headers))
}

fn served(file: &str, mut bytes: Bytes, headers: &HeaderMap) -> Answer {
    let varies = (VARY, HeaderValue::from_static("Accept-Encoding"));
    let is_zipped = is_text(file) && text(headers, ACCEPT_ENCODING).is_some_and(accepts_gzip);
    if is_zipped {
        bytes = zipped(file, &bytes);
    }
    let encoding = is_zipped.then_some((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
    let etag = etag::of_text(&bytes);
    let answer = Answer::new(content_type(file), Cache::Immutable, bytes).etag(etag);
    answer.headers([varies]).headers(encoding)
}

fn is_text(file: &str) -> bool {
    content_type(file).contains("text") || content_type(file).contains("svg")
}

/// Compressed once for all. There is an entry for each file of the build at most: a handful.
fn zipped(file: &str, bytes: &[u8]) -> Bytes {
    static ZIPPED: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);
    let mut zipped = ZIPPED.lock_ignoring_poison();
    zipped.entry(file.to_owned()).or_insert_with(|| gzip(bytes)).clone()
}

fn html(policy: &Policy, bytes: Bytes) -> Answer {
    let etag = etag::of_text(&bytes);
    Answer::new(HTML_TYPE, PAGE_CACHE, bytes).etag(etag).headers(page_headers(policy))
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
    use http::Method;

    use super::*;

    fn policy(store: Option<&str>) -> String {
        Policy::new(store).0.to_str().unwrap().to_owned()
    }

    fn sources<'a>(policy: &'a str, directive: &str) -> Vec<&'a str> {
        let mut directives = policy.split(';').map(|one| one.split_whitespace().collect::<Vec<_>>());
        directives.find(|one| one[0] == directive).unwrap()[1..].to_vec()
    }

    #[test]
    fn scripts_are_compressed_for_whoever_takes_that() {
        let script = Bytes::from("const answer = 42;\n".repeat(1_000));
        let ask = |file: &str, encodings: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(encodings))]);
            let answer = served(file, script.clone(), &headers).respond(&Method::GET, HeaderMap::new());
            answer.headers().clone()
        };
        let plain = ask("a.js", "br");
        let zipped = ask("a.js", "gzip, br");
        let length =
            |headers: &HeaderMap| headers["content-length"].to_str().unwrap().parse::<usize>().unwrap();
        assert_eq!((length(&plain), plain.get("content-encoding")), (script.len(), None));
        assert!(length(&zipped) * 10 < script.len());
        assert_eq!(zipped["content-encoding"], "gzip");
        assert_ne!(plain["etag"], zipped["etag"]);
        assert!([&plain, &zipped].iter().all(|headers| headers["vary"] == "Accept-Encoding"));
        assert!(!ask("a.png", "gzip").contains_key("content-encoding"));
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
