//! Multipart uploads: a directory per upload, a file per part, no state in memory, so that an upload
//! goes on after a restart.
//!
//! A part's file is called `<number>.<md5>.<size>`: whoever lists the directory knows all that
//! `ListParts` tells.

use crate::body::{Claims, Io as _, Writer, off, stage};
use crate::disk::{Bucket, Condition, Staged, Store, hex};
use crate::fields::{claimed, with_sums};
use crate::index::{Attributes, size_and_time};
use crate::object::{copy_range, open_source, timestamp, user_metadata};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc64Nvme, Md5};
use s3s::dto::{
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyPartResult, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
    ListPartsOutput, MultipartUpload, Part, Range, UploadPartCopyInput, UploadPartCopyOutput,
    UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every part but the last has at least this many bytes.
const MIN_PART: u64 = 5 << 20;
const MAX_PARTS: i32 = 10_000;
const PAGE: usize = 1000;

#[derive(Serialize, Deserialize)]
struct Upload {
    key: String,
    attributes: Attributes,
}

#[derive(Debug, Clone)]
struct PartFile {
    number: i32,
    md5: String,
    size: u64,
    modified_ns: i64,
    path: PathBuf,
}

/// The directory of an upload, or `NoSuchUpload`; also when the id belongs to another key.
fn find(bucket: &Bucket, id: &str, key: &str) -> S3Result<(PathBuf, Upload)> {
    let missing = || s3_error!(NoSuchUpload);
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Err(missing());
    }
    let dir = bucket.uploads().join(id);
    let info = std::fs::read(dir.join("upload")).map_err(|_| missing())?;
    let upload: Upload = serde_json::from_slice(&info).map_err(|_| missing())?;
    if upload.key == key { Ok((dir, upload)) } else { Err(missing()) }
}

/// The parts of an upload in the order of their numbers.
fn parts(dir: &Path) -> S3Result<Vec<PartFile>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).io()? {
        let entry = entry.io()?;
        let name = entry.file_name();
        let mut words = name.to_str().unwrap_or_default().split('.');
        if let (Some(Ok(number)), Some(md5), Some(Ok(size))) =
            (words.next().map(str::parse), words.next(), words.next().map(str::parse))
        {
            let modified_ns = size_and_time(&entry.metadata().io()?).1;
            all.push(PartFile { number, md5: md5.to_owned(), size, modified_ns, path: entry.path() });
        }
    }
    // Of a part that was sent again the newer one counts.
    all.sort_by_key(|p| (p.number, std::cmp::Reverse(p.modified_ns)));
    all.dedup_by_key(|p| p.number);
    Ok(all)
}

pub(crate) fn create(
    store: &Store,
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let bucket = store.bucket(&input.bucket)?;
    let attributes = Attributes {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        user: user_metadata(input.metadata)?,
    };
    let id = runtime::Random::system().uuid();
    let dir = bucket.uploads().join(&id);
    std::fs::create_dir(&dir).io()?;
    let info = serde_json::to_vec(&Upload { key: input.key.clone(), attributes });
    std::fs::write(dir.join("upload"), info.map_err(|e| s3_error!(e, InternalError))?).io()?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        ..Default::default()
    })
}

pub(crate) async fn upload_part(
    store: &Arc<Store>,
    req: S3Request<UploadPartInput>,
) -> S3Result<UploadPartOutput> {
    let input = req.input;
    let bucket = store.bucket(&input.bucket)?;
    let (id, key, number) = (input.upload_id, input.key, input.part_number);
    let sums = claimed!(input);
    let claims = Claims::new(input.content_md5, sums, &req.headers, req.trailing_headers);
    let staged = stage(store, input.body, claims).await?;
    let staged = off(move || {
        keep(&bucket, &id, &key, number, &staged)?;
        Ok(staged)
    })
    .await?;
    let sum = |name: &str| staged.sums.get(name).cloned();
    Ok(with_sums!(UploadPartOutput, sum, { e_tag: Some(ETag::Strong(staged.etag.clone())) }))
}

/// Gives staged bytes their place among the parts and removes what they replace.
fn keep(bucket: &Bucket, id: &str, key: &str, number: i32, staged: &Staged) -> S3Result<()> {
    if !(1..=MAX_PARTS).contains(&number) {
        return Err(s3_error!(InvalidArgument, "part numbers are 1 to 10000"));
    }
    let (dir, _) = find(bucket, id, key)?;
    let path = dir.join(format!("{number}.{}.{}", staged.etag, staged.size));
    std::fs::rename(&staged.path, &path).io()?;
    for old in std::fs::read_dir(&dir).io()? {
        let old = old.io()?;
        let same = old.file_name().to_str().is_some_and(|n| n.starts_with(&format!("{number}.")));
        if same && old.path() != path {
            let _ = std::fs::remove_file(old.path());
        }
    }
    Ok(())
}

pub(crate) fn upload_part_copy(store: &Store, input: &UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
    let (source, file) = open_source(store, &input.copy_source)?;
    let range = match &input.copy_source_range {
        None => 0..source.size,
        Some(text) => Range::parse(text).map_err(|_| s3_error!(InvalidArgument))?.check(source.size)?,
    };
    let staged = copy_range(store, file, range)?;
    keep(&*store.bucket(&input.bucket)?, &input.upload_id, &input.key, input.part_number, &staged)?;
    let copy_part_result = Some(CopyPartResult {
        e_tag: Some(ETag::Strong(staged.etag.clone())),
        last_modified: Some(timestamp(size_and_time(&file_meta(store, input)?).1)),
        ..Default::default()
    });
    Ok(UploadPartCopyOutput { copy_part_result, ..Default::default() })
}

fn file_meta(store: &Store, input: &UploadPartCopyInput) -> S3Result<std::fs::Metadata> {
    let bucket = store.bucket(&input.bucket)?;
    let (dir, _) = find(&bucket, &input.upload_id, &input.key)?;
    dir.metadata().io()
}

pub(crate) fn list_parts(store: &Store, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let bucket = store.bucket(&input.bucket)?;
    let (dir, _) = find(&bucket, &input.upload_id, &input.key)?;
    let after = input.part_number_marker.unwrap_or(0);
    let max = input.max_parts.and_then(|m| usize::try_from(m).ok()).unwrap_or(PAGE).min(PAGE);
    let mut rest: Vec<_> = parts(&dir)?.into_iter().filter(|p| p.number > after).collect();
    let truncated = rest.len() > max;
    rest.truncate(max);
    let next = rest.last().map(|p| p.number);
    let part = |p: PartFile| Part {
        part_number: Some(p.number),
        size: i64::try_from(p.size).ok(),
        last_modified: Some(timestamp(p.modified_ns)),
        e_tag: Some(ETag::Strong(p.md5)),
        ..Default::default()
    };
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        is_truncated: Some(truncated),
        next_part_number_marker: next.filter(|_| truncated),
        part_number_marker: input.part_number_marker,
        max_parts: i32::try_from(max).ok(),
        parts: Some(rest.into_iter().map(part).collect()),
        ..Default::default()
    })
}

pub(crate) fn list_uploads(
    store: &Store,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    let bucket = store.bucket(&input.bucket)?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let mut all = Vec::new();
    for entry in std::fs::read_dir(bucket.uploads()).io()? {
        let entry = entry.io()?;
        let Ok(info) = std::fs::read(entry.path().join("upload")) else { continue };
        let (Ok(upload), Some(id)) =
            (serde_json::from_slice::<Upload>(&info), entry.file_name().to_str().map(str::to_owned))
        else {
            continue;
        };
        if upload.key.starts_with(prefix) {
            all.push((upload.key, id, size_and_time(&entry.metadata().io()?).1));
        }
    }
    all.sort();
    let from =
        (input.key_marker.as_deref().unwrap_or_default(), input.upload_id_marker.as_deref().unwrap_or("~"));
    all.retain(|(key, id, _)| (key.as_str(), id.as_str()) > from);
    let truncated = all.len() > PAGE;
    all.truncate(PAGE);
    let last = all.last().filter(|_| truncated).cloned();
    let uploads = all.into_iter().map(|(key, id, ns)| MultipartUpload {
        key: Some(key),
        upload_id: Some(id),
        initiated: Some(timestamp(ns)),
        ..Default::default()
    });
    Ok(ListMultipartUploadsOutput {
        uploads: Some(uploads.collect()),
        is_truncated: Some(truncated),
        next_key_marker: last.as_ref().map(|l| l.0.clone()),
        next_upload_id_marker: last.map(|l| l.1),
        bucket: Some(input.bucket),
        prefix: input.prefix,
        ..Default::default()
    })
}

pub(crate) fn abort(store: &Store, bucket: &str, key: &str, id: &str) -> S3Result<()> {
    let (dir, _) = find(&*store.bucket(bucket)?, id, key)?;
    std::fs::remove_dir_all(dir).io()
}

pub(crate) fn complete(
    store: &Store,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let bucket = store.bucket(&input.bucket)?;
    let (dir, upload) = find(&bucket, &input.upload_id, &input.key)?;
    let chosen = choose(&parts(&dir)?, input.multipart_upload.and_then(|m| m.parts).unwrap_or_default())?;
    let when = Condition { if_match: input.if_match, if_none_match: input.if_none_match };
    let staged = join(store, &chosen)?;
    let object = bucket.put(&input.key, &staged, upload.attributes, &when)?;
    std::fs::remove_dir_all(dir).io()?;
    Ok(CompleteMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        checksum_crc64nvme: object.sums.get("crc64nvme").cloned(),
        ..Default::default()
    })
}

/// The parts that the request names, in its order, checked as S3 checks them.
fn choose(have: &[PartFile], named: Vec<s3s::dto::CompletedPart>) -> S3Result<Vec<PartFile>> {
    let mut chosen: Vec<PartFile> = Vec::with_capacity(named.len());
    for part in named {
        let number = part.part_number.unwrap_or(0);
        if chosen.last().is_some_and(|last| last.number >= number) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let found = have
            .iter()
            .find(|p| p.number == number && part.e_tag.as_ref().is_none_or(|e| e.value() == p.md5));
        chosen.push(found.cloned().ok_or_else(|| s3_error!(InvalidPart))?);
    }
    match chosen.split_last() {
        None => Err(s3_error!(MalformedXML, "no part is named")),
        Some((_, others)) if others.iter().any(|p| p.size < MIN_PART) => Err(s3_error!(EntityTooSmall)),
        Some(_) => Ok(chosen),
    }
}

/// Joins the parts; the ETag is the MD5 of their MD5s and their number.
fn join(store: &Store, chosen: &[PartFile]) -> S3Result<Staged> {
    let hasher = ChecksumHasher { crc64nvme: Some(Crc64Nvme::new()), ..Default::default() };
    let mut writer = Writer::new(store, hasher).io()?;
    let mut of_sums = Md5::new();
    let mut buffer = vec![0; 1 << 20];
    for part in chosen {
        let mut file = File::open(&part.path).io()?;
        loop {
            match file.read(&mut buffer).io()? {
                0 => break,
                n => writer.write(&buffer[..n]).io()?,
            }
        }
        of_sums.update(&from_hex(&part.md5));
    }
    let (mut staged, _) = writer.finish();
    staged.etag = format!("{}-{}", hex(&of_sums.finalize()), chosen.len());
    Ok(staged)
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
    text.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |n, b| n << 4 | digit(*b))).collect()
}
