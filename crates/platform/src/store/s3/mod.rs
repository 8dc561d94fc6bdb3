//! Amazon S3, and what speaks like it.

mod error;
mod multipart;
mod read;
mod version;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{Delete, ObjectIdentifier, ServerSideEncryption, StorageClass};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use headwater_media::UnixMillis;

use super::{Folders, Key, ObjectStore, PAGE_ENTRIES, Page, Put, Replaced, Seen, StoreError, Version};
use error::{Context, Failure};
use version::Condition;

/// A connection in the same region takes 2 ms, one around the world 300.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Size of the parts that larger objects are uploaded in: 5 MiB is the least that S3 takes, and a request of this size fits
/// `timeout` on slow lines too.
const PART_BYTES: usize = 8 << 20;
/// Deletions in one request: S3 takes 1000.
const MAX_DELETIONS: usize = 1000;
/// Region that Amazon's clients use where none is configured.
const DEFAULT_REGION: &str = "us-east-1";

/// Place of a bucket, and how it is used.
#[derive(Clone, Debug, Default)]
pub struct S3Settings {
    pub bucket: String,
    /// Prefix of every key, without slashes at its ends; may be empty.
    pub prefix: String,
    /// Without it: as all of Amazon's tools find it, or else `us-east-1`.
    pub region: Option<String>,
    /// URL at which a store that is not Amazon's answers.
    pub endpoint: Option<String>,
    /// Whether the bucket is named in the path; without it, where there is an endpoint.
    pub path_style: Option<bool>,
    pub encryption: Encryption,
    pub storage_class: Option<String>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Without them: as all of Amazon's tools find them (variables, `~/.aws`, the role of the task or of the machine).
    pub credentials: Option<Credentials>,
}

/// How what is stored is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket has it.
    #[default]
    None,
    Aes256,
    Kms {
        key: Option<String>,
    },
}

/// A key and its secret, which is printed nowhere.
#[derive(Clone)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Objects in a bucket.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
    settings: S3Settings,
}

impl S3Store {
    /// Finds out the region and where credentials come from. Sends nothing to the store.
    pub async fn open(settings: &S3Settings) -> Self {
        let tls = Provider::Rustls(CryptoMode::Ring);
        let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .operation_timeout(settings.timeout)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts)
            // Whoever uploads tries again, for longer than this would, and has to know that it fails.
            .retry_config(RetryConfig::disabled())
            .region(find_region(settings).await);
        if let Some(endpoint) = &settings.endpoint {
            // Stores of others don't know all of Amazon's checksums.
            let checksums = RequestChecksumCalculation::WhenRequired;
            loader = loader.endpoint_url(endpoint).request_checksum_calculation(checksums);
        }
        if let Some(Credentials { access_key, secret_key }) = &settings.credentials {
            let fixed = aws_sdk_s3::config::Credentials::new(access_key, secret_key, None, None, "settings");
            loader = loader.credentials_provider(fixed);
        }
        let path_style = settings.path_style.unwrap_or(settings.endpoint.is_some());
        let config =
            aws_sdk_s3::config::Builder::from(&loader.load().await).force_path_style(path_style).build();
        Self { client: Client::from_conf(config), settings: settings.clone() }
    }

    /// The name of an object in the bucket.
    fn object_name(&self, key: &Key) -> String {
        self.name_below(key.as_str())
    }

    fn name_below(&self, key: &str) -> String {
        match self.settings.prefix.as_str() {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        }
    }

    /// None for what is not ours.
    fn key_of(&self, object: &str) -> Option<Key> {
        let key = match self.settings.prefix.as_str() {
            "" => object,
            prefix => object.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        Key::new(key).ok()
    }

    fn error_context(&self) -> Context<'_> {
        Context { bucket: &self.settings.bucket, endpoint: self.settings.endpoint.as_deref() }
    }

    fn encryption_headers(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.settings.encryption {
            Encryption::None => (None, None),
            Encryption::Aes256 => (Some(ServerSideEncryption::Aes256), None),
            Encryption::Kms { key } => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }

    fn storage_class(&self) -> Option<StorageClass> {
        self.settings.storage_class.as_deref().map(StorageClass::from)
    }

    fn put_request(&self, key: &Key, body: Bytes, content_type: &str) -> PutObjectFluentBuilder {
        let (encryption, kms_key) = self.encryption_headers();
        let request = self.client.put_object().bucket(&self.settings.bucket).key(self.object_name(key));
        request
            .content_type(content_type)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .set_storage_class(self.storage_class())
            .body(ByteStream::from(body))
    }

    async fn find_existing(&self, key: &Key) -> Result<Put, StoreError> {
        match self.size(key).await? {
            Some(size) => Ok(Put::Existed { size }),
            None => {
                Err(StoreError::Unavailable("an object was deleted while another was stored there".into()))
            }
        }
    }

    /// Some of what is below a prefix: whole keys, or names only where there is a `delimiter`.
    async fn list_page(
        &self,
        prefix: &Key,
        after: Option<String>,
        delimiter: Option<&str>,
    ) -> Result<Listed, StoreError> {
        let request = self.client.list_objects_v2().bucket(&self.settings.bucket);
        let request = request.prefix(self.name_below(&prefix.folder())).max_keys(PAGE_ENTRIES as i32);
        let answer = request.set_start_after(after).set_delimiter(delimiter.map(Into::into)).send().await;
        answer.map_err(|error| self.error_context().explain_error(&error))
    }
}

type Listed = aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;

/// Amazon's way to find a region asks the machine, which takes seconds where there is no such machine: not for the stores of
/// others.
async fn find_region(settings: &S3Settings) -> Region {
    match (&settings.region, &settings.endpoint) {
        (Some(region), _) => Region::new(region.clone()),
        (None, Some(_)) => Region::new(DEFAULT_REGION),
        (None, None) => {
            let found = RegionProviderChain::default_provider().or_else(DEFAULT_REGION).region().await;
            found.unwrap_or(Region::new(DEFAULT_REGION))
        }
    }
}

fn unix_millis(time: Option<&DateTime>) -> UnixMillis {
    let millis = time.and_then(|time| time.to_millis().ok()).unwrap_or_default();
    UnixMillis(millis.try_into().unwrap_or_default())
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put(&self, key: &Key, body: Bytes, content_type: &str) -> Result<Version, StoreError> {
        let stored = self.put_under(key, body, content_type, &Condition::None).await;
        stored.map_err(|failure| failure.error)
    }

    async fn put_new(&self, key: &Key, body: Bytes, content_type: &str) -> Result<Put, StoreError> {
        match self.put_under(key, body, content_type, &Condition::Absent).await {
            Ok(_) => Ok(Put::Stored),
            Err(failure) if failure.has_other_version => self.find_existing(key).await,
            Err(failure) => Err(failure.error),
        }
    }

    async fn replace(
        &self,
        key: &Key,
        body: Bytes,
        content_type: &str,
        version: &Version,
    ) -> Result<Replaced, StoreError> {
        match self.put_under(key, body, content_type, &Condition::Is(version)).await {
            Ok(version) => Ok(Replaced::Stored(version)),
            Err(failure) if failure.has_other_version || failure.is_absent => Ok(Replaced::Changed),
            Err(failure) => Err(failure.error),
        }
    }

    async fn look(&self, key: &Key) -> Result<Seen, StoreError> {
        self.read_patiently(|| self.look_once(key)).await
    }

    async fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.read_patiently(|| self.get_once(key)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.read_patiently(|| self.get_range_once(key, range.clone())).await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        self.read_patiently(|| self.size_once(key)).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Page, StoreError> {
        self.read_patiently(|| self.list_once(prefix, after)).await
    }

    async fn folders(&self, prefix: &Key, after: Option<&str>) -> Result<Folders, StoreError> {
        self.read_patiently(|| self.folders_once(prefix, after)).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        for keys in keys.chunks(MAX_DELETIONS) {
            self.delete_some(keys).await?;
        }
        Ok(())
    }

    async fn presign(&self, key: &Key, expires: Duration) -> Result<Option<String>, StoreError> {
        let expires = PresigningConfig::expires_in(expires);
        let expires =
            expires.map_err(|error| StoreError::Refused(format!("no URL may hold so long: {error}")))?;
        let request = self.client.get_object().bucket(&self.settings.bucket).key(self.object_name(key));
        let request =
            request.presigned(expires).await.map_err(|error| self.error_context().explain_error(&error))?;
        Ok(Some(request.uri().to_owned()))
    }
}

impl S3Store {
    async fn put_under(
        &self,
        key: &Key,
        body: Bytes,
        content_type: &str,
        condition: &Condition<'_>,
    ) -> Result<Version, Failure> {
        if body.len() > PART_BYTES {
            return self.put_parts(key, body, content_type, condition).await;
        }
        let request = self.put_request(key, body, content_type);
        let request =
            request.set_if_none_match(condition.if_none_match()).set_if_match(condition.if_match()).send();
        let answer = request.await.map_err(|error| Failure::from_error(&self.error_context(), &error))?;
        version::stored_version(&self.error_context(), answer.e_tag())
    }

    /// Reads a body to its end, in the time that [`patiently`](Self::patiently) gives the whole request.
    async fn read_body(&self, body: ByteStream) -> Result<Bytes, StoreError> {
        let broken =
            |error| StoreError::Unavailable(format!("the connection broke within an object: {error}"));
        Ok(body.collect().await.map_err(broken)?.into_bytes())
    }

    async fn delete_some(&self, keys: &[Key]) -> Result<(), StoreError> {
        let object = |key: &Key| ObjectIdentifier::builder().key(self.object_name(key)).build();
        let objects: Vec<_> = keys.iter().filter_map(|key| object(key).ok()).collect();
        let Ok(delete) = Delete::builder().set_objects(Some(objects)).quiet(true).build() else {
            return Ok(());
        };
        let request = self.client.delete_objects().bucket(&self.settings.bucket).delete(delete);
        let answer = request.send().await.map_err(|error| self.error_context().explain_error(&error))?;
        let errors = answer.errors().iter().filter(|error| error.code() != Some("NoSuchKey"));
        let first = errors
            .map(|error| (error.code().unwrap_or_default(), error.message().unwrap_or_default()))
            .next();
        first.map_or(Ok(()), |(code, message)| Err(self.error_context().explain_refusal(200, code, message)))
    }
}
