//! Authorization: a request carries a bearer token (RFC 6750 §2.1), which is the one of the settings or one of the
//! directory. What can't be looked up is never taken for allowed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headwater_directory::{AccessToken, Directory, DirectoryError, Scope};
use headwater_media::UnixMillis;
use headwater_runtime::clock;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method};
use moka::future::Cache;
use ring::digest::{SHA256, digest};
use tokio::time::timeout;

use super::Shared;
use super::browsers::{refuse_names_of_others, refuse_other_sites};
use super::limits::Allowance;
use super::problem::Problem;
use super::request_id::RequestId;

/// Tokens that are remembered, invented ones among them. The cache prefers those that are shown often.
const MAX_TOKENS: u64 = 10_000;
/// Time for which a token is not looked up again: a token that another origin deletes works for as long here.
const TRUSTED_TIME: Duration = Duration::from_secs(5);
/// Time that the directory may take to look up a token.
const LOOKUP_TIME: Duration = Duration::from_secs(5);

/// Address that a request came from.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Party that makes a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Id of its access token; `root` for the token of the settings, and `anybody` where none is asked for.
    pub(crate) name: Arc<str>,
    rights: Rights,
    pub(crate) request: RequestId,
}

#[derive(Clone, Debug)]
enum Rights {
    All,
    Scopes(Arc<[Scope]>),
}

impl Caller {
    /// Whether the caller's token gives this right.
    pub(crate) fn allows(&self, scope: Scope) -> bool {
        match &self.rights {
            Rights::All => true,
            Rights::Scopes(scopes) => scopes.contains(&scope),
        }
    }

    /// Refuses a caller whose token does not give this right.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.allows(scope) { Ok(()) } else { Err(Problem::missing_scope(scope)) }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // A path without `admit` before it has nobody to be allowed anything.
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthorized)
    }
}

/// Finds out who asks, counts the request, and hands both on with it.
pub(crate) async fn admit(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let peer = request.extensions().get().map(|Peer(address)| address.to_string()).unwrap_or_default();
    let method = request.method().clone();
    let (found, allowance) = shared.find_caller((&method, request.headers()), peer, id.clone()).await;
    let mut response = match found {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    id.write_to(response.headers_mut());
    allowance.write_to(response.headers_mut());
    response
}

impl Shared {
    /// A request whose token is not accepted counts for the address that it came from.
    async fn find_caller(
        &self,
        (method, headers): (&Method, &HeaderMap),
        peer: String,
        id: RequestId,
    ) -> (Result<Caller, Problem>, Allowance) {
        let found = match refuse_other_sites(method, headers) {
            Ok(()) => self.identify(headers, id).await,
            Err(problem) => Err(problem),
        };
        let name = found.as_ref().map_or(&*peer, |caller| &*caller.name);
        let allowance = self.limits.count_request(name);
        (allowance.check().and(found), allowance)
    }

    async fn identify(&self, headers: &HeaderMap, request: RequestId) -> Result<Caller, Problem> {
        let control = &self.control;
        let root = control.token.as_ref();
        let caller = |name: &str, rights| Ok(Caller { name: name.into(), rights, request });
        let shown = bearer(headers);
        if root.zip(shown).is_some_and(|(root, shown)| root.is(shown)) {
            return caller("root", Rights::All);
        }
        let (Some(shown), Some(directory)) = (shown, &control.directory) else {
            return if root.is_none() {
                refuse_names_of_others(headers)?;
                caller("anybody", Rights::All)
            } else {
                Err(Problem::unauthorized())
            };
        };
        let token = self.tokens.find(directory, shown, clock::now()).await?;
        let token = token.ok_or_else(Problem::unauthorized)?;
        caller(&token.id, Rights::Scopes(token.scopes.into()))
    }
}

/// Token that a request shows.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

/// Access tokens that were looked up lately, by the hash of their texts.
pub(crate) struct TokenCache(Cache<[u8; 32], Option<AccessToken>>);

impl TokenCache {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(MAX_TOKENS).time_to_live(TRUSTED_TIME).build())
    }

    /// Access token of a text, if there is one and it has not expired. Several requests with one text cost one look-up.
    async fn find(
        &self,
        directory: &Directory,
        shown: &str,
        now: UnixMillis,
    ) -> Result<Option<AccessToken>, Problem> {
        let Ok(text) = shown.parse() else { return Ok(None) };
        let hash = digest(&SHA256, shown.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let look_up = async {
            let found = timeout(LOOKUP_TIME, directory.find_token(&text, now)).await;
            found.unwrap_or(Err(DirectoryError::TooSlow(LOOKUP_TIME)))
        };
        let found = self.0.try_get_with(hash, look_up).await.map_err(|error| {
            tracing::warn!(%error, "an access token could not be looked up: its request is refused");
            Problem::store_away()
        })?;
        Ok(found.filter(|token| !token.is_expired(now)))
    }

    /// Has all tokens looked up again, as one was deleted.
    pub(crate) fn forget_all(&self) {
        self.0.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_by_its_scheme() {
        let shown = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(shown("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(shown("bearer abc").as_deref(), Some("abc"));
        assert_eq!(shown("Bearer ").as_deref(), Some(""));
        for none in ["abc", "Basic abc", "Bearer"] {
            assert_eq!(shown(none), None, "{none}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
