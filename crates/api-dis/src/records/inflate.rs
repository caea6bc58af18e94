//! Compressed bodies, as the Java SDK sends them: `Content-Encoding` lz4, snappy or zstd. Within a bound.

use std::io::Read as _;

use bytes::Bytes;
use http::HeaderMap;

use super::MAX_BODY;

const TOO_LARGE: &str = "The body is too large when it is decompressed.";
const BROKEN: &str = "The body can't be decompressed.";
/// Largest window that a zstd frame may ask for.
const MAX_WINDOW: u64 = MAX_BODY as u64;

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim)
}

fn encoding(headers: &HeaderMap) -> String {
    text(headers, "content-encoding").unwrap_or_default().to_ascii_lowercase()
}

/// How large the body is without its compression, or at most is. Nothing is decompressed for that.
///
/// # Errors
/// What is wrong, for people.
pub fn size(headers: &HeaderMap, body: &[u8]) -> Result<usize, String> {
    let length = |name: &str| text(headers, name).and_then(|n| n.parse::<usize>().ok());
    let size = match encoding(headers).as_str() {
        "" | "identity" => return Ok(body.len()),
        // A bare block: its length is only in the header.
        "lz4" => length("x-dis-lz4-content-length").ok_or("x-dis-lz4-content-length is missing.")?,
        "snappy" => snap::raw::decompress_len(body).map_err(|_| BROKEN)?,
        "zstd" => length("x-dis-zstd-content-length").unwrap_or(MAX_BODY),
        _ => return Err("The Content-Encoding is not known; there are lz4, snappy and zstd.".to_owned()),
    };
    if size > MAX_BODY { Err(TOO_LARGE.to_owned()) } else { Ok(size) }
}

/// The body without its compression: `most` bytes, as [`size`] says, and not more.
///
/// # Errors
/// What is wrong, for people.
pub fn inflate(headers: &HeaderMap, body: &Bytes, most: usize) -> Result<Bytes, String> {
    let out = match encoding(headers).as_str() {
        "lz4" => lz4_flex::block::decompress(body, most).map_err(|_| BROKEN)?,
        "snappy" => snap::raw::Decoder::new().decompress_vec(body).map_err(|_| BROKEN)?,
        "zstd" => zstd(body, most)?,
        _ => return Ok(body.clone()),
    };
    Ok(out.into())
}

fn zstd(body: &[u8], most: usize) -> Result<Vec<u8>, String> {
    if window(body).ok_or(BROKEN)? > MAX_WINDOW {
        return Err(TOO_LARGE.to_owned());
    }
    let decoder = ruzstd::decoding::StreamingDecoder::new(body).map_err(|_| BROKEN)?;
    let mut out = Vec::new();
    decoder.take(most as u64 + 1).read_to_end(&mut out).map_err(|_| BROKEN)?;
    if out.len() > most { Err(TOO_LARGE.to_owned()) } else { Ok(out) }
}

/// What a frame says that its decoder has to keep (RFC 8878, 3.1.1.1): a decoder makes room for it before it sees any data.
fn window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4)?;
    if descriptor & 0x20 == 0 {
        let b = u64::from(*frame.get(5)?);
        let base = 1_u64 << (10 + (b >> 3));
        return Some(base + base / 8 * (b & 7));
    }
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let bytes = frame.get(5 + dictionary..5 + dictionary + size)?;
    Some(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(encoding: &'static str, length: Option<usize>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", encoding.parse().unwrap());
        if let Some(n) = length {
            headers.insert("x-dis-lz4-content-length", n.into());
        }
        headers
    }

    fn inflate(headers: &HeaderMap, body: &Bytes) -> Result<Bytes, String> {
        super::inflate(headers, body, size(headers, body)?)
    }

    fn packed(encoding: &str, text: &[u8]) -> Bytes {
        match encoding {
            "lz4" => lz4_flex::block::compress(text).into(),
            "snappy" => snap::raw::Encoder::new().compress_vec(text).unwrap().into(),
            _ => ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest).into(),
        }
    }

    #[test]
    fn every_form_is_read_within_its_bound() {
        for encoding in ["lz4", "snappy", "zstd"] {
            let text = b"some text that is here more than once, more than once".repeat(50);
            let body = packed(encoding, &text);
            let headers = headers(encoding, Some(text.len()));
            assert_eq!(inflate(&headers, &body).unwrap(), text, "{encoding}");
            assert!(inflate(&headers, &body.slice(..body.len() / 2)).is_err(), "{encoding} cut");
            assert!(inflate(&headers, &Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\xff")).is_err());
        }
        assert_eq!(inflate(&HeaderMap::new(), &Bytes::from_static(b"x")).unwrap(), "x");
        assert!(inflate(&headers("gzip", None), &Bytes::new()).is_err());
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let bomb = vec![0; MAX_BODY + 1];
        for encoding in ["lz4", "snappy", "zstd"] {
            let body = packed(encoding, &bomb);
            assert!(body.len() < 500_000, "{encoding}: {}", body.len());
            let e = inflate(&headers(encoding, Some(bomb.len())), &body).unwrap_err();
            assert_eq!(e, TOO_LARGE, "{encoding}");
            // A length that is not true does not help.
            assert!(inflate(&headers(encoding, Some(10)), &body).is_err());
        }
        assert!(inflate(&headers("lz4", None), &packed("lz4", b"x")).is_err());
        // A window of 2 TiB.
        let frame = Bytes::from_static(b"\x28\xb5\x2f\xfd\x00\xf8");
        assert_eq!(inflate(&headers("zstd", None), &frame).unwrap_err(), TOO_LARGE);
    }
}
