//! `If-Match` of a change: the state that the caller expects (RFC 9110 §13.1.1).

use http::HeaderMap;
use http::header::IF_MATCH;

use crate::problem::Problem;

/// State that a resource must be in for a change.
pub(crate) enum Precondition {
    /// Any state, as long as the resource is there.
    None,
    /// Any of these revisions. An entity tag that the API does not give out is none of them.
    Revisions(Vec<u64>),
}

impl Precondition {
    /// Precondition of a request with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(IF_MATCH).iter().peekable();
        if values.peek().is_none() {
            return Self::None;
        }
        let texts: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        let mut tags = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
        if tags.clone().any(|tag| tag == "*") {
            return Self::None;
        }
        Self::Revisions(tags.by_ref().filter_map(revision_of).collect())
    }

    /// Refuses a resource that is in another state.
    pub(crate) fn check(&self, revision: u64) -> Result<(), Problem> {
        match self {
            Self::Revisions(expected) if !expected.contains(&revision) => Err(Problem::stale()),
            _ => Ok(()),
        }
    }
}

fn revision_of(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strong_tag_of_the_state_is_needed() {
        let is_met = |tags: &str| {
            let headers = HeaderMap::from_iter([(IF_MATCH, tags.parse().unwrap())]);
            Precondition::of(&headers).check(7).is_ok()
        };
        for met in ["\"7\"", "\"6\", \"7\"", "*"] {
            assert!(is_met(met), "{met}");
        }
        for stale in ["\"6\"", "7", "W/\"7\"", "", "\"\""] {
            assert!(!is_met(stale), "{stale}");
        }
        assert!(Precondition::of(&HeaderMap::new()).check(7).is_ok());
    }
}
