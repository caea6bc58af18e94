//! Decompression, within a bound. The broker stores batches compressed as they come and looks into them
//! only to find a record by its time or to hand records to a reader in the process.

use crate::error::{Error, Result};
use bytes::{Buf, Bytes};
use std::io::Read;

/// Start of snappy in xerial's frames, as the Java client writes it.
const XERIAL: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

/// Decompresses the records of a batch; `codec` as in its attributes.
///
/// # Errors
/// When they can't be decompressed, or are more than `limit` bytes.
pub fn decompress(codec: i16, bytes: &Bytes, limit: usize) -> Result<Bytes> {
    match codec {
        0 => Ok(bytes.clone()),
        1 => read_all(flate2::read::MultiGzDecoder::new(&bytes[..]), limit),
        2 => snappy(bytes, limit),
        3 => read_all(lz4_flex::frame::FrameDecoder::new(&bytes[..]), limit),
        4 => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(&bytes[..]);
            read_all(decoder.map_err(|e| Error::corrupt(format!("zstd: {e}")))?, limit)
        }
        _ => Err(Error::corrupt("unknown compression")),
    }
}

fn read_all(reader: impl Read, limit: usize) -> Result<Bytes> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader
        .take(most)
        .read_to_end(&mut out)
        .map_err(|e| Error::corrupt(format!("compressed records: {e}")))?;
    if out.len() > limit { Err(too_large(limit)) } else { Ok(out.into()) }
}

fn too_large(limit: usize) -> Error {
    Error::corrupt(format!("compressed records are more than {limit} bytes"))
}

fn snappy(bytes: &Bytes, limit: usize) -> Result<Bytes> {
    if bytes.len() < 16 || bytes[..8] != XERIAL {
        return snappy_block(bytes, limit).map(Bytes::from);
    }
    // Two version numbers, then blocks with their length before them.
    let mut rest = &bytes[16..];
    let mut out = Vec::new();
    while !rest.is_empty() {
        if rest.len() < 4 {
            return Err(Error::corrupt("snappy frames are cut off"));
        }
        let n = rest.get_u32() as usize;
        if n > rest.len() {
            return Err(Error::corrupt("a snappy frame is cut off"));
        }
        let (block, more) = rest.split_at(n);
        out.extend_from_slice(&snappy_block(block, limit - out.len())?);
        rest = more;
    }
    Ok(out.into())
}

fn snappy_block(block: &[u8], limit: usize) -> Result<Vec<u8>> {
    let wrong = |e: snap::Error| Error::corrupt(format!("snappy: {e}"));
    if snap::raw::decompress_len(block).map_err(wrong)? > limit {
        return Err(too_large(limit));
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn every_codec_is_bounded_and_refuses_rubbish() {
        let text = Bytes::from(vec![b'a'; 100_000]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&text).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&text).unwrap();
        let raw = snap::raw::Encoder::new().compress_vec(&text).unwrap();
        let mut xerial = XERIAL.to_vec();
        xerial.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        xerial.extend_from_slice(&u32::try_from(raw.len()).unwrap().to_be_bytes());
        xerial.extend_from_slice(&raw);
        let zstd = ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
        for (codec, packed) in
            [(1, gz.finish().unwrap()), (2, raw), (2, xerial), (3, lz4.finish().unwrap()), (4, zstd)]
        {
            let packed = Bytes::from(packed);
            assert_eq!(decompress(codec, &packed, 100_000).unwrap(), text, "codec {codec}");
            assert!(decompress(codec, &packed, 99_999).is_err(), "codec {codec} over its bound");
            assert!(
                decompress(codec, &packed.slice(..packed.len() / 2), 100_000).is_err(),
                "codec {codec} cut"
            );
            assert!(decompress(codec, &Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff"), 100).is_err());
        }
    }
}
