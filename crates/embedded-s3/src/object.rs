//! Reading and writing whole objects: put, get, head, copy.

use crate::body::{Claims, Io as _, Writer, off, read_first, stage, stream};
use crate::disk::{Bucket, Condition, Staged, Store, matches};
use crate::fields::{claimed, described, with_sums};
use crate::index::{Attributes, Object};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc64Nvme};
use s3s::dto::{
    ChecksumMode, ChecksumType, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, ETag,
    ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, Metadata,
    MetadataDirective, PutObjectInput, PutObjectOutput, Range, Timestamp,
};
use s3s::{S3Request, S3Result, s3_error};
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// What S3 allows for all user metadata of an object together, bytes.
const MAX_USER_METADATA: usize = 2048;

/// Nanoseconds since the epoch as the protocol's time, cut to whole seconds as S3 keeps them.
pub(crate) fn timestamp(ns: i64) -> Timestamp {
    let seconds = u64::try_from(ns.div_euclid(1_000_000_000)).unwrap_or(0);
    Timestamp::from(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Checks the user's metadata and takes it over.
pub(crate) fn user_metadata(given: Option<Metadata>) -> S3Result<std::collections::BTreeMap<String, String>> {
    let user: std::collections::BTreeMap<_, _> = given.unwrap_or_default().into_iter().collect();
    match user.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() {
        n if n > MAX_USER_METADATA => Err(s3_error!(MetadataTooLarge)),
        _ => Ok(user),
    }
}

pub(crate) async fn put(store: &Arc<Store>, req: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
    let input = req.input;
    let bucket = store.bucket(&input.bucket)?;
    let attributes = Attributes {
        content_type: input.content_type,
        content_encoding: input.content_encoding.filter(|e| e != "aws-chunked"),
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        user: user_metadata(input.metadata)?,
    };
    let sums = claimed!(input);
    let when = Condition { if_match: input.if_match, if_none_match: input.if_none_match };
    let claims = Claims::new(input.content_md5, sums, &req.headers, req.trailing_headers);
    let staged = stage(store, input.body, claims).await?;
    let object = off(move || bucket.put(&input.key, &staged, attributes, &when)).await?;
    let sum = |name: &str| object.sums.get(name).cloned();
    Ok(with_sums!(PutObjectOutput, sum, {
        e_tag: Some(ETag::Strong(object.etag.clone())),
        checksum_type: Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
    }))
}

/// The conditions of a read.
struct Wanted {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

impl Wanted {
    /// RFC 9110 §13.2.2: the ETag conditions go before the times.
    fn check(&self, object: &Object) -> S3Result<()> {
        let modified = timestamp(object.modified_ns);
        let met = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => matches(condition, &object.etag),
            (None, Some(since)) => modified <= *since,
            (None, None) => true,
        };
        if !met {
            return Err(s3_error!(PreconditionFailed));
        }
        let fresh = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => !matches(condition, &object.etag),
            (None, Some(since)) => modified > *since,
            (None, None) => true,
        };
        if fresh { Ok(()) } else { Err(s3_error!(NotModified)) }
    }
}

/// The range of an object that was asked for, and its `Content-Range`.
fn cut(range: Option<Range>, size: u64) -> S3Result<(std::ops::Range<u64>, Option<String>)> {
    match range {
        None => Ok((0..size, None)),
        Some(range) => {
            let r = range.check(size)?;
            let text = format!("bytes {}-{}/{}", r.start, r.end.saturating_sub(1), size);
            Ok((r, Some(text)))
        }
    }
}

pub(crate) async fn get(store: &Arc<Store>, input: GetObjectInput) -> S3Result<GetObjectOutput> {
    let bucket = store.bucket(&input.bucket)?;
    let wanted = Wanted {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let (key, range) = (input.key, input.range);
    let (object, file, first, range, content_range) = off(move || {
        let (object, mut file) = bucket.open_object(&key)?;
        wanted.check(&object)?;
        let (range, content_range) = cut(range, object.size)?;
        let first = read_first(&mut file, &range).io()?;
        Ok((object, file, first, range, content_range))
    })
    .await?;
    let whole = range.end - range.start == object.size;
    let sum = |name: &str| sum_if(&object, name, whole && enabled(input.checksum_mode.as_ref()));
    Ok(
        described!(GetObjectOutput, object, range, content_range, sum, { body: Some(stream(file, first, range)) }),
    )
}

pub(crate) fn head(store: &Store, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
    let bucket = store.bucket(&input.bucket)?;
    let object = bucket.index().objects.get(&input.key).cloned().ok_or_else(|| s3_error!(NoSuchKey))?;
    let wanted = Wanted {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    wanted.check(&object)?;
    let (range, content_range) = cut(input.range, object.size)?;
    let sum = |name: &str| sum_if(&object, name, enabled(input.checksum_mode.as_ref()));
    Ok(described!(HeadObjectOutput, object, range, content_range, sum, {}))
}

fn enabled(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|m| m.as_str() == ChecksumMode::ENABLED)
}

fn sum_if(object: &Object, name: &str, wanted: bool) -> Option<String> {
    object.sums.get(name).filter(|_| wanted).cloned()
}

/// Opens the source of a copy.
pub(crate) fn open_source(store: &Store, source: &CopySource) -> S3Result<(Arc<Object>, File)> {
    match source {
        CopySource::Bucket { bucket, key, .. } => store.bucket(bucket)?.open_object(key),
        _ => Err(s3_error!(NotImplemented)),
    }
}

/// Copies a range of an open file into a temporary one.
pub(crate) fn copy_range(store: &Store, mut file: File, range: std::ops::Range<u64>) -> S3Result<Staged> {
    let hasher = ChecksumHasher { crc64nvme: Some(Crc64Nvme::new()), ..Default::default() };
    let mut writer = Writer::new(store, hasher).io()?;
    let (mut bytes, mut at) = (read_first(&mut file, &range).io()?, range.start);
    let mut buffer = vec![0; 1 << 20];
    loop {
        writer.write(&bytes).io()?;
        at += bytes.len() as u64;
        let left = usize::try_from(range.end.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
        let read = match left {
            0 => 0,
            left => file.read(&mut buffer[..left]).io()?,
        };
        if read == 0 {
            break;
        }
        bytes = bytes::Bytes::copy_from_slice(&buffer[..read]);
    }
    if at < range.end {
        return Err(s3_error!(InternalError, "the source is shorter than it was"));
    }
    Ok(writer.finish().0)
}

pub(crate) fn copy(store: &Store, input: CopyObjectInput) -> S3Result<CopyObjectOutput> {
    let target: Arc<Bucket> = store.bucket(&input.bucket)?;
    let (source, file) = open_source(store, &input.copy_source)?;
    let wanted = Wanted {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    // Where a read answers "not modified", a copy fails.
    wanted.check(&source).map_err(|_| s3_error!(PreconditionFailed))?;
    let replace = input.metadata_directive.is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
    let attributes = if replace {
        Attributes {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            user: user_metadata(input.metadata)?,
        }
    } else {
        source.attributes.clone()
    };
    let staged = copy_range(store, file, 0..source.size)?;
    let object = target.put(&input.key, &staged, attributes, &Condition::default())?;
    let copy_object_result = Some(CopyObjectResult {
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(timestamp(object.modified_ns)),
        ..Default::default()
    });
    Ok(CopyObjectOutput { copy_object_result, ..Default::default() })
}
