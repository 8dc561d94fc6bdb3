//! Problems for people: whoever typed an address into a browser gets a page, and programs get `application/problem+json`.

use bytes::Bytes;
use headwater_media::StreamId;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, VARY};
use http::{HeaderMap, HeaderValue};

use super::answer::Answer;
use super::conditions::text;
use super::problem::Problem;

const PROBLEM_PAGE: &str = include_str!("problem.html");
const HTML_TYPE: &str = "text/html; charset=utf-8";
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The answer to a request for `path` with these headers.
pub(crate) fn answer(problem: Problem, path: &str, headers: &HeaderMap) -> Answer {
    let varies = (VARY, HeaderValue::from_static("Accept"));
    if !wants_page(headers) {
        return Answer::from(problem).headers([varies]);
    }
    let policy = (CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    let page = page(&problem, path);
    Answer::from(problem).content(HTML_TYPE, page).headers([varies, policy])
}

/// Browsers ask for HTML by name when somebody opens an address; players and scripts take anything.
fn wants_page(headers: &HeaderMap) -> bool {
    text(headers, ACCEPT).is_some_and(|accepted| accepted.contains("text/html"))
}

fn page(problem: &Problem, path: &str) -> Bytes {
    let (detail, hint) = match problem {
        Problem::NoRoute => (NO_PAGE.to_owned(), hint(path)),
        problem => (problem.detail(), String::new()),
    };
    let page =
        PROBLEM_PAGE.replace("{title}", &escaped(problem.title())).replace("{detail}", &escaped(&detail));
    page.replace("{hint}", &hint).into()
}

const NO_PAGE: &str = "No stream can be at this address. A stream's page is at /<stream>, and its name has letters without accents, \
    digits, '-', '_' and '.' only: ask the broadcaster for the address.";

/// The page that may have been meant: of a publishing address, say, which has the name of an application before it.
fn hint(path: &str) -> String {
    let mut names = path.trim_end_matches('/').rsplit('/');
    let stream = names.next().and_then(|name| name.parse::<StreamId>().ok());
    let up = names.count().saturating_sub(1) + usize::from(path.ends_with('/'));
    let Some(stream) = stream.filter(|_| up > 0) else { return String::new() };
    let link = format!("{}{stream}", "../".repeat(up));
    format!("<p>Did you mean <a href=\"{link}\">{stream}</a>?</p>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publishing_address_leads_to_the_page() {
        for (path, link) in [
            ("/live/demo", Some("../demo")),
            ("/live/demo/", Some("../../demo")),
            ("/a/b/demo", Some("../../demo")),
            ("/%ED%95%9C%EA%B8%80", None),
            ("/a%20b", None),
            ("/live/a%20b", None),
            ("/favicon.ico", None),
        ] {
            let page = String::from_utf8(page(&Problem::NoRoute, path).to_vec()).unwrap();
            assert_eq!(page.contains("<a "), link.is_some(), "{page}");
            assert!(link.is_none_or(|link| page.contains(&format!("<a href=\"{link}\">demo</a>"))), "{page}");
            assert!(
                page.contains("/&lt;stream&gt;") && !page.contains("{title}") && !page.contains("{hint}")
            );
        }
    }

    #[test]
    fn only_who_asks_for_a_page_gets_one() {
        let of = |accept: &'static str| {
            wants_page(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(of("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(!of("*/*") && !of("application/json") && !wants_page(&HeaderMap::new()));
    }
}
