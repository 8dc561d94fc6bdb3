//! Authorization: requests carry the bearer token of the settings (RFC 6750 §2.1).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use headwater_runtime::config::Secret;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Control;
use super::problem::Problem;

pub(super) async fn check(
    State(control): State<Arc<Control>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if control.token.as_ref().is_none_or(|token| shows(request.headers(), token)) {
        Ok(next.run(request).await)
    } else {
        Err(Problem::Unauthorized)
    }
}

fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let shown = shown.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
    shown.is_some_and(|(_, shown)| token.is(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{TOKEN, token};

    #[test]
    fn only_the_token_opens() {
        let shown =
            |value: &str| shows(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]), &token());
        assert!(shown(&format!("Bearer {TOKEN}")) && shown(&format!("bearer {TOKEN}")));
        let shorter = &TOKEN[1..];
        for wrong in [
            format!("Bearer {shorter}"),
            format!("Bearer {TOKEN}s"),
            "Bearer ".into(),
            TOKEN.into(),
            format!("Basic {TOKEN}"),
        ] {
            assert!(!shown(&wrong), "{wrong}");
        }
        assert!(!shows(&HeaderMap::new(), &token()));
    }
}
