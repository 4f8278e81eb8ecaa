use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::client::{Bucket, Session};
use super::errors::{Cause, Failure};
use super::fetch::{Object, whole};
use super::wait;
use crate::trail::S3Options;

/// Larger files are sent in parts.
const WHOLE_BYTES: u64 = 64 << 20;

/// What a part holds: S3 takes 10,000 of them.
const PART_BYTES: u64 = 16 << 20;

/// Whole files below one prefix of a bucket, by keys below that prefix.
#[derive(Debug)]
pub(in crate::trail) struct Objects {
    bucket: Arc<Bucket>,
    /// Empty, or ends in `/`.
    prefix: String,
}

/// Whose version a conditional write replaces.
pub(in crate::trail) enum Condition<'a> {
    None,
    /// There is no such key.
    New,
    /// It has this ETag.
    Is(&'a str),
}

impl Objects {
    pub fn open(bucket: &str, prefix: &str, options: &S3Options) -> Result<Objects, Failure> {
        let prefix = if prefix.is_empty() || prefix.ends_with('/') { prefix.to_owned() } else { format!("{prefix}/") };
        let (bucket, answer) = wait(async {
            let session = Session::storing(options).await;
            Ok(Bucket::find(&session, bucket, &prefix).await)
        })?;
        answer?;
        Ok(Objects { bucket: Arc::new(bucket), prefix })
    }

    pub fn location(&self, key: &str) -> String {
        self.bucket.location(&format!("{}{key}", self.prefix))
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The bytes and the ETag.
    pub fn get(&self, key: &str) -> Result<Option<(Vec<u8>, String)>, Failure> {
        let Bucket { client, name, .. } = &*self.bucket;
        let found = wait(async {
            let mut failed: Option<(String, Failure)> = None;
            loop {
                let head = client.head_object().bucket(name).key(self.key(key)).send().await;
                let head = head.map_err(|error| Failure::of(&error, "s3:GetObject"))?;
                let bytes = head.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or_default();
                let etag = head.e_tag().unwrap_or_default().to_owned();
                // Another process may replace it between the two requests; if it did not, the failure is one.
                if let Some((_, failure)) = failed.filter(|(before, _)| *before == etag) {
                    return Err(failure);
                }
                let object = Object { bucket: Arc::clone(&self.bucket), key: self.key(key), bytes, etag: Some(etag.clone()) };
                match whole(object).await {
                    Ok(bytes) => return Ok((bytes, etag)),
                    Err(failure) => failed = Some((etag, failure)),
                }
            }
        });
        match found {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.cause == Cause::Missing => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Writes the whole key where the condition holds, and returns its new ETag.
    pub fn put(&self, key: &str, bytes: Vec<u8>, condition: Condition<'_>) -> Result<String, Failure> {
        let Bucket { client, name, .. } = &*self.bucket;
        let request = client.put_object().bucket(name).key(self.key(key)).body(ByteStream::from(bytes.clone()));
        let request = match condition {
            Condition::None => request,
            Condition::New => request.if_none_match("*"),
            Condition::Is(etag) => request.if_match(etag),
        };
        let put = wait(async { request.send().await.map_err(|error| Failure::of(&error, "s3:PutObject")) });
        match put {
            Ok(output) => Ok(output.e_tag().unwrap_or_default().to_owned()),
            // The condition also fails for a request whose answer was lost and that was sent again.
            Err(failure) if failure.cause == Cause::Conflict => match self.get(key)? {
                Some((there, etag)) if there == bytes => Ok(etag),
                _ => Err(failure),
            },
            // What was to be replaced is gone.
            Err(failure) if failure.cause == Cause::Missing => Err(Failure { cause: Cause::Conflict, ..failure }),
            Err(failure) => Err(failure),
        }
    }

    /// Copies a file there.
    pub fn put_file(&self, key: &str, path: &Path) -> io::Result<()> {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        if bytes <= WHOLE_BYTES {
            let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
            file.read_to_end(&mut content)?;
            return Ok(self.put(key, content, Condition::None).map(drop)?);
        }
        let Bucket { client, name, .. } = &*self.bucket;
        let key = self.key(key);
        let begun = client.create_multipart_upload().bucket(name).key(&key);
        let begun = wait(async { begun.send().await.map_err(|error| Failure::of(&error, "s3:PutObject")) })?;
        let upload = begun.upload_id().unwrap_or_default();
        let sent = self.send_parts(&key, upload, &mut file, bytes.div_ceil(9_000).max(PART_BYTES));
        if sent.is_err() {
            // Parts that stay would be paid for.
            let abort = client.abort_multipart_upload().bucket(name).key(&key).upload_id(upload);
            let _ = wait(async { abort.send().await.map_err(|error| Failure::of(&error, "s3:AbortMultipartUpload")) });
        }
        sent
    }

    fn send_parts(&self, key: &str, upload: &str, file: &mut File, part_bytes: u64) -> io::Result<()> {
        let Bucket { client, name, .. } = &*self.bucket;
        let mut parts = Vec::new();
        for number in 1_i32.. {
            let mut content = Vec::new();
            if file.take(part_bytes).read_to_end(&mut content)? == 0 {
                break;
            }
            let part = client.upload_part().bucket(name).key(key).upload_id(upload).part_number(number).body(ByteStream::from(content));
            let part = wait(async { part.send().await.map_err(|error| Failure::of(&error, "s3:PutObject")) })?;
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = client.complete_multipart_upload().bucket(name).key(key).upload_id(upload).multipart_upload(parts);
        wait(async { complete.send().await.map_err(|error| Failure::of(&error, "s3:PutObject")) })?;
        Ok(())
    }

    /// All keys that start with `prefix`, in order.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>, Failure> {
        let whole = self.key(prefix);
        wait(async {
            let mut keys = Vec::new();
            let mut token = None;
            loop {
                let page = self.bucket.list(&whole).set_continuation_token(token).send().await;
                let page = page.map_err(|error| Failure::of(&error, "s3:ListBucket"))?;
                keys.extend(page.contents().iter().filter_map(|one| one.key()?.strip_prefix(&self.prefix)).map(str::to_owned));
                token = page.next_continuation_token.filter(|_| page.is_truncated == Some(true));
                if token.is_none() {
                    keys.sort_unstable();
                    keys.dedup();
                    return Ok(keys);
                }
            }
        })
    }

    pub fn delete(&self, key: &str) -> Result<(), Failure> {
        let Bucket { client, name, .. } = &*self.bucket;
        let delete = client.delete_object().bucket(name).key(self.key(key));
        match wait(async { delete.send().await.map_err(|error| Failure::of(&error, "s3:DeleteObject")) }) {
            Err(failure) if failure.cause != Cause::Missing => Err(failure),
            _ => Ok(()),
        }
    }
}
