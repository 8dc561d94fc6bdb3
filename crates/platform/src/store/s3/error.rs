//! Meaning of S3's errors, with advice to the operator.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::store::StoreError;

/// Request that an error names.
pub(super) struct Context<'a> {
    pub(super) bucket: &'a str,
    pub(super) endpoint: Option<&'a str>,
}

/// An error, and what it says about the object that was asked for.
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// There is none, by the status alone (RFC 9110 §15.5.5): an answer to HEAD says nothing else.
    pub(super) is_absent: bool,
    /// It is not as the request's condition has it: there is one where none was to be, or another version
    /// (RFC 9110 §15.5.13).
    pub(super) has_other_version: bool,
    /// The object ends before the range that was asked for (RFC 9110 §15.5.17).
    pub(super) is_past_end: bool,
}

const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 412;
const RANGE_NOT_SATISFIABLE: u16 = 416;

impl Failure {
    pub(super) fn from_error<E>(context: &Context<'_>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        Self {
            error: context.explain_error(error),
            is_absent: status == Some(NOT_FOUND),
            has_other_version: status == Some(PRECONDITION_FAILED),
            is_past_end: status == Some(RANGE_NOT_SATISFIABLE),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, is_absent: false, has_other_version: false, is_past_end: false }
    }
}

impl Context<'_> {
    pub(super) fn explain_error<E>(&self, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                let code = service.err().code().unwrap_or_default();
                self.explain_refusal(status, code, service.err().message().unwrap_or_default())
            }
            SdkError::ResponseError(response) => {
                let status = response.raw().status().as_u16();
                self.explain_refusal(status, "", "an answer that is not S3's")
            }
            SdkError::TimeoutError(_) => self.late(),
            error => self.unreachable_error(error),
        }
    }

    /// By status and S3's code for it.
    pub(super) fn explain_refusal(&self, status: u16, code: &str, message: &str) -> StoreError {
        let said = [status.to_string(), code.into(), message.into()];
        let said: Vec<_> = said.iter().filter(|text| !text.is_empty()).map(String::as_str).collect();
        let said = format!("{} answers {}", self.object_place(), said.join(" "));
        let bucket = self.bucket;
        let refused = |advice: &str| StoreError::Refused(format!("{said}: {advice}"));
        match (status, code) {
            (_, "NoSuchBucket") => {
                refused(&format!("make the bucket {bucket:?}, or name another one in store.url"))
            }
            (_, "NoSuchKey" | "NotFound" | "NoSuchUpload") => StoreError::NotFound,
            (
                _,
                "InvalidAccessKeyId"
                | "NotSignedUp"
                | "SignatureDoesNotMatch"
                | "InvalidToken"
                | "ExpiredToken",
            ) => refused(
                "check the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, or the role)",
            ),
            (_, "RequestTimeTooSkewed") => refused("set the clock of this machine"),
            (301 | 307, _)
            | (
                _,
                "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException",
            ) => refused("set store.region to the region of the bucket"),
            (401 | 403, _) => refused(
                "the credentials need s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload on its \
                    objects and s3:ListBucket on the bucket",
            ),
            (408 | 409 | 425 | 429 | 500.., _) if status != 501 => StoreError::Unavailable(said),
            (_, "SlowDown" | "InternalError" | "ServiceUnavailable" | "RequestTimeout" | "Throttling") => {
                StoreError::Unavailable(said)
            }
            (501, _) => refused(
                "this store does not know the request: it must know If-None-Match, If-Match and multipart uploads",
            ),
            _ => refused("check store.url and store.endpoint"),
        }
    }

    /// There was no answer: no connection, no credentials, no request at all.
    fn unreachable_error(&self, error: &(dyn Error + 'static)) -> StoreError {
        let why = innermost_cause(error);
        let causes = DisplayErrorContext(error).to_string();
        if causes.contains("CredentialsNotLoaded") || causes.contains("no providers in chain") {
            return StoreError::Refused(
                "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this task or machine a \
                    role"
                    .into(),
            );
        }
        let hint = if self.endpoint.is_some() {
            "check store.endpoint"
        } else {
            "check store.region and the network"
        };
        StoreError::Unavailable(format!("{} can't be reached: {why}: {hint}", self.object_place()))
    }

    /// There was no whole answer within the time of a request.
    pub(super) fn late(&self) -> StoreError {
        StoreError::Unavailable(format!("{} did not answer in time (store.timeout)", self.object_place()))
    }

    /// An answer that S3 would not give; whether the request was done is not known.
    pub(super) fn strange_answer(&self, what: &str) -> StoreError {
        StoreError::Unavailable(format!("{} answers {what}: check store.endpoint", self.object_place()))
    }

    fn object_place(&self) -> String {
        match self.endpoint {
            Some(endpoint) => format!("{endpoint} (bucket {:?})", self.bucket),
            None => format!("S3 (bucket {:?})", self.bucket),
        }
    }
}

/// The cause of all causes says most.
fn innermost_cause(mut error: &(dyn Error + 'static)) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_advice_and_only_what_may_pass_is_tried_again() {
        let context = Context { bucket: "b", endpoint: None };
        let said = |status, code| context.explain_refusal(status, code, "message").to_string();
        for (status, code, part) in [
            (404, "NoSuchBucket", "make the bucket \"b\""),
            (403, "SignatureDoesNotMatch", "check the credentials"),
            (403, "AccessDenied", "s3:PutObject"),
            (403, "RequestTimeTooSkewed", "set the clock"),
            (301, "PermanentRedirect", "store.region"),
            (400, "AuthorizationHeaderMalformed", "store.region"),
            (501, "NotImplemented", "If-None-Match"),
            (400, "Strange", "check store.url"),
            (404, "", "check store.url"),
        ] {
            let text = said(status, code);
            assert!(text.starts_with("the store refuses") && text.contains(part), "{status} {code}: {text}");
        }
        for (status, code) in
            [(503, "SlowDown"), (500, "InternalError"), (429, ""), (409, "ConditionalRequestConflict")]
        {
            assert!(
                matches!(context.explain_refusal(status, code, ""), StoreError::Unavailable(_)),
                "{status} {code}"
            );
        }
        assert_eq!(context.explain_refusal(404, "NoSuchKey", "message"), StoreError::NotFound);
    }
}
