//! Requests of browsers. A page of another site must not use the rights that its reader has by the network, so such requests
//! are told from those of programs, and of pages of this address.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method};

use crate::problem::Problem;

/// Relation of the page to the address that it asks (W3C Fetch Metadata §2.4). No page can set it.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a change that a page of another site asks for.
pub(crate) fn refuse_other_sites(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if method.is_safe() || is_own_page(headers) { Ok(()) } else { Err(Problem::other_site()) }
}

/// Refuses a request by a name that anybody's name server may have led here (DNS rebinding). Without it, a page could read
/// what its reader may without a token.
pub(crate) fn refuse_names_of_others(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(HOST) {
        Some(host) if !host.to_str().is_ok_and(is_own_name) => Err(Problem::name_of_others()),
        _ => Ok(()),
    }
}

/// Programs send neither header, and browsers older than [`SITE`] send the origin only.
fn is_own_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text(SITE) {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(ORIGIN) else { return true };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.zip(text(HOST)).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

fn is_own_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| ((*name).clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn changes_for_pages_of_other_sites_are_refused() {
        let host = (&HOST, "127.0.0.1:8081");
        for (lines, is_accepted) in [
            (vec![host], true),
            (vec![host, (&ORIGIN, "http://127.0.0.1:8081")], true),
            (vec![host, (&ORIGIN, "https://evil.example"), (&SITE, "same-origin")], true),
            (vec![host, (&SITE, "none")], true),
            (vec![host, (&ORIGIN, "http://127.0.0.1:8080")], false),
            (vec![host, (&ORIGIN, "null")], false),
            (vec![host, (&SITE, "cross-site")], false),
            (vec![host, (&ORIGIN, "http://127.0.0.1:8081"), (&SITE, "same-site")], false),
        ] {
            let headers = headers(&lines);
            assert_eq!(refuse_other_sites(&Method::DELETE, &headers).is_ok(), is_accepted, "{lines:?}");
            assert!(refuse_other_sites(&Method::GET, &headers).is_ok(), "{lines:?}");
        }
    }

    #[test]
    fn names_that_lead_anywhere_are_refused() {
        for own in ["127.0.0.1:8081", "[::1]:8081", "localhost", "LOCALHOST:1", "hw.localhost:8081"] {
            refuse_names_of_others(&headers(&[(&HOST, own)])).unwrap();
        }
        for other in ["evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example", "", "a b"] {
            refuse_names_of_others(&headers(&[(&HOST, other)])).unwrap_err();
        }
        refuse_names_of_others(&HeaderMap::new()).unwrap();
    }
}
