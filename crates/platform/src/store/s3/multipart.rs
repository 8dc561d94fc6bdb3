//! Large objects, in parts.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::error::Failure;
use super::version::{Condition, stored_version};
use super::{PART_BYTES, S3Store};
use crate::store::{Key, Version};

impl S3Store {
    /// Stores an object by parts. It appears with the last request. An upload that fails is given up, so that nobody pays for
    /// its parts; one that is cancelled is left to the lifecycle rules of the bucket.
    pub(super) async fn put_parts(
        &self,
        key: &Key,
        body: Bytes,
        content_type: &str,
        condition: &Condition<'_>,
    ) -> Result<Version, Failure> {
        let upload = self.begin_upload(key, content_type).await?;
        let done = async {
            let parts = self.upload_parts(key, &upload, body).await?;
            self.finish_upload(key, &upload, parts, condition).await
        };
        let done = done.await;
        if done.is_err() {
            let request = self.client.abort_multipart_upload().bucket(&self.settings.bucket);
            // Where this fails too, the bucket's lifecycle rules clear it away.
            let _ = request.key(self.object_name(key)).upload_id(&upload).send().await;
        }
        done
    }

    async fn begin_upload(&self, key: &Key, content_type: &str) -> Result<String, Failure> {
        let (encryption, kms_key) = self.encryption_headers();
        let request =
            self.client.create_multipart_upload().bucket(&self.settings.bucket).key(self.object_name(key));
        let request = request
            .content_type(content_type)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .set_storage_class(self.storage_class());
        let answer =
            request.send().await.map_err(|error| Failure::from_error(&self.error_context(), &error))?;
        Ok(answer.upload_id().unwrap_or_default().to_owned())
    }

    async fn upload_parts(
        &self,
        key: &Key,
        upload: &str,
        mut body: Bytes,
    ) -> Result<Vec<CompletedPart>, Failure> {
        let mut parts = Vec::new();
        for number in 1.. {
            if body.is_empty() {
                break;
            }
            let part = body.split_to(PART_BYTES.min(body.len()));
            let request = self.client.upload_part().bucket(&self.settings.bucket).key(self.object_name(key));
            let request = request.upload_id(upload).part_number(number).body(ByteStream::from(part));
            let answer =
                request.send().await.map_err(|error| Failure::from_error(&self.error_context(), &error))?;
            let Version(tag) = stored_version(&self.error_context(), answer.e_tag())?;
            parts.push(CompletedPart::builder().part_number(number).e_tag(tag).build());
        }
        Ok(parts)
    }

    async fn finish_upload(
        &self,
        key: &Key,
        upload: &str,
        parts: Vec<CompletedPart>,
        condition: &Condition<'_>,
    ) -> Result<Version, Failure> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request =
            self.client.complete_multipart_upload().bucket(&self.settings.bucket).key(self.object_name(key));
        let request = request.upload_id(upload).multipart_upload(parts);
        let request =
            request.set_if_none_match(condition.if_none_match()).set_if_match(condition.if_match()).send();
        let answer = request.await.map_err(|error| Failure::from_error(&self.error_context(), &error))?;
        stored_version(&self.error_context(), answer.e_tag())
    }
}
