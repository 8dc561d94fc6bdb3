//! Problem details: errors that a program can read (RFC 9457).

use http::StatusCode;
use serde::Serialize;

/// Media type of [`ProblemDetails`] (RFC 9457 §6.1).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Body of an error's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProblemDetails {
    /// Advice: what to do about it.
    detail: String,
    status: u16,
    /// Summary that is the same for all problems of the kind.
    title: &'static str,
    /// URN of the kind of problem.
    #[serde(rename = "type")]
    kind: String,
}

impl ProblemDetails {
    /// A problem of the kind `urn:headwater:problem:<name>`.
    pub fn new(status: StatusCode, name: &str, title: &'static str, detail: impl Into<String>) -> Self {
        let kind = format!("urn:headwater:problem:{name}");
        Self { detail: detail.into(), status: status.as_u16(), title, kind }
    }

    /// The details as [`PROBLEM_JSON`].
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and a number are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_kind_and_says_what_to_do() {
        let problem = ProblemDetails::new(StatusCode::NOT_FOUND, "no-route", "Not \"here\"", "Look there.");
        assert_eq!(
            problem.to_json(),
            r#"{"detail":"Look there.","status":404,"title":"Not \"here\"","type":"urn:headwater:problem:no-route"}"#
        );
    }
}
