//! How many files a process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Raises the limit of open files to the most that this process may choose. Systems start their services with 1,024,
/// for the sake of programs that call `select`, of which there are none here.
pub(crate) fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    match raised_limit(before).map_or(Ok(before), set_limit) {
        Ok(Rlimit { current: Some(limit), .. }) => info!(limit, "files that may be open at a time"),
        Ok(Rlimit { current: None, .. }) => {}
        Err(error) => warn!(%error, limit = before.current, "the limit of open files stays as it is"),
    }
}

/// Limit to ask for; `None` where a request would gain nothing.
fn raised_limit(limit: Rlimit) -> Option<Rlimit> {
    (limit.current != limit.maximum).then_some(Rlimit { current: limit.maximum, ..limit })
}

fn set_limit(limit: Rlimit) -> rustix::io::Result<Rlimit> {
    setrlimit(Resource::Nofile, limit).map(|()| limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_the_most_that_is_allowed() {
        let limit = |current| Rlimit { current: Some(current), maximum: Some(4_096) };
        assert_eq!(raised_limit(limit(1_024)), Some(limit(4_096)));
        assert_eq!(raised_limit(limit(4_096)), None);
        raise_limit();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, now.maximum);
    }
}
