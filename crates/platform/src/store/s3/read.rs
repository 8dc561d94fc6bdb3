//! Reading: what fails is read again, as long as somebody who waits for it may be kept waiting.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use super::error::Failure;
use super::{S3Store, unix_millis};
use crate::store::{Entry, Folders, Key, Page, StoreError};

/// How long is waited before each further try: a store that throttles or loses a connection mostly answers the next one.
const RETRY_PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(800)];

impl S3Store {
    /// Reads, and again where the store is not available. All tries together take no longer than one request may.
    pub(super) async fn read_patiently<T, F>(&self, read: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let until = Instant::now() + self.settings.timeout;
        let tries = async {
            let mut pauses = RETRY_PAUSES.into_iter();
            loop {
                match (read().await, pauses.next()) {
                    (Err(StoreError::Unavailable(_)), Some(pause)) if Instant::now() + pause < until => {
                        sleep(pause).await;
                    }
                    (read, _) => return read,
                }
            }
        };
        timeout_at(until, tries).await.unwrap_or_else(|_| Err(self.error_context().late()))
    }

    pub(super) async fn get_once(&self, key: &Key) -> Result<Bytes, StoreError> {
        let request = self.client.get_object().bucket(&self.settings.bucket).key(self.object_name(key));
        let answer = request.send().await.map_err(|error| self.error_context().explain_error(&error))?;
        self.read_body(answer.body).await
    }

    pub(super) async fn get_range_once(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let request = self.client.get_object().bucket(&self.settings.bucket).key(self.object_name(key));
        let answer = request.range(format!("bytes={}-{}", range.start, range.end - 1)).send().await;
        match answer.map_err(|error| Failure::from_error(&self.error_context(), &error)) {
            Ok(answer) => self.read_body(answer.body).await,
            Err(failure) if failure.is_past_end => Ok(Bytes::new()),
            Err(failure) => Err(failure.error),
        }
    }

    pub(super) async fn size_once(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        let request = self.client.head_object().bucket(&self.settings.bucket).key(self.object_name(key));
        match request.send().await.map_err(|error| Failure::from_error(&self.error_context(), &error)) {
            Ok(answer) => {
                Ok(Some(answer.content_length().unwrap_or_default().try_into().unwrap_or_default()))
            }
            Err(failure) if failure.is_absent => Ok(None),
            Err(failure) => Err(failure.error),
        }
    }

    pub(super) async fn list_once(&self, prefix: &Key, after: Option<&Key>) -> Result<Page, StoreError> {
        let answer = self.list_page(prefix, after.map(|key| self.object_name(key)), None).await?;
        let entry = |object: &aws_sdk_s3::types::Object| {
            let size = object.size().unwrap_or_default().try_into().unwrap_or_default();
            let modified = unix_millis(object.last_modified());
            Some(Entry { key: self.key_of(object.key()?)?, size, modified })
        };
        let entries = answer.contents().iter().filter_map(entry).collect();
        Ok(Page { entries, is_truncated: answer.is_truncated().unwrap_or_default() })
    }

    pub(super) async fn folders_once(
        &self,
        prefix: &Key,
        after: Option<&str>,
    ) -> Result<Folders, StoreError> {
        let folder = self.name_below(&prefix.folder());
        // Everything below `name/` is before `name0`, as `0` follows the slash.
        let mut after = after.map(|name| format!("{folder}{name}0"));
        // A page may hold objects only.
        loop {
            let answer = self.list_page(prefix, after.take(), Some("/")).await?;
            let name = |object: &str| Some(object.strip_prefix(&folder)?.strip_suffix('/')?.to_owned());
            let prefixes = answer.common_prefixes().iter().filter_map(|found| found.prefix());
            let names: Vec<_> = prefixes.filter_map(name).collect();
            let is_truncated = answer.is_truncated().unwrap_or_default();
            let last = answer.contents().iter().filter_map(|object| object.key()).next_back();
            match last {
                Some(last) if names.is_empty() && is_truncated => after = Some(last.to_owned()),
                _ => return Ok(Folders { names, is_truncated }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::stand_in_settings;

    #[tokio::test(start_paused = true)]
    async fn all_tries_together_take_no_longer_than_one_request_may() {
        let timeout = Duration::from_secs(10);
        let settings = stand_in_settings("http://127.0.0.1:1".into(), timeout);
        let store = S3Store::open(&settings).await;
        let began = Instant::now();
        let slow = || async {
            sleep(timeout * 3 / 4).await;
            Err::<(), _>(StoreError::Unavailable("busy".into()))
        };
        let read = store.read_patiently(slow).await;
        assert!(matches!(&read, Err(StoreError::Unavailable(text)) if text.contains("in time")), "{read:?}");
        assert_eq!(began.elapsed(), timeout);
    }
}
