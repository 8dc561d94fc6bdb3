//! Shapes of answers that only the description of the API has.

use utoipa::{ToResponse, ToSchema};

use crate::problem::FieldError;

/// Fault of a request, and what to do about it.
#[derive(ToResponse, ToSchema)]
#[response(
    description = "What went wrong, and what to do about it.",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "its fields are read by the derived description")]
pub(crate) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// Fields of the body that were not accepted, with status 422.
    errors: Option<Vec<FieldError>>,
}
