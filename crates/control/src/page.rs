//! Pages of lists: how many entries the query wants, and after which.

use headwater_runtime::http::query;

use crate::problem::Problem;

/// Entries of a page, at most and where the query names no number.
pub(crate) const MAX_PAGE_ENTRIES: usize = 100;

/// Page that a query asks for.
pub(crate) struct Page<T> {
    /// Entry that the page goes on from: the `next` of the page before.
    pub(crate) cursor: Option<T>,
    pub(crate) limit: usize,
}

impl<T: std::str::FromStr> Page<T> {
    /// Page of a query whose cursor has this name.
    pub(crate) fn parse(query: Option<&str>, cursor: &str) -> Result<Self, Problem> {
        let mut page = Self { cursor: None, limit: MAX_PAGE_ENTRIES };
        for (name, value) in query::pairs(query.unwrap_or_default()) {
            if name == cursor {
                let parsed = value.parse().map_err(|_| format!("{cursor} is the next of another page"));
                page.cursor = Some(parsed.map_err(Problem::bad_query)?);
            } else if name == "limit" {
                page.limit = parse_limit(&value)?;
            } else {
                let text = format!("{name:?} is not known: there are {cursor} and limit");
                return Err(Problem::bad_query(text));
            }
        }
        Ok(page)
    }
}

fn parse_limit(value: &str) -> Result<usize, Problem> {
    let within = value.parse().ok().filter(|limit| (1..=MAX_PAGE_ENTRIES).contains(limit));
    within.ok_or_else(|| Problem::bad_query(format!("limit is a number from 1 to {MAX_PAGE_ENTRIES}")))
}
