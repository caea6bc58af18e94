//! Records as JSON, without a tree of values: a record's data goes from the text into its bytes and back.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use control::LogPiece;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::put::{Entry, Placed, Put, words};
use super::{MOST_RECORDS, partitions};

/// Reads a request.
///
/// # Errors
/// What is wrong, for people.
pub fn read(body: &[u8]) -> Result<Put, String> {
    let given: Given<'_> = serde_json::from_slice(body).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => format!("The request body is not right: {e}."),
        _ => "The request body is not valid JSON.".to_owned(),
    })?;
    let text = |t: Option<Text<'_>>| t.map(|t| t.0.into_owned()).unwrap_or_default();
    let entry = |e: GivenEntry<'_>| Entry {
        data: e.data.map(|d| d.0.into()),
        partition_id: e.partition_id.map(|t| t.0.into_owned()),
        partition_key: e.partition_key.map(|t| Bytes::from(t.0.into_owned())),
        explicit_hash_key: e.explicit_hash_key.map(|t| t.0.into_owned()),
        timestamp: e.timestamp,
        extended_info: e.extended_info.map(|t| Bytes::from(t.0.into_owned())),
    };
    Ok(Put {
        stream_name: text(given.stream_name),
        stream_id: text(given.stream_id),
        records: given.records.0.into_iter().map(entry).collect(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given<'a> {
    #[serde(borrow, default)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    stream_id: Option<Text<'a>>,
    #[serde(borrow)]
    records: Entries<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenEntry<'a> {
    #[serde(default)]
    data: Option<Data>,
    #[serde(borrow, default)]
    partition_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow, default)]
    explicit_hash_key: Option<Text<'a>>,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(borrow, default)]
    extended_info: Option<Text<'a>>,
}

/// Text that is borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Of;
        impl<'de> Visitor<'de> for Of {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
        }
        from.deserialize_str(Of)
    }
}

/// Base64 of bytes.
struct Data(Vec<u8>);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Of;
        impl Visitor<'_> for Of {
            type Value = Data;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64 of a record's data")
            }
            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Self::Value, E> {
                STANDARD.decode(v).map(Data).map_err(|_| E::custom("a record's data is not base64"))
            }
        }
        from.deserialize_str(Of)
    }
}

/// Not more than may be: a list that is longer is given up before it is read whole.
struct Entries<'a>(Vec<GivenEntry<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Of;
        impl<'de> Visitor<'de> for Of {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of records")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut out = Vec::new();
                while let Some(entry) = list.next_element()? {
                    if out.len() == MOST_RECORDS {
                        return Err(A::Error::custom(format!("more than {MOST_RECORDS} records")));
                    }
                    out.push(entry);
                }
                Ok(Entries(out))
            }
        }
        from.deserialize_seq(Of)
    }
}

/// The answer to a put.
#[must_use]
pub fn placed(placed: &[Placed]) -> Vec<u8> {
    let failed = placed.iter().filter(|p| p.is_err()).count();
    let mut out = Vec::with_capacity(64 + placed.len() * 72);
    out.extend_from_slice(format!("{{\"failed_record_count\":{failed},\"records\":[").as_bytes());
    for (i, one) in placed.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let text = match one {
            Ok((partition, sequence)) => {
                let name = partitions::name(*partition);
                format!("{{\"partition_id\":\"{name}\",\"sequence_number\":\"{sequence}\"}}")
            }
            Err(refusal) => {
                let (code, message) = words(*refusal);
                format!("{{\"error_code\":\"{code}\",\"error_message\":\"{message}\"}}")
            }
        };
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"]}");
    out
}

/// The answer to a get.
#[must_use]
pub fn got(piece: &LogPiece, next: &str) -> Vec<u8> {
    let bytes: usize = piece.records.iter().map(|(_, r)| r.value.as_ref().map_or(0, Bytes::len)).sum();
    let mut out = Vec::with_capacity(bytes / 3 * 4 + piece.records.len() * 160 + 256);
    let mut data = String::new();
    out.extend_from_slice(b"{\"records\":[");
    for (i, (offset, r)) in piece.records.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        data.clear();
        STANDARD.encode_string(r.value.as_deref().unwrap_or_default(), &mut data);
        out.extend_from_slice(b"{\"sequence_number\":\"");
        out.extend_from_slice(offset.to_string().as_bytes());
        out.extend_from_slice(b"\",\"data\":\"");
        out.extend_from_slice(data.as_bytes());
        out.push(b'"');
        if let Some(key) = &r.key {
            out.extend_from_slice(b",\"partition_key\":");
            let key = serde_json::to_vec(&String::from_utf8_lossy(key)).unwrap_or_else(|_| b"\"\"".to_vec());
            out.extend_from_slice(&key);
        }
        let rest = format!(",\"timestamp\":{},\"timestamp_type\":\"CreateTime\"}}", r.timestamp_ms);
        out.extend_from_slice(rest.as_bytes());
    }
    out.extend_from_slice(b"],\"next_partition_cursor\":\"");
    // Base64: nothing to escape.
    out.extend_from_slice(next.as_bytes());
    out.extend_from_slice(b"\"}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::{DisRefusal, LogRecord};

    #[test]
    fn a_request_is_read_with_everything_in_it() {
        let body =
            br#"{"stream_name":"s","stream_id":"","records":[{"data":"aGk=","partition_key":"k\u00e9"},
            {"data":"","partition_id":"0","explicit_hash_key":"7","timestamp":5,"extended_info":null}]}"#;
        let put = read(body).unwrap();
        assert_eq!((put.stream_name.as_str(), put.stream_id.as_str(), put.records.len()), ("s", "", 2));
        assert_eq!(put.records[0].data.as_deref(), Some(&b"hi"[..]));
        assert_eq!(put.records[0].partition_key.as_deref(), Some("ké".as_bytes()));
        assert_eq!(put.records[1].explicit_hash_key.as_deref(), Some("7"));
        assert_eq!((put.records[1].timestamp, put.records[1].data.as_deref()), (Some(5), Some(&b""[..])));
        assert!(put.records[1].extended_info.is_none());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"records":{}}"#,
            r#"{"records":[{"data":"a"}]}"#,
            r#"{"records":[{"data":"aGk="}],"more":1}"#,
            r#"{"records":[{"data":"aGk=","colour":1}]}"#,
            r#"{"records":[{"data":7}]}"#,
            r#"{"stream_name":"s","records":null}"#,
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        let many = |n: usize| format!("{{\"records\":[{}]}}", vec![r#"{"data":""}"#; n].join(","));
        assert!(read(many(MOST_RECORDS).as_bytes()).is_ok());
        assert!(read(many(MOST_RECORDS + 1).as_bytes()).unwrap_err().contains("10000 records"));
        assert!(read("[".repeat(100_000).as_bytes()).is_err(), "depth does not matter");
    }

    #[test]
    fn answers_are_json() {
        let text = placed(&[Ok((0, 5)), Err(DisRefusal::Throttled)]);
        let v: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            (&v["failed_record_count"], &v["records"][0]["sequence_number"]),
            (&1.into(), &"5".into())
        );
        assert_eq!(v["records"][1]["error_code"], "DIS.4303");
        assert!(v["records"][1].get("partition_id").is_none() && v["records"][0].get("error_code").is_none());
        let record = |key: Option<&'static [u8]>, value: &'static [u8]| LogRecord {
            timestamp_ms: 9,
            key: key.map(Bytes::from_static),
            value: Some(Bytes::from_static(value)),
            headers: Vec::new(),
        };
        let records = vec![(3, record(Some(b"q\"\n"), b"\xff\x00")), (4, record(None, b""))];
        let v: serde_json::Value =
            serde_json::from_slice(&got(&LogPiece { records, next: 5 }, "bmV4dA==")).unwrap();
        assert_eq!(
            (&v["records"][0]["partition_key"], &v["records"][0]["data"]),
            (&"q\"\n".into(), &"/wA=".into())
        );
        assert!(v["records"][1].get("partition_key").is_none());
        assert_eq!(v["next_partition_cursor"], "bmV4dA==");
    }
}
