//! Runs every example of `docs/doors/ckafka-transforms.md`: what the page says is what the chain does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use serde_json::{Value, json};
use transform::{Chain, Outcome, Output, Record, Spec};

/// 2024-01-01 00:00:00 in Shanghai.
const NOW_MS: i64 = 1_704_038_400_000;

fn record(value: &[u8]) -> Record<'_> {
    Record { value, key: None, topic: "in", partition: 3, offset: 42, timestamp_ms: NOW_MS }
}

fn run(param: &Value, input: &str) -> String {
    let spec = Spec::from_transforms_param(param).expect("the specification is right");
    let chain = Chain::compile(&spec).expect("it compiles");
    let mut out = Output::new();
    match chain.apply(&record(input.as_bytes()), NOW_MS, &mut out) {
        Outcome::Emitted => {
            let values = out.values().map(|v| String::from_utf8(v.to_vec()).expect("text"));
            values.collect::<Vec<_>>().join(" ‖ ")
        }
        Outcome::Filtered => "filtered".to_owned(),
        Outcome::Failed(failure) => format!("fails: {}", failure.reason),
    }
}

/// The code spans of a table's row: `| `a` | `b` |`. A bar inside a span is written `\|`.
fn cells(line: &str) -> Vec<String> {
    let mut cells = Vec::new();
    let line = line.replace("\\|", "\u{1}");
    for cell in line.trim().trim_matches('|').split('|') {
        cells.push(cell.trim().trim_matches('`').replace('\u{1}', "|"));
    }
    cells
}

/// What a table's first cell stands for, by the heading of its section.
fn param(kind: &str, given: &str) -> Value {
    let fragment: Value = serde_json::from_str(given).unwrap_or_else(|e| panic!("{given}: {e}"));
    let step = |step: Value| json!({"FieldChain": [step]});
    let field = |field: Value| {
        let mut all = json!({"Key": "v", "Operate": "MAPPING", "Value": "v", "SchemeType": "ORIGINAL"});
        for (key, value) in field.as_object().expect("an object") {
            all[key] = value.clone();
        }
        step(json!({"Analyse": {"Format": "JSON"}, "SMT": [all]}))
    };
    match kind {
        "step" => step(fragment),
        "chain" => json!({ "FieldChain": fragment }),
        "field" => field(fragment),
        "operator" => field(json!({ "ValueOperates": [fragment] })),
        "filter" => {
            let mut filter = json!({"Key": "v", "Type": "REGULAR"});
            for (key, value) in fragment.as_object().expect("an object") {
                filter[key] = value.clone();
            }
            json!({"FieldChain": [{"Analyse": {"Format": "JSON"}}], "FilterParam": [filter]})
        }
        "whole" => {
            let mut whole = json!({"FieldChain": [{"Analyse": {"Format": "JSON"}}]});
            for (key, value) in fragment.as_object().expect("an object") {
                whole[key] = value.clone();
            }
            whole
        }
        other => panic!("no such kind of table: {other}"),
    }
}

#[test]
fn the_examples_of_the_page_hold() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/doors/ckafka-transforms.md");
    let text = std::fs::read_to_string(page).expect("the page is there");
    let mut kind = None;
    let (mut run_count, mut wrong) = (0, Vec::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("| ").and_then(|l| l.split_once(" | input | output |")) {
            kind = Some(rest.0.to_owned());
        } else if !line.starts_with('|') {
            kind = None;
        } else if let Some(kind) = kind.as_deref().filter(|_| !line.starts_with("|---")) {
            let cells = cells(line);
            let [given, input, output] = cells.as_slice() else { panic!("not three cells: {line}") };
            let input = input.replace('⏎', "\n").replace('⇥', "\t");
            let got = run(&param(kind, given), &input).replace('\n', "⏎").replace('\t', "⇥");
            if got != *output {
                wrong.push(format!("{kind} {given}\n  input  {input}\n  page   {output}\n  really {got}"));
            }
            run_count += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(run_count >= 60, "only {run_count} examples were found");
}
