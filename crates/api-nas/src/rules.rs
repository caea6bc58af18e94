//! Rules that single parameters keep, whatever the state of the world: forms, lengths, ranges.

use api::Fault;
use serde_json::Value;

use crate::fault;

/// Longest path, bytes.
pub const PATH_BYTES: usize = 1023;
/// Longest name in a path, bytes.
const NAME_BYTES: usize = 255;
/// Longest `EntryList`, bytes.
const ENTRY_LIST_BYTES: usize = 64 * 1024;
/// Longest `Includes`, characters.
const INCLUDES_CHARS: usize = 3000;
/// Longest client token.
const TOKEN_CHARS: usize = 64;

/// No text of a request may hold control characters or bytes that are not UTF-8 (they arrive as
/// U+FFFD). In JSON texts white space between the values is allowed.
///
/// # Errors
/// `IllegalCharacters`.
pub fn legal_characters(params: &Value) -> Result<(), Fault> {
    let clean = |text: &str, json: bool| {
        text.chars()
            .all(|c| c != '\u{FFFD}' && (!c.is_control() || (json && matches!(c, '\n' | '\r' | '\t'))))
    };
    match params {
        Value::String(s) if !clean(s, false) => Err(fault::illegal_characters()),
        Value::Array(all) => all.iter().try_for_each(legal_characters),
        Value::Object(all) => all.iter().try_for_each(|(name, v)| match v {
            Value::String(s) if matches!(name.as_str(), "EntryList" | "Includes") && clean(s, true) => Ok(()),
            v => legal_characters(v),
        }),
        _ => Ok(()),
    }
}

/// A directory path: `/…/`, at least `least` and at most `most` bytes.
///
/// # Errors
/// `Invalid<name>`, or `IllegalCharacters` for a backslash.
pub fn directory(name: &str, path: &str, least: usize, most: usize) -> Result<(), Fault> {
    if path.len() < least || path.len() > most {
        return Err(fault::invalid(name, format_args!("it must be {least} to {most} bytes long")));
    }
    if !(path.starts_with('/') && path.ends_with('/')) {
        return Err(fault::invalid(name, "it must start and end with a slash"));
    }
    let inner = path.get(1..path.len() - 1).unwrap_or_default();
    if path.len() > 1 { names(name, inner) } else { Ok(()) }
}

/// A file path: starts with `/`, does not end with it, at most 1,023 bytes.
///
/// # Errors
/// `Invalid<name>`, or `IllegalCharacters` for a backslash.
pub fn file(name: &str, path: &str) -> Result<(), Fault> {
    if path.is_empty() || path.len() > PATH_BYTES {
        return Err(fault::invalid(name, format_args!("it must be 1 to {PATH_BYTES} bytes long")));
    }
    match path.strip_prefix('/') {
        Some(rest) if !rest.ends_with('/') => names(name, rest),
        _ => Err(fault::invalid(name, "it must start with a slash and not end with one")),
    }
}

fn names(parameter: &str, path: &str) -> Result<(), Fault> {
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return Err(fault::invalid(parameter, "it must not hold empty, `.` or `..` components"));
        }
        if part.len() > NAME_BYTES {
            return Err(fault::invalid(
                parameter,
                format_args!("no component may be longer than {NAME_BYTES} bytes"),
            ));
        }
        if part.contains('\\') {
            return Err(fault::illegal_characters());
        }
    }
    Ok(())
}

/// `/a/b/` and `/a/b` as the model writes them: `a/b/`, `a/b`.
#[must_use]
pub fn relative(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}

/// `EntryList`: a JSON array of paths, at most 64 KB. Gives them relative, in order, each once.
///
/// # Errors
/// `InvalidParameter.SizeTooLarge`, `InvalidParameter.InvalidFormat`.
pub fn entry_list(text: &str) -> Result<Vec<String>, Fault> {
    if text.len() > ENTRY_LIST_BYTES {
        return Err(fault::entry_list_too_large());
    }
    let Ok(list) = serde_json::from_str::<Vec<String>>(text) else {
        return Err(fault::entry_list_format("it must be a JSON array of strings"));
    };
    if list.is_empty() {
        return Err(fault::entry_list_format("it is empty"));
    }
    let mut out: Vec<String> = Vec::with_capacity(list.len());
    let mut seen = std::collections::HashSet::with_capacity(list.len());
    for path in list {
        let inner = path.strip_suffix('/').filter(|p| !p.is_empty()).unwrap_or(&path);
        if path == "/" || path.len() > PATH_BYTES || file("EntryList", inner).is_err() {
            return Err(fault::entry_list_format(
                "each path must be 1 to 1023 bytes long, start with a slash and hold no `..`",
            ));
        }
        if seen.insert(path.clone()) {
            out.push(relative(&path));
        }
    }
    Ok(out)
}

/// `Includes`: a JSON array of sub-directories, at most 3,000 characters. Gives them relative.
///
/// # Errors
/// `InvalidIncludes`.
pub fn includes(text: &str) -> Result<Vec<String>, Fault> {
    if text.chars().count() > INCLUDES_CHARS {
        return Err(fault::invalid(
            "Includes",
            format_args!("it must not exceed {INCLUDES_CHARS} characters"),
        ));
    }
    let Ok(list) = serde_json::from_str::<Vec<String>>(text) else {
        return Err(fault::invalid("Includes", "it must be a JSON array of directories"));
    };
    if list.is_empty() {
        return Err(fault::invalid("Includes", "it is empty"));
    }
    list.iter().map(|path| directory("Includes", path, 2, PATH_BYTES).map(|()| relative(path))).collect()
}

/// A description: 2–128 characters, a letter first, then letters, digits, `:`, `_`, `-`.
/// Spaces and further marks are let through, as consoles send them.
///
/// # Errors
/// `InvalidDescription`.
pub fn description(text: &str) -> Result<(), Fault> {
    let n = text.chars().count();
    if !(2..=128).contains(&n) {
        return Err(fault::invalid("Description", "it must be 2 to 128 characters long"));
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(fault::invalid("Description", "it must not start with http:// or https://"));
    }
    if !text.chars().next().is_some_and(char::is_alphabetic) {
        return Err(fault::invalid("Description", "it must start with a letter"));
    }
    Ok(())
}

/// A client token: ASCII, at most 64 characters.
///
/// # Errors
/// `InvalidClientToken`.
pub fn client_token(text: &str) -> Result<(), Fault> {
    if text.len() > TOKEN_CHARS || !text.is_ascii() {
        return Err(fault::invalid("ClientToken", "it must be at most 64 ASCII characters"));
    }
    Ok(())
}

/// `oss://[<uid>:]<bucket>` taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceStorage<'a> {
    /// Account that owns the bucket, where named.
    pub uid: Option<&'a str>,
    /// Bucket.
    pub bucket: &'a str,
}

/// Reads `SourceStorage`.
///
/// # Errors
/// `InvalidSourceStorage`.
pub fn source_storage(text: &str) -> Result<SourceStorage<'_>, Fault> {
    let bad = |why: &str| Err(fault::invalid("SourceStorage", why));
    let Some(rest) = text.strip_prefix("oss://") else {
        return bad("it must have the form oss://[<account uid>:]<bucket>");
    };
    let (uid, bucket) = match rest.split_once(':') {
        Some((uid, bucket)) => (Some(uid), bucket),
        None => (None, rest),
    };
    if uid.is_some_and(|u| u.is_empty() || u.len() > 64 || !u.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return bad("the account uid is not one");
    }
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if bucket.len() > 128 || !inner || !edge(bucket.bytes().next()) || !edge(bucket.bytes().last()) {
        return bad(
            "a bucket has lower-case letters, digits and hyphens, and a letter or digit at both ends",
        );
    }
    Ok(SourceStorage { uid, bucket })
}

/// Flow throughput: 600, 1200 or 1500 MB/s, below the file system's bandwidth where that is declared.
///
/// # Errors
/// `InvalidThroughput`.
pub fn throughput(value: i64, bandwidth_mbps: u64) -> Result<(), Fault> {
    if !matches!(value, 600 | 1200 | 1500) {
        return Err(fault::invalid("Throughput", "it must be 600, 1200 or 1500"));
    }
    if bandwidth_mbps > 0 && u64::try_from(value).is_ok_and(|v| v >= bandwidth_mbps) {
        return Err(fault::invalid("Throughput", "it must be lower than the bandwidth of the file system"));
    }
    Ok(())
}

/// Fileset limits: bytes from 10 GiB in steps of 1 GiB; 10,000 to 10,000,000,000 files.
///
/// # Errors
/// `InvalidSizeLimit`, `InvalidFileCountLimit`.
pub fn quota(size: Option<i64>, files: Option<i64>) -> Result<model::Quota, Fault> {
    const GIB: i64 = 1 << 30;
    if size.is_some_and(|s| s < 10 * GIB || s % GIB != 0) {
        return Err(fault::invalid(
            "SizeLimit",
            "it must be at least 10737418240 and a multiple of 1073741824",
        ));
    }
    if files.is_some_and(|n| !(10_000..=10_000_000_000).contains(&n)) {
        return Err(fault::invalid("FileCountLimit", "it must be 10000 to 10000000000"));
    }
    let positive = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
    Ok(model::Quota { size_limit: positive(size), file_count_limit: positive(files) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn directories_that_climb_or_lack_a_slash_are_refused() {
        for good in ["/", "/a/", "/a b/ü/", "/..a/"] {
            assert!(directory("D", good, 1, PATH_BYTES).is_ok(), "{good}");
        }
        let long = format!("/{}/", "x".repeat(256));
        for bad in ["", "a/", "/a", "//", "/a//b/", "/../", "/a/../b/", "/./", &long] {
            assert_eq!(directory("D", bad, 1, PATH_BYTES).unwrap_err().code, "InvalidD", "{bad}");
        }
        assert_eq!(directory("D", "/a\\b/", 1, PATH_BYTES).unwrap_err().code, "IllegalCharacters");
        assert!(directory("D", "/", 2, PATH_BYTES).is_err());
    }

    #[test]
    fn entry_lists_have_the_documented_codes() {
        assert_eq!(entry_list(r#"["/a/b","/c/","/a/b"]"#).unwrap(), ["a/b", "c/"]);
        for bad in ["", "x", "[]", "[1]", r#"["a"]"#, r#"["/"]"#, r#"["/a/../b"]"#, r#"["//"]"#, r#"{"a":1}"#]
        {
            let f = entry_list(bad).unwrap_err();
            assert_eq!((f.http, f.code.as_ref()), (404, "InvalidParameter.InvalidFormat"), "{bad}");
        }
        let large = format!("[\"/{}\"]", "x".repeat(ENTRY_LIST_BYTES));
        assert_eq!(entry_list(&large).unwrap_err().code, "InvalidParameter.SizeTooLarge");
    }

    #[test]
    fn source_storage_is_taken_apart() {
        assert_eq!(source_storage("oss://b-1").unwrap(), SourceStorage { uid: None, bucket: "b-1" });
        assert_eq!(source_storage("oss://12:b").unwrap(), SourceStorage { uid: Some("12"), bucket: "b" });
        for bad in [
            "",
            "b",
            "s3://b",
            "oss://",
            "oss://B",
            "oss://-b",
            "oss://b-",
            "oss://:b",
            "oss://b/c",
            "oss://1:2:b",
        ] {
            assert_eq!(source_storage(bad).unwrap_err().code, "InvalidSourceStorage", "{bad}");
        }
    }

    #[test]
    fn control_characters_are_illegal_everywhere_but_between_json_values() {
        for bad in [
            json!({"D":"a\u{0}"}),
            json!({"F":[{"Key":"a\nb"}]}),
            json!({"EntryList":"[\"\u{7}\"]"}),
            json!({"D":"\u{FFFD}"}),
        ] {
            assert_eq!(legal_characters(&bad).unwrap_err().code, "IllegalCharacters", "{bad}");
        }
        assert!(legal_characters(&json!({"EntryList":"[\n\"/a\"]", "D":"ü /", "N":1})).is_ok());
    }

    #[test]
    fn numbers_have_ranges() {
        assert!(throughput(600, 0).is_ok() && throughput(600, 2000).is_ok());
        assert!(throughput(600, 600).is_err() && throughput(700, 0).is_err());
        assert!(quota(Some(10 << 30), Some(10_000)).is_ok());
        assert!(quota(Some((10 << 30) + 1), None).is_err() && quota(Some(1 << 30), None).is_err());
        assert!(quota(None, Some(9_999)).is_err() && quota(None, Some(-1)).is_err());
        assert!(description("a1").is_ok() && description("描述").is_ok());
        for bad in ["", "a", "1a", "http://x", &"x".repeat(129)] {
            assert!(description(bad).is_err(), "{bad}");
        }
        assert!(client_token(&"x".repeat(65)).is_err() && client_token("é").is_err());
    }
}
