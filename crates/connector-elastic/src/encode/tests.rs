//! What is written for a record, to the byte.

use connector::records::Headers;

use super::*;
use crate::config::plan;

#[derive(Default)]
struct Sheet {
    body: Vec<u8>,
    keys: Vec<Option<u64>>,
    key: Option<u64>,
}

impl Out for Sheet {
    fn begin(&mut self, key: Option<u64>) -> &mut Vec<u8> {
        self.key = key;
        &mut self.body
    }

    fn end(&mut self) {
        self.keys.push(self.key);
    }
}

/// What an encoder with these options writes for a value at `t-3`, offset 42, 2023-11-14T22:13:20.007Z.
fn written(options: &str, value: &[u8]) -> Result<String, Refusal> {
    let mut encoder = Encoder::new(&Rc::new(plan(options).unwrap()));
    encoder.turn_to(&Split::new("t", 3));
    let mut sheet = Sheet::default();
    let headers = Headers::none();
    let value = Some(value);
    let record = RecordRef { offset: 42, sub: 0, timestamp_ms: 1_700_000_000_007, key: None, value, headers };
    encoder.encode(&record, &mut sheet)?;
    let text = String::from_utf8(sheet.body).unwrap();
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
    Ok(text)
}

const PLAIN: &str = r#"{"index":"i","timestamp":false}"#;

#[test]
fn documents_pass_as_they_are() {
    let action = "{\"index\":{\"_id\":\"t-3-42\"}}\n";
    assert_eq!(written(PLAIN, b" {\"a\":1}\n").unwrap(), format!("{action}{{\"a\":1}}\n"));
    assert_eq!(written(PLAIN, b"{\n \"a\":\r\n1}").unwrap(), format!("{action}{{  \"a\":\r 1}}\n"));
    let stamped = |doc: &str| format!("{action}{doc}\n");
    let stamp = "\"@timestamp\":\"2023-11-14T22:13:20.007Z\"";
    for (value, doc) in [
        ("{}", format!("{{{stamp}}}")),
        ("{ }", format!("{{ {stamp}}}")),
        ("{\"a\":1}", format!("{{\"a\":1,{stamp}}}")),
        ("{\"@timestamp\":5}", "{\"@timestamp\":5}".to_owned()),
        ("{\"@other\":5}", format!("{{\"@other\":5,{stamp}}}")),
        ("{\"a\":{\"@timestamp\":5}}", format!("{{\"a\":{{\"@timestamp\":5}},{stamp}}}")),
    ] {
        assert_eq!(written(r#"{"index":"i"}"#, value.as_bytes()).unwrap(), stamped(&doc));
    }
}

#[test]
fn fields_give_ids_indexes_and_times() {
    let all = r#"{"index_path":"$.app","date_suffix":"yyyy.MM","id_path":"$.u.id","date_path":"ts"}"#;
    let text = written(all, br#"{"app":"logs","u":{"id":"a\"b"},"ts":"2020-01-02T03:04:05Z"}"#).unwrap();
    let expected = r#"{"index":{"_index":"logs_2020.01","_id":"a\"b"}}
{"app":"logs","u":{"id":"a\"b"},"ts":"2020-01-02T03:04:05Z","@timestamp":"2020-01-02T03:04:05Z"}
"#;
    assert_eq!(text, expected);
    // No id there: the position. A number as the time: written as a date.
    let text = written(all, br#"{"app":"x","ts":86400}"#).unwrap();
    assert!(text.starts_with(r#"{"index":{"_index":"x_1970.01","_id":"t-3-42"}}"#), "{text}");
    assert!(text.ends_with("\"@timestamp\":\"1970-01-02T00:00:00.000Z\"}\n"), "{text}");
    for bad in [&br#"{"app":"Up"}"#[..], br#"{"app":null}"#, br#"{}"#, br#"{"app":"a/../b"}"#] {
        assert_eq!(written(all, bad).unwrap_err().kind, ErrorKind::Unacceptable);
    }
    let long = format!(r#"{{"app":"x","u":{{"id":"{}"}}}}"#, "i".repeat(513));
    assert!(written(all, long.as_bytes()).unwrap_err().reason.contains("512"));
}

#[test]
fn a_mapping_names_the_fields() {
    let options = r#"{"index":"i","timestamp":false,"mapping":[{"column":"n","json_key":"name"},{"column":"deep","json_key":"$.a.b"},{"column":"no","json_key":"x"}]}"#;
    let text = written(options, br#"{"a":{"b":[1,{"c":2}]},"name":"v","rest":0}"#).unwrap();
    assert_eq!(text.lines().nth(1), Some(r#"{"n":"v","deep":[1,{"c":2}]}"#));
}

#[test]
fn what_is_no_document_is_dropped_wrapped_or_refused() {
    let raw = r#"{"index":"i","timestamp":false,"raw_key":"message"}"#;
    let drop = r#"{"index":"i","raw_key":"message","drop_not_json":true}"#;
    for value in [&b"plain \"text\"\nx"[..], b"[1,2]", b"12", b"{\"a\":", b""] {
        let text = written(raw, value).unwrap();
        let doc: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert_eq!(doc["message"].as_str().unwrap().as_bytes(), value);
        assert_eq!(written(PLAIN, value).unwrap_err().kind, ErrorKind::Unacceptable);
    }
    assert_eq!(written(drop, b"text").unwrap_err().kind, ErrorKind::Corrupt);
    assert!(written(drop, b"[1]").is_ok());
    assert_eq!(written(raw, b"\xff\xfe").unwrap_err().kind, ErrorKind::Unacceptable);
    let deep = ["{\"a\":".repeat(10_000), "1".to_owned(), "}".repeat(10_000)].concat();
    assert!(written(PLAIN, deep.as_bytes()).unwrap_err().reason.contains("levels deep"));
}

#[test]
fn changes_make_writes_and_deletes_with_the_same_key_in_order() {
    let plan =
        plan(r#"{"index":"i","timestamp":false,"change_format":"debezium","primary_key":"id"}"#).unwrap();
    let mut encoder = Encoder::new(&Rc::new(plan));
    encoder.turn_to(&Split::new("t", 0));
    let mut sheet = Sheet::default();
    let record = |offset, value| RecordRef {
        offset,
        sub: 0,
        timestamp_ms: 0,
        key: None,
        value,
        headers: Headers::none(),
    };
    encoder.encode(&record(1, Some(br#"{"op":"c","after":{"id":1,"v":"a"}}"#)), &mut sheet).unwrap();
    encoder.encode(&record(2, Some(br#"{"op":"d","before":{"id":1}}"#)), &mut sheet).unwrap();
    assert_eq!(encoder.encode(&record(3, None), &mut sheet).unwrap_err().kind, ErrorKind::Corrupt);
    let expected = "{\"index\":{\"_id\":\"1\"}}\n{\"id\":1,\"v\":\"a\"}\n{\"delete\":{\"_id\":\"1\"}}\n";
    assert_eq!(String::from_utf8(sheet.body).unwrap(), expected);
    assert!(sheet.keys.len() == 2 && sheet.keys[0] == sheet.keys[1] && sheet.keys[0].is_some());
}

#[test]
fn numbers_are_written() {
    for n in [0, 7, 10, -1, i64::MAX, i64::MIN] {
        let mut out = Vec::new();
        push_number(&mut out, n);
        assert_eq!(out, n.to_string().as_bytes());
    }
}
