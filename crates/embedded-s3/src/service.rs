//! The S3 operations that exist here; every other one answers `NotImplemented`.

use crate::body::{Io as _, off};
use crate::disk::Store;
use crate::listing::{Page, Question, page};
use crate::{multipart, object};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput,
    CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteBucketInput, DeleteBucketOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, ETag, EncodingType, GetBucketLocationInput, GetBucketLocationOutput,
    GetBucketVersioningInput, GetBucketVersioningOutput, GetObjectInput, GetObjectOutput, HeadBucketInput,
    HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, Object, ObjectStorageClass,
    PutObjectInput, PutObjectOutput, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

const MAX_KEYS: usize = 1000;

/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The operations over one store.
#[derive(Debug)]
pub(crate) struct Service {
    store: Arc<Store>,
}

type Answer<T> = S3Result<S3Response<T>>;

impl Service {
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Runs `work` on the blocking pool and wraps what it returns.
    async fn answer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> S3Result<T> + Send + 'static,
    ) -> Answer<T> {
        let store = self.store.clone();
        off(move || work(&store)).await.map(S3Response::new)
    }

    fn page(&self, bucket: &str, question: &Question<'_>) -> S3Result<Page> {
        let bucket = self.store.bucket(bucket)?;
        let index = bucket.index();
        Ok(page(&index.objects, question))
    }
}

/// Makes names safe for XML when the request asks for it.
struct Encoder(bool);

impl Encoder {
    fn of(encoding: Option<&EncodingType>) -> Self {
        Self(encoding.is_some_and(|e| e.as_str() == EncodingType::URL))
    }

    fn name(&self, name: &str) -> String {
        if self.0 { utf8_percent_encode(name, PLAIN).to_string() } else { name.to_owned() }
    }

    fn objects(&self, page: &Page) -> Vec<Object> {
        let object = |(key, o): &(String, Arc<crate::index::Object>)| Object {
            key: Some(self.name(key)),
            size: i64::try_from(o.size).ok(),
            e_tag: Some(ETag::Strong(o.etag.clone())),
            last_modified: Some(object::timestamp(o.modified_ns)),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Default::default()
        };
        page.objects.iter().map(object).collect()
    }

    fn prefixes(&self, page: &Page) -> Vec<CommonPrefix> {
        page.prefixes.iter().map(|p| CommonPrefix { prefix: Some(self.name(p)) }).collect()
    }
}

fn max_keys(asked: Option<i32>) -> S3Result<usize> {
    match asked {
        None => Ok(MAX_KEYS),
        Some(n) => usize::try_from(n).map(|n| n.min(MAX_KEYS)).map_err(|_| s3_error!(InvalidArgument)),
    }
}

/// Continuation tokens are opaque to clients; ours are the hexadecimal digits of the last name.
fn token(name: &str) -> String {
    crate::disk::hex(name.as_bytes())
}

fn from_token(token: &str) -> S3Result<String> {
    let bad = || s3_error!(InvalidArgument, "the continuation token provided is incorrect");
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
    let bytes: Option<Vec<u8>> = token.as_bytes().chunks(2).map(byte).collect();
    String::from_utf8(bytes.ok_or_else(bad)?).map_err(|_| bad())
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        let name = req.input.bucket;
        let location = Some(format!("/{name}"));
        match self.answer(move |store| store.create_bucket(&name).io()).await?.output {
            true => Ok(S3Response::new(CreateBucketOutput { location })),
            false => Err(s3_error!(BucketAlreadyOwnedByYou)),
        }
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> Answer<DeleteBucketOutput> {
        self.answer(move |store| store.delete_bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        self.store.bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> Answer<GetBucketLocationOutput> {
        self.store.bucket(&req.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> Answer<GetBucketVersioningOutput> {
        self.store.bucket(&req.input.bucket)?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        let bucket = |(name, ns)| Bucket {
            name: Some(name),
            creation_date: Some(object::timestamp(ns)),
            ..Default::default()
        };
        let names = self.answer(|store| Ok(store.bucket_names())).await?.output;
        let buckets = Some(names.into_iter().map(bucket).collect());
        Ok(S3Response::new(ListBucketsOutput { buckets, ..Default::default() }))
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> Answer<ListObjectsOutput> {
        let input = req.input;
        let max = max_keys(input.max_keys)?;
        let question = Question {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref(),
            after: input.marker.as_deref().unwrap_or_default(),
            max,
        };
        let page = self.page(&input.bucket, &question)?;
        let encoder = Encoder::of(input.encoding_type.as_ref());
        Ok(S3Response::new(ListObjectsOutput {
            contents: Some(encoder.objects(&page)),
            common_prefixes: Some(encoder.prefixes(&page)),
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next.as_deref().map(|n| encoder.name(n)),
            name: Some(input.bucket),
            prefix: Some(encoder.name(question.prefix)),
            marker: Some(encoder.name(question.after)),
            delimiter: question.delimiter.map(|d| encoder.name(d)),
            max_keys: i32::try_from(max).ok(),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        let input = req.input;
        let max = max_keys(input.max_keys)?;
        let start = match &input.continuation_token {
            Some(token) => from_token(token)?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let question = Question {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref(),
            after: &start,
            max,
        };
        let page = self.page(&input.bucket, &question)?;
        let encoder = Encoder::of(input.encoding_type.as_ref());
        Ok(S3Response::new(ListObjectsV2Output {
            contents: Some(encoder.objects(&page)),
            common_prefixes: Some(encoder.prefixes(&page)),
            key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_deref().map(token),
            continuation_token: input.continuation_token,
            start_after: input.start_after.as_deref().map(|s| encoder.name(s)),
            name: Some(input.bucket),
            prefix: Some(encoder.name(question.prefix)),
            delimiter: question.delimiter.map(|d| encoder.name(d)),
            max_keys: i32::try_from(max).ok(),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        object::put(&self.store, req).await.map(S3Response::new)
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        object::get(&self.store, req.input).await.map(S3Response::new)
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        object::head(&self.store, req.input).map(S3Response::new)
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        self.answer(move |store| object::copy(store, req.input)).await
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        self.answer(move |store| store.bucket(&req.input.bucket)?.delete(&req.input.key)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        self.answer(move |store| {
            let bucket = store.bucket(&req.input.bucket)?;
            let mut deleted = Vec::new();
            for wanted in req.input.delete.objects {
                bucket.delete(&wanted.key)?;
                deleted.push(DeletedObject { key: Some(wanted.key), ..Default::default() });
            }
            let quiet = req.input.delete.quiet.unwrap_or(false);
            Ok(DeleteObjectsOutput { deleted: (!quiet).then_some(deleted), ..Default::default() })
        })
        .await
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        self.answer(move |store| multipart::create(store, req.input)).await
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        multipart::upload_part(&self.store, req).await.map(S3Response::new)
    }

    async fn upload_part_copy(&self, req: S3Request<UploadPartCopyInput>) -> Answer<UploadPartCopyOutput> {
        self.answer(move |store| multipart::upload_part_copy(store, &req.input)).await
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        self.answer(move |store| multipart::list_parts(store, req.input)).await
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        self.answer(move |store| multipart::list_uploads(store, req.input)).await
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        self.answer(move |store| multipart::complete(store, req.input)).await
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        self.answer(move |store| {
            multipart::abort(store, &req.input.bucket, &req.input.key, &req.input.upload_id)
        })
        .await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
