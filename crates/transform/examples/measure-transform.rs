//! What a record costs: CPU time of this thread for a pass-through parse, a three-step and a seven-field transform of a
//! document of about 280 bytes, and for each stage of a second kind. `cargo run --release -p transform --example measure-transform`

use serde_json::{Value, json};
use transform::{Chain, Outcome, Output, Record, Spec};

const RECORDS: u32 = 1_000_000;

fn documents() -> Vec<Vec<u8>> {
    let one = |i: u32| {
        let doc = json!({"id": i, "ts": format!("2024-01-01 00:{:02}:{:02}", i / 60 % 60, i % 60), "level": "INFO",
            "host": format!("web-{:03}.example.net", i % 100), "service": "checkout", "method": "GET",
            "path": format!("/api/v1/orders/{i}"), "status": 200 + i % 5, "bytes": 1000 + i, "latency_ms": f64::from(i % 1000) / 10.0,
            "user": {"id": i % 5000, "name": "Zoë"}, "message": "request served from the cache"});
        serde_json::to_vec(&doc).unwrap_or_default()
    };
    (0..1024).map(one).collect()
}

fn smt(fields: &[(&str, &str, &str, &str)]) -> Value {
    let one = |(key, operate, value, scheme): &(&str, &str, &str, &str)| json!({"Key": key, "Operate": operate, "Value": value, "SchemeType": scheme});
    fields.iter().map(one).collect()
}

fn cases() -> Vec<(&'static str, Value)> {
    let seven = smt(&[
        ("id", "MAPPING", "id", "INT64"),
        ("host", "MAPPING", "host", "STRING"),
        ("method", "MAPPING", "method", "STRING"),
        ("path", "MAPPING", "path", "STRING"),
        ("status", "MAPPING", "status", "INT64"),
        ("user", "JSONPATH", "$.user.id", "INT64"),
        ("env", "CUSTOMIZE", "prod", "STRING"),
    ]);
    let mut worked = seven.clone();
    worked[1]["ValueOperates"] =
        json!([{"Type": "REPLACE", "Replace": {"OldValue": ".example.net", "NewValue": ""}}]);
    worked[2]["ValueOperates"] = json!([{"Type": "LOWERCASE"}]);
    worked[3]["ValueOperates"] = json!([{"Type": "SUBSTR", "Substr": {"Start": 0, "End": 7}}]);
    let mut dated = worked.clone();
    if let Some(list) = dated.as_array_mut() {
        list.push(
            json!({"Key": "ts", "Operate": "MAPPING", "Value": "ts", "SchemeType": "INT64", "ValueOperates": [
            {"Type": "DATE", "Date": {"Format": "yyyy-MM-dd HH:mm:ss", "TargetType": "unix"}}]}),
        );
    }
    let filter = json!([{"Key": "status", "MatchMode": "NUMBER", "Value": "<500", "Type": "REGULAR"}]);
    vec![
        ("parse, all fields out", json!({"FieldChain": [{"Analyse": {"Format": "JSON"}}]})),
        (
            "one field",
            json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": smt(&[("id", "MAPPING", "id", "ORIGINAL")])}]}),
        ),
        ("seven fields", json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": seven}]})),
        (
            "seven fields, three operators, filter",
            json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": worked}], "FilterParam": filter}),
        ),
        ("eight fields with a date", json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": dated}]})),
        (
            "three steps of seven fields",
            json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": seven}, {"Analyse": {"Format": "SOURCE"}}, {"Analyse": {"Format": "SOURCE"}}]}),
        ),
        (
            "seven fields as a row",
            json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": seven}], "OutputFormat": "ROW", "RowParam": {"RowContent": "KEY_VALUE", "KeyValueDelimiter": "=", "EntryDelimiter": "&"}}),
        ),
    ]
}

/// CPU time of this thread in seconds.
#[expect(unsafe_code, reason = "the system's clock of this thread")]
fn cpu() -> f64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the one structure that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut at) };
    at.tv_sec as f64 + at.tv_nsec as f64 / 1e9
}

fn main() {
    let documents = documents();
    let length: usize = documents.iter().map(Vec::len).sum();
    println!("{} bytes a document", length / documents.len());
    let only = std::env::args().nth(1);
    for (name, param) in cases() {
        if only.as_deref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let Ok(spec) = Spec::from_transforms_param(&param) else { continue };
        let Ok(chain) = Chain::compile(&spec) else { continue };
        let (mut out, mut bytes) = (Output::new(), 0);
        let start = cpu();
        for (i, value) in documents.iter().cycle().take(RECORDS as usize).enumerate() {
            let record =
                Record { value, key: None, topic: "t", partition: 0, offset: i as i64, timestamp_ms: 0 };
            match chain.apply(&record, 0, &mut out) {
                Outcome::Emitted => bytes += out.values().map(<[u8]>::len).sum::<usize>(),
                Outcome::Filtered => {}
                Outcome::Failed(failure) => println!("{failure}"),
            }
        }
        let micros = (cpu() - start) * 1e6 / f64::from(RECORDS);
        println!("{micros:6.3} µs  {:4} bytes out  {name}", bytes / RECORDS as usize);
    }
}
