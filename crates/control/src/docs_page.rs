//! The page to read and try the API: Swagger UI, which is a part of the executable.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::Shared;

/// The page talks to this address only, is in no frame, and has no script but its own.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'none'",
);

/// Routes of the page and its files.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    // The validator is a server of other people.
    let config = Config::new(["/api/v1/openapi.json"]).validator_url("none").try_it_out_enabled(true);
    let page: Router<_> = SwaggerUi::new("/api/v1/docs").config(config).into();
    page.layer(from_fn(add_policy))
}

async fn add_policy(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
