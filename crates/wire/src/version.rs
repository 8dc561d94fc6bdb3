//! Version of the gRPC contract. A peer that speaks another one is told so, instead of that its method is unknown.

use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// Package of the services that this build speaks.
pub const PACKAGE: &str = "headwater.v2";
/// Beginning of the package names of all versions.
const FAMILY: &str = "headwater.";

/// Layer that answers calls of other versions of the contract with `FAILED_PRECONDITION`.
#[derive(Clone, Copy, Debug, Default)]
pub struct VersionLayer;

/// Service behind a [`VersionLayer`].
#[derive(Clone, Debug)]
pub struct VersionCheck<S>(S);

impl<S> Layer<S> for VersionLayer {
    type Service = VersionCheck<S>;
    fn layer(&self, inner: S) -> VersionCheck<S> {
        VersionCheck(inner)
    }
}

impl<S, B> Service<Request<B>> for VersionCheck<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match refuse_version(request.uri().path()) {
            Some(status) => Either::Left(ready(Ok(status.into_http()))),
            None => Either::Right(self.0.call(request)),
        }
    }
}

/// Answer to a call of this path, where it is one of another version.
fn refuse_version(path: &str) -> Option<Status> {
    let (service, _) = path.strip_prefix('/')?.split_once('/')?;
    let (package, _) = service.rsplit_once('.')?;
    let is_other = package.starts_with(FAMILY) && package != PACKAGE;
    is_other.then(|| {
        Status::failed_precondition(format!(
            "the caller speaks {package}, this server {PACKAGE} (Headwater {}): run releases that follow each other, of \
             0.2.0 or later",
            env!("CARGO_PKG_VERSION")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn other_versions_are_told_both() {
        let status = refuse_version("/headwater.v1.Ingest/Publish").unwrap();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().contains("headwater.v1") && status.message().contains(PACKAGE), "{status}");
    }

    #[test]
    fn this_version_and_services_of_others_pass() {
        for path in [&format!("/{PACKAGE}.Ingest/Publish"), "/grpc.health.v1.Health/Check", "/", "/x"] {
            assert!(refuse_version(path).is_none(), "{path}");
        }
    }
}
