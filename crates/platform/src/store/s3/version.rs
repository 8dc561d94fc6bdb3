//! Versions of objects, and how old they are by the clock of the store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use headwater_media::lock::MutexExt;

use super::S3Store;
use super::error::{Context, Failure};
use crate::store::{Key, Seen, StoreError, Version};

/// State of the existing object that a write requires (RFC 9110 §13.1).
pub(super) enum Condition<'a> {
    None,
    Absent,
    Is(&'a Version),
}

impl Condition<'_> {
    pub(super) fn if_none_match(&self) -> Option<String> {
        matches!(self, Self::Absent).then(|| "*".into())
    }

    pub(super) fn if_match(&self) -> Option<String> {
        match self {
            Self::Is(Version(tag)) => Some(tag.clone()),
            Self::None | Self::Absent => None,
        }
    }
}

/// The version that an upload has made. Every S3 gives an entity tag; an answer of 200 without one is that of something else,
/// a proxy or a page to log in by, which has stored nothing.
pub(super) fn stored_version(context: &Context<'_>, tag: Option<&str>) -> Result<Version, Failure> {
    let tag = tag.filter(|tag| !tag.is_empty());
    tag.map(|tag| Version(tag.to_owned()))
        .ok_or_else(|| context.strange_answer("an upload without an ETag").into())
}

impl S3Store {
    pub(super) async fn look_once(&self, key: &Key) -> Result<Seen, StoreError> {
        let now = StoreClock::default();
        let request = self.client.get_object().bucket(&self.settings.bucket).key(self.object_name(key));
        let answer = request.customize().interceptor(now.clone()).send().await;
        let answer = answer.map_err(|error| self.error_context().explain_error(&error))?;
        let strange = |what| self.error_context().strange_answer(what);
        let version = answer.e_tag().map(|tag| Version(tag.to_owned()));
        let version = version.ok_or_else(|| strange("an object without an ETag"))?;
        let written = answer.last_modified().copied();
        let (now, written) =
            now.store_time().zip(written).ok_or_else(|| strange("without Date or Last-Modified"))?;
        let age =
            Duration::from_secs(now.secs().saturating_sub(written.secs()).try_into().unwrap_or_default());
        Ok(Seen { body: self.read_body(answer.body).await?, version, age })
    }
}

/// The `Date` of an answer (RFC 9110 §6.6.1).
#[derive(Clone, Debug, Default)]
struct StoreClock(Arc<Mutex<Option<DateTime>>>);

impl StoreClock {
    fn store_time(&self) -> Option<DateTime> {
        *self.0.lock_ignoring_poison()
    }
}

impl Intercept for StoreClock {
    fn name(&self) -> &'static str {
        "StoreClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        *self.0.lock_ignoring_poison() = date;
        Ok(())
    }
}
