//! Writing in parts, and finding the parts of an interrupted run again.
//!
//! A server lists an unfinished upload without its metadata, so nothing says for which version of the
//! source it was begun. Three checks make it safe to go on with one: it carries our mark ([`crate::mark`]), so
//! that no other tool's upload is taken; a part that was found is kept only if the MD5 of the bytes that we
//! would send is its ETag; and a finished object whose stamp or metadata turn out to be those of an older run
//! gets its own by a copy onto itself, where the server copies that much.

use bytes::Bytes;
use connector::{
    Body, Digest, Error, ErrorKind, Meta, Overwrite, Part, PartDone, Result, Stored, Target, Upload,
};
use http::HeaderMap;

use crate::checksum;
use crate::fault::Fault;
use crate::lane::{ObjectLane, collect, complete, condition};
use crate::mark;
use crate::metadata::{ObjectKind, UserMetadata, read_metadata, read_stamp};
use crate::ops::multipart::{FoundPart, UploadRef};
use crate::ops::object::{Condition, ObjectHead, Put};

/// Of several unfinished uploads of a key this many, newest first, are looked at.
const LOOKED_AT: usize = 3;
/// No server copies more in one request.
const COPYABLE: u64 = 5 << 30;

fn put<'a>(lane: &'a ObjectLane, key: &'a str, metadata: &'a UserMetadata) -> Put<'a> {
    Put { bucket: &lane.place.bucket, key, metadata, condition: Condition::None }
}

fn reference<'a>(lane: &'a ObjectLane, key: &'a str, id: &'a str) -> UploadRef<'a> {
    UploadRef { bucket: &lane.place.bucket, key, id }
}

pub(crate) async fn begin(lane: &ObjectLane, target: &Target, part_size: u64) -> Result<Upload> {
    let key = lane.place.key(&target.path)?;
    match find(lane, &key, target.size, part_size).await {
        Ok(Some((token, found))) => {
            sign(lane, target, &key, &token).await;
            let done = found.into_iter().map(|p| PartDone {
                number: p.number,
                etag: Some(p.etag),
                digest: None,
                len: p.size,
            });
            return Ok(Upload { token: token.into(), part_size, done: done.collect() });
        }
        Ok(None) => {}
        // Not every server and not every key may list uploads; then there is nothing to find.
        Err(f) => tracing::debug!(fault = %f, "unfinished uploads can't be listed"),
    }
    let metadata = lane.user_metadata(target, &target.meta, ObjectKind::File)?;
    let token = lane.client.create_upload(put(lane, &key, &metadata)).await?;
    sign(lane, target, &key, &token).await;
    Ok(Upload { token: token.into(), part_size, done: Vec::new() })
}

/// This run is at work on the upload. Without the mark it is as good, only nobody finds it again.
async fn sign(lane: &ObjectLane, target: &Target, key: &str, token: &str) {
    let mark = [mark::of(key, &target.stamp.run)];
    if let Err(fault) = lane.client.put_part(reference(lane, key, token), mark::NUMBER, &mark).await {
        tracing::debug!(%fault, "an upload goes without its mark");
    }
}

/// The newest upload of `key` of ours whose parts are where they would be.
async fn find(
    lane: &ObjectLane,
    key: &str,
    size: u64,
    part_size: u64,
) -> Result<Option<(String, Vec<FoundPart>)>, Fault> {
    let mut uploads = lane.client.list_uploads(&lane.place.bucket, key).await?;
    uploads.retain(|u| u.key == key.as_bytes());
    uploads.sort_by_key(|u| std::cmp::Reverse(u.initiated_ns));
    for u in uploads.into_iter().take(LOOKED_AT) {
        let mut parts = lane.client.list_parts(reference(lane, key, &u.id), 0).await?;
        let ours = parts.pop_if(|p| mark::is_one(p, key)).is_some();
        if ours && !parts.is_empty() && parts.iter().all(|p| fits(p, size, part_size)) {
            return Ok(Some((u.id, parts)));
        }
    }
    Ok(None)
}

fn fits(part: &FoundPart, size: u64, part_size: u64) -> bool {
    let start = u64::from(part.number - 1).saturating_mul(part_size);
    start < size && part.size == part_size.min(size - start)
}

pub(crate) async fn put_part(
    lane: &ObjectLane,
    target: &Target,
    upload: &Upload,
    part: Part,
    mut body: Body,
) -> Result<PartDone> {
    let key = lane.place.key(&target.path)?;
    if body.len() != part.range.len() {
        return Err(Error::new(
            ErrorKind::Changed,
            "the source gives another number of bytes than the part has",
        ));
    }
    let at = reference(lane, &key, &upload.token);
    let done = |etag: Option<Box<str>>, digest: Digest| match etag {
        Some(e) => Ok(PartDone { number: part.number, etag: Some(e), digest: Some(digest), len: digest.len }),
        None => Err(Error::new(ErrorKind::Other, "the server stored a part without an ETag")),
    };
    if let Some(found) = upload.done.iter().find(|p| p.number == part.number && p.len == body.len()) {
        let (chunks, digest): (Vec<Bytes>, Digest) = collect(body.as_mut()).await?;
        let md5 = checksum::md5_of(&chunks);
        if found.etag.as_deref().is_some_and(|e| e.eq_ignore_ascii_case(&md5)) {
            return done(found.etag.clone(), digest);
        }
        let out = lane.client.put_part(at, part.number, &chunks).await?;
        out.verify(digest, lane.client.site().config.verify.then_some(md5.as_str()))?;
        return done(out.etag, digest);
    }
    let (out, digest) = lane.client.put_part_from(at, part.number, body.as_mut()).await?;
    done(out.etag, digest)
}

pub(crate) async fn finish(
    lane: &ObjectLane,
    target: &Target,
    upload: &Upload,
    parts: &[PartDone],
    meta: &Meta,
) -> Result<Stored> {
    let key = lane.place.key(&target.path)?;
    let mut digest = Digest::EMPTY;
    let mut tags = Vec::with_capacity(parts.len());
    for p in parts {
        let (Some(d), Some(etag)) = (p.digest, p.etag.as_deref()) else {
            let why = format!("part {} did not go through `put_part`", p.number);
            return Err(Error::new(ErrorKind::Other, why));
        };
        digest = digest.then(d);
        tags.push((p.number, etag));
    }
    if digest.len != target.size {
        return Err(Error::new(ErrorKind::Changed, "the parts have another size together than was listed"));
    }
    // Not every server honours the condition on this call; an early look costs little here.
    if target.overwrite == Overwrite::Never && upload.done.is_empty() && lane.head(&key).await?.is_some() {
        return Err(Error::new(ErrorKind::Exists, format!("{}: something is there", target.path.display())));
    }
    let at = reference(lane, &key, &upload.token);
    let version = match lane.client.complete_upload(at, &tags, condition(target.overwrite)).await {
        Ok(out) => {
            out.verify(digest, None)?;
            out.etag
        }
        Err(f) => lost_answer(lane, &key, target, f).await?.etag,
    };
    let version = mend(lane, &key, target, upload, meta, version).await?;
    Ok(Stored { version, digest })
}

/// The upload is gone, or something of ours is there already: was it an earlier call whose answer was lost?
async fn lost_answer(lane: &ObjectLane, key: &str, target: &Target, f: Fault) -> Result<ObjectHead> {
    let gone = &*f.code == "NoSuchUpload" || f.kind() == ErrorKind::NotFound;
    if (gone || f.repeated)
        && let Some(head) = lane.is_ours(key, target, target.size).await
    {
        return Ok(head);
    }
    Err(f.into())
}

/// After an upload that was found again, or when the source told its metadata late: makes sure that the
/// object carries the right ones.
async fn mend(
    lane: &ObjectLane,
    key: &str,
    target: &Target,
    upload: &Upload,
    meta: &Meta,
    version: Option<Box<str>>,
) -> Result<Option<Box<str>>> {
    let meta = complete(&target.meta, meta);
    if upload.done.is_empty() && meta == target.meta {
        return Ok(version);
    }
    let wanted = lane.user_metadata(target, &meta, ObjectKind::File)?;
    let headers: HeaderMap = wanted.headers().iter().cloned().collect();
    let Some(head) = lane.head(key).await? else {
        return Err(Error::new(ErrorKind::Changed, "the object went away after it was written"));
    };
    let (is, should) = (head.metadata(), read_metadata(&headers));
    // A server adds headers of its own (a content type).
    let carried = should.headers.iter().all(|h| is.headers.contains(h));
    let same = Meta { headers: Vec::new(), ..is } == Meta { headers: Vec::new(), ..should };
    let right = read_stamp(&head.headers) == read_stamp(&headers) && same && carried;
    if right || head.etag != version {
        return Ok(version);
    }
    if target.size > COPYABLE {
        tracing::warn!(key, "an object of more than 5 GiB keeps the metadata of the run that began it");
        return Ok(version);
    }
    let from = (lane.place.bucket.as_str(), key);
    lane.client.copy(from, head.etag.as_deref(), put(lane, key, &wanted)).await?;
    Ok(lane.head(key).await?.and_then(|h| h.etag).or(version))
}

pub(crate) async fn abort(lane: &ObjectLane, target: &Target, upload: &Upload) -> Result<()> {
    let key = lane.place.key(&target.path)?;
    lane.client.abort_upload(reference(lane, &key, &upload.token)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_in_our_places_fit() {
        let part = |number, size| FoundPart { number, size, etag: "e".into(), modified_ns: 0 };
        assert!(fits(&part(1, 10), 25, 10) && fits(&part(3, 5), 25, 10));
        assert!(!fits(&part(3, 10), 25, 10) && !fits(&part(4, 10), 25, 10) && !fits(&part(1, 9), 25, 10));
        assert!(!fits(&part(u32::MAX, 1), 25, u64::MAX));
    }
}
