//! Secret that the services of one cluster show to each other: a stranger who reaches a server's port can call nothing.

use std::fmt;
use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use metrics::counter;
use subtle::{Choice, ConstantTimeEq as _};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// Secrets of a cluster. Callers show the first one, servers accept both. Without any, servers answer everybody.
#[derive(Clone, Default)]
pub struct ClusterSecrets {
    /// `Bearer` and the secret (RFC 6750 §2.1).
    current: Option<HeaderValue>,
    /// The same of the secret before, while it is replaced.
    previous: Option<HeaderValue>,
}

impl ClusterSecrets {
    /// Secrets of these texts: the one that is shown, and another one that is accepted beside it.
    ///
    /// # Panics
    /// When a text holds other characters than visible ASCII ones, which no configuration has.
    pub fn new(texts: [Option<&str>; 2]) -> Self {
        let [current, previous] = texts.map(|text| text.map(bearer));
        Self { current, previous }
    }

    /// Header that a caller shows.
    pub(crate) fn credential(&self) -> Option<HeaderValue> {
        self.current.clone()
    }

    /// Answer to a caller that does not know a secret; none to one that does.
    fn refuse_caller(&self, headers: &HeaderMap) -> Option<Status> {
        let current = self.current.as_ref()?;
        let (reason, said) = match headers.get(AUTHORIZATION) {
            Some(shown) if bool::from(self.matches(current, shown)) => return None,
            Some(_) => ("wrong", "another secret than this server's was shown"),
            None => ("missing", "no secret was shown, and this server asks for one"),
        };
        counter!("headwater_grpc_refused_total", "reason" => reason).increment(1);
        let cure = "set cluster.secret (HEADWATER_CLUSTER_SECRET) to the same value for all services";
        Some(Status::unauthenticated(format!("{said}: {cure}")))
    }

    /// Takes the same time wherever the first difference is.
    fn matches(&self, current: &HeaderValue, shown: &HeaderValue) -> Choice {
        let is = |secret: &HeaderValue| secret.as_bytes().ct_eq(shown.as_bytes());
        is(current) | self.previous.as_ref().map_or(Choice::from(0), is)
    }
}

/// Header value that is printed nowhere, and that HTTP/2 keeps out of its tables.
fn bearer(secret: &str) -> HeaderValue {
    let value = HeaderValue::try_from(format!("Bearer {secret}"));
    let mut value = value.expect("the configuration takes secrets of visible ASCII characters only");
    value.set_sensitive(true);
    value
}

impl fmt::Debug for ClusterSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Layer that answers callers without the secret with `UNAUTHENTICATED`, whatever they call.
#[derive(Clone, Debug)]
pub struct SecretLayer(pub(crate) ClusterSecrets);

/// Service behind a [`SecretLayer`].
#[derive(Clone, Debug)]
pub struct SecretCheck<S> {
    secrets: ClusterSecrets,
    inner: S,
}

impl<S> Layer<S> for SecretLayer {
    type Service = SecretCheck<S>;
    fn layer(&self, inner: S) -> SecretCheck<S> {
        SecretCheck { secrets: self.0.clone(), inner }
    }
}

impl<S, B> Service<Request<B>> for SecretCheck<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.secrets.refuse_caller(request.headers()) {
            Some(status) => Either::Left(ready(Ok(status.into_http()))),
            None => Either::Right(self.inner.call(request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn headers(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(text))])
    }

    #[test]
    fn both_secrets_are_accepted_and_nothing_else_is() {
        let secrets = ClusterSecrets::new([Some("new"), Some("old")]);
        for right in ["Bearer new", "Bearer old"] {
            assert!(secrets.refuse_caller(&headers(right)).is_none(), "{right}");
        }
        for wrong in ["", "new", "Bearer", "Bearer ne", "Bearer newer", "Bearer New", "Basic new"] {
            let status = secrets.refuse_caller(&headers(wrong)).unwrap();
            assert_eq!(status.code(), Code::Unauthenticated);
            assert!(status.message().starts_with("another secret"), "{wrong}: {status}");
        }
        let status = secrets.refuse_caller(&HeaderMap::new()).unwrap();
        assert!(status.message().contains("no secret was shown"), "{status}");
        assert!(status.message().contains("HEADWATER_CLUSTER_SECRET"), "{status}");
        assert_eq!(format!("{secrets:?}{:?}", secrets.credential()), "(hidden)Some(Sensitive)");
    }

    #[test]
    fn without_a_secret_everybody_passes() {
        let secrets = ClusterSecrets::new([None, None]);
        assert!(secrets.refuse_caller(&HeaderMap::new()).is_none());
        assert!(secrets.refuse_caller(&headers("Bearer any")).is_none());
    }
}
