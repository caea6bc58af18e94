//! Fields that the S3 types of several operations repeat. They are types of their own each, with the same
//! names, so it takes macros to say them once.

/// The checksums that a request claims.
macro_rules! claimed {
    ($input:expr) => {
        s3s::dto::Checksum {
            checksum_crc32: $input.checksum_crc32,
            checksum_crc32c: $input.checksum_crc32c,
            checksum_crc64nvme: $input.checksum_crc64nvme,
            checksum_sha1: $input.checksum_sha1,
            checksum_sha256: $input.checksum_sha256,
            ..Default::default()
        }
    };
}

/// An answer with these fields, and the checksums that `$sum` gives by name.
macro_rules! with_sums {
    ($output:ident, $sum:expr, { $($field:ident: $value:expr),* $(,)? }) => {
        $output {
            $($field: $value,)*
            checksum_crc32: $sum("crc32"),
            checksum_crc32c: $sum("crc32c"),
            checksum_crc64nvme: $sum("crc64nvme"),
            checksum_sha1: $sum("sha1"),
            checksum_sha256: $sum("sha256"),
            ..Default::default()
        }
    };
}

/// What GET and HEAD say of `$object` alike: a range, attributes, checksums, and further fields.
macro_rules! described {
    ($output:ident, $object:expr, $range:expr, $content_range:expr, $sum:expr, { $($field:ident: $value:expr),* $(,)? }) => {{
        let a = $object.attributes.clone();
        with_sums!($output, $sum, {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from($range.end - $range.start).ok(),
            content_range: $content_range,
            e_tag: Some(ETag::Strong($object.etag.clone())),
            last_modified: Some(timestamp($object.modified_ns)),
            content_type: a.content_type.or_else(|| Some("binary/octet-stream".to_owned())),
            content_encoding: a.content_encoding,
            content_disposition: a.content_disposition,
            content_language: a.content_language,
            cache_control: a.cache_control,
            metadata: (!a.user.is_empty()).then(|| a.user.into_iter().collect()),
            $($field: $value),*
        })
    }};
}

pub(crate) use {claimed, described, with_sums};
