//! Bodies: a request's into a temporary file with its checksums, a file's range into a response.

use crate::disk::{Staged, Store, hex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{Body, S3Result, TrailingHeaders, s3_error};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that are gathered or read per visit to the blocking pool.
const CHUNK: usize = 1 << 20;

/// Runs blocking work on the blocking pool.
pub(crate) async fn off<T: Send + 'static>(
    work: impl FnOnce() -> S3Result<T> + Send + 'static,
) -> S3Result<T> {
    runtime::blocking(work).await.unwrap_or_else(|e| Err(s3_error!(InternalError, "{e}")))
}

/// A failure of the disk is an internal error to the client.
pub(crate) trait Io<T> {
    /// Maps the error.
    fn io(self) -> S3Result<T>;
}

impl<T> Io<T> for std::io::Result<T> {
    fn io(self) -> S3Result<T> {
        self.map_err(|e| s3_error!(e, InternalError))
    }
}

/// What a request says its body's sums are.
#[derive(Default)]
pub(crate) struct Claims {
    /// `Content-MD5`.
    pub md5: Option<String>,
    /// `x-amz-checksum-…` headers.
    pub sums: Checksum,
    /// Names of the sums that follow the body (`x-amz-trailer`).
    pub announced: String,
    /// The sums that follow the body.
    pub trailer: Option<TrailingHeaders>,
}

impl Claims {
    /// Reads `x-amz-trailer`; the rest is filled in by the caller.
    pub fn new(
        md5: Option<String>,
        sums: Checksum,
        headers: &HeaderMap,
        trailer: Option<TrailingHeaders>,
    ) -> Self {
        let announced = headers.get("x-amz-trailer").and_then(|v| v.to_str().ok()).unwrap_or_default();
        Self { md5, sums, announced: announced.to_ascii_lowercase(), trailer }
    }

    fn hasher(&self) -> ChecksumHasher {
        let wants = |name: &str, given: &Option<String>| given.is_some() || self.announced.contains(name);
        ChecksumHasher {
            crc32: (wants("crc32", &self.sums.checksum_crc32)).then(Crc32::new),
            crc32c: (wants("crc32c", &self.sums.checksum_crc32c)).then(Crc32c::new),
            sha1: (wants("sha1", &self.sums.checksum_sha1)).then(Sha1::new),
            sha256: (wants("sha256", &self.sums.checksum_sha256)).then(Sha256::new),
            // Like the real thing, every object has this one.
            crc64nvme: Some(Crc64Nvme::new()),
        }
    }

    /// Compares the claims with what came.
    fn check(&self, md5: &[u8], computed: &BTreeMap<String, String>) -> S3Result<()> {
        if let Some(claimed) = &self.md5 {
            let claimed = BASE64.decode(claimed).map_err(|_| s3_error!(InvalidDigest))?;
            if claimed != md5 {
                return Err(s3_error!(BadDigest));
            }
        }
        let mut claims = named(self.sums.clone());
        if let Some(trailer) = &self.trailer {
            trailer.read(|headers| {
                for (name, value) in headers {
                    if let (Some(name), Ok(value)) =
                        (name.as_str().strip_prefix("x-amz-checksum-"), value.to_str())
                    {
                        claims.insert(name.to_owned(), value.to_owned());
                    }
                }
            });
        }
        match claims.iter().find(|(name, value)| computed.get(*name).is_some_and(|c| c != *value)) {
            Some((name, _)) => {
                Err(s3_error!(BadDigest, "the {name} you specified did not match what we received"))
            }
            None => Ok(()),
        }
    }
}

/// Sums by the name of their algorithm.
pub(crate) fn named(sums: Checksum) -> BTreeMap<String, String> {
    let all = [
        ("crc32", sums.checksum_crc32),
        ("crc32c", sums.checksum_crc32c),
        ("crc64nvme", sums.checksum_crc64nvme),
        ("sha1", sums.checksum_sha1),
        ("sha256", sums.checksum_sha256),
    ];
    all.into_iter().filter_map(|(name, sum)| Some((name.to_owned(), sum?))).collect()
}

/// A temporary file that is being written and summed.
pub(crate) struct Writer {
    file: File,
    path: PathBuf,
    size: u64,
    md5: Md5,
    hasher: ChecksumHasher,
}

impl Writer {
    /// Starts a temporary file.
    pub fn new(store: &Store, hasher: ChecksumHasher) -> std::io::Result<Self> {
        let (path, file) = store.temp()?;
        Ok(Self { file, path, size: 0, md5: Md5::new(), hasher })
    }

    /// Appends.
    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.md5.update(bytes);
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Ends: the bytes, and their MD5.
    pub fn finish(self) -> (Staged, [u8; 16]) {
        let md5 = self.md5.finalize();
        let sums = named(self.hasher.finalize());
        (Staged { path: self.path, size: self.size, etag: hex(&md5), sums }, md5)
    }
}

/// Writes a request's body to a temporary file and checks the claims made about it.
pub(crate) async fn stage(
    store: &Arc<Store>,
    body: Option<StreamingBlob>,
    claims: Claims,
) -> S3Result<Staged> {
    let mut body = body.unwrap_or_else(|| StreamingBlob::from(Body::empty()));
    let mut writer: Option<Writer> = None;
    let (mut gathered, mut bytes, mut more) = (Vec::<Bytes>::new(), 0, true);
    while more {
        match body.next().await {
            Some(chunk) => {
                let chunk = chunk.map_err(|e| s3_error!(IncompleteBody, "{e}"))?;
                bytes += chunk.len();
                gathered.push(chunk);
            }
            None => more = false,
        }
        // A small body costs one visit to the blocking pool, a large one a visit per chunk.
        if bytes >= CHUNK || !more {
            let (store, open, hasher) = (store.clone(), writer.take(), claims.hasher());
            let batch = std::mem::take(&mut gathered);
            bytes = 0;
            writer = Some(
                off(move || {
                    let mut writer = match open {
                        Some(open) => open,
                        None => Writer::new(&store, hasher).io()?,
                    };
                    for chunk in batch {
                        writer.write(&chunk).io()?;
                    }
                    Ok(writer)
                })
                .await?,
            );
        }
    }
    let (staged, md5) = writer.ok_or_else(|| s3_error!(InternalError))?.finish();
    claims.check(&md5, &staged.sums)?;
    Ok(staged)
}

/// A file's range as a response body. `first` is what was read of it already.
pub(crate) fn stream(file: File, first: Bytes, range: Range<u64>) -> StreamingBlob {
    let at = range.start + first.len() as u64;
    if at >= range.end {
        return StreamingBlob::from(Body::from(first));
    }
    let rest = futures_util::stream::unfold((file, at, range.end), |(mut file, at, end)| async move {
        if at >= end {
            return None;
        }
        let read = runtime::blocking(move || read_some(&mut file, end - at).map(|bytes| (bytes, file))).await;
        match read.map_err(std::io::Error::other).flatten() {
            // The file is shorter than it was: cut the answer off rather than fill it up.
            Ok((bytes, _)) if bytes.is_empty() => {
                Some((Err(std::io::ErrorKind::UnexpectedEof.into()), unreadable(at, end)?))
            }
            Ok((bytes, file)) => {
                let at = at + bytes.len() as u64;
                Some((Ok(bytes), (file, at, end)))
            }
            Err(e) => Some((Err(e), unreadable(at, end)?)),
        }
    });
    StreamingBlob::wrap(futures_util::stream::iter([Ok(first)]).chain(rest))
}

/// After an error nobody reads on; the stream still needs a state to end with.
fn unreadable(_: u64, end: u64) -> Option<(File, u64, u64)> {
    File::open("/dev/null").ok().map(|file| (file, end, end))
}

/// Moves to the range's start and reads its first chunk.
pub(crate) fn read_first(file: &mut File, range: &Range<u64>) -> std::io::Result<Bytes> {
    if range.start > 0 {
        file.seek(SeekFrom::Start(range.start))?;
    }
    read_some(file, range.end - range.start)
}

fn read_some(file: &mut File, left: u64) -> std::io::Result<Bytes> {
    let want = left.min(CHUNK as u64);
    let mut bytes = Vec::with_capacity(usize::try_from(want).unwrap_or(CHUNK));
    file.take(want).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}
