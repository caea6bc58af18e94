//! The chain from outside: the sheet's own sample, steps, arrays, rows, policies, previews.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use transform::{Chain, DeadLetterTopic, OnFailure, Outcome, Output, Record, Spec};

const NOW_MS: i64 = 1_704_038_400_123;

fn chain(param: &Value) -> Chain {
    let spec = Spec::from_transforms_param(param).unwrap_or_else(|problems| panic!("{problems:?}"));
    // A specification can be kept: it is the same after a way through JSON.
    let kept: Spec = serde_json::from_value(serde_json::to_value(&spec).unwrap()).unwrap();
    assert_eq!(kept, spec);
    Chain::compile(&spec).unwrap()
}

fn run(chain: &Chain, value: &[u8]) -> Result<Vec<String>, String> {
    let record = Record { value, key: None, topic: "in \"1\"", partition: 3, offset: 42, timestamp_ms: 7 };
    let mut out = Output::new();
    match chain.apply(&record, NOW_MS, &mut out) {
        Outcome::Emitted => Ok(out.values().map(|v| String::from_utf8(v.to_vec()).unwrap()).collect()),
        Outcome::Filtered => {
            assert!(out.is_empty());
            Ok(Vec::new())
        }
        Outcome::Failed(failure) => {
            assert!(out.is_empty());
            Err(failure.to_string())
        }
    }
}

/// The worked payload of the vendor's sheet.
fn sample() -> Value {
    json!({"Content": "2024-01-01 00:00:00|GET|200",
      "FieldChain": [{"Analyse": {"Format": "DELIMITER", "Regex": "|"},
        "SMT": [{"Key": "ts", "Operate": "MAPPING", "Value": "0", "SchemeType": "ORIGINAL", "ValueOperates": [
                  {"Type": "DATE", "Date": {"Format": "yyyy-MM-dd HH:mm:ss", "TargetType": "unix", "TimeZone": "GMT+8"}}]},
                {"Key": "method", "Operate": "MAPPING", "Value": "1", "SchemeType": "STRING",
                 "ValueOperates": [{"Type": "LOWERCASE", "Lowercase": {}}]},
                {"Key": "code", "Operate": "MAPPING", "Value": "2", "SchemeType": "INT64"},
                {"Key": "env", "Operate": "CUSTOMIZE", "Value": "prod", "SchemeType": "STRING"}]}],
      "FilterParam": [{"Key": "code", "MatchMode": "NUMBER", "Value": "200", "Type": "REGULAR"}],
      "FailureParam": {"Type": "DLQ", "DlqType": "TOPIC", "TopicParam": {"Resource": "1250000000-dlq"},
                       "RetryInterval": 1000, "MaxRetryAttempts": 2},
      "OutputFormat": "JSON", "KeepMetadata": false, "BatchAnalyse": {"Format": "ONE_BY_ONE"}})
}

#[test]
fn the_sample_of_the_sheet_runs_as_written() {
    let chain = chain(&sample());
    let out = run(&chain, b"2024-01-01 00:00:00|GET|200").unwrap();
    assert_eq!(out, [r#"{"ts":1704038400,"method":"get","code":200,"env":"prod"}"#]);
    assert_eq!(run(&chain, b"2024-01-01 00:00:00|GET|500"), Ok(vec![]));
    let failed = run(&chain, b"2024-01-01 00:00:00|GET|ok").unwrap_err();
    assert_eq!(failed, "FieldChain.0.SMT.2 (code): \"ok\" is no INT64");
    let failed = run(&chain, b"yesterday|GET|200").unwrap_err();
    assert_eq!(failed, "FieldChain.0.SMT.0 (ts): \"yesterday\" is no time of this form");
    let to = DeadLetterTopic::Topic("1250000000-dlq".to_owned());
    assert_eq!(*chain.on_failure(), OnFailure::DeadLetter { to, retries: 2, interval_ms: 1000 });
}

#[test]
fn an_array_becomes_many_values_or_one_of_many_rows() {
    let param = |format: &str, output: Value| {
        let mut param = json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": [
            {"Key": "a", "Operate": "MAPPING", "Value": "a", "SchemeType": "INT64"}]}],
            "FilterParam": [{"Key": "a", "MatchMode": "NUMBER", "Value": "<3", "Type": "REGULAR"}],
            "BatchAnalyse": {"Format": format}});
        for (key, value) in output.as_object().unwrap() {
            param[key] = value.clone();
        }
        param
    };
    let input = br#" [{"a":1},{"a":"2"},{"a":3}]"#;
    let each = chain(&param("ONE_BY_ONE", json!({})));
    assert_eq!(run(&each, input).unwrap(), [r#"{"a":1}"#, r#"{"a":2}"#]);
    let merged = chain(&param("MERGE", json!({})));
    assert_eq!(run(&merged, input).unwrap(), [r#"[{"a":1},{"a":2}]"#]);
    let rows = chain(&param(
        "MERGE",
        json!({"OutputFormat": "ROW", "RowParam": {"RowContent": "VALUE", "EntryDelimiter": ","}}),
    ));
    assert_eq!(run(&rows, input).unwrap(), ["1\n2"]);
    for chain in [&each, &merged] {
        assert_eq!(run(chain, b"[]"), Ok(vec![]));
        assert_eq!(run(chain, br#"[{"a":9}]"#), Ok(vec![]));
        assert_eq!(
            run(chain, br#"[{"a":1},{"a":"x"}]"#).unwrap_err(),
            "FieldChain.0.SMT.0 (a): \"x\" is no INT64"
        );
        assert_eq!(
            run(chain, br#"[{"a":1},5]"#).unwrap_err(),
            "FieldChain.0.Analyse: an object is expected, found a number"
        );
    }
    assert_eq!(run(&each, br#"{"a":1}"#).unwrap(), [r#"{"a":1}"#]);
    assert_eq!(run(&merged, br#"{"a":1}"#).unwrap(), [r#"{"a":1}"#]);
}

#[test]
fn a_second_step_takes_a_field_apart_and_keeps_others_by_name() {
    let chain = chain(&json!({"FieldChain": [
        {"Analyse": {"Format": "JSON"}, "SMT": [
            {"Key": "host", "Operate": "MAPPING", "Value": "host", "SchemeType": "STRING"},
            {"Key": "line", "Operate": "JSONPATH", "Value": "$.log.text", "SchemeType": "STRING"}]},
        {"Analyse": {"Format": "REGULAR", "Regex": "^(?P<ip>\\S+) (\\d+)$", "InputValueType": "JSONPATH", "InputValue": "$.line"},
         "SMT": [
            {"Key": "host", "Operate": "MAPPING", "Value": "host", "SchemeType": "STRING"},
            {"Key": "ip", "Operate": "MAPPING", "Value": "ip", "SchemeType": "STRING"},
            {"Key": "n", "Operate": "MAPPING", "Value": "2", "SchemeType": "INT64"}]},
        {"Analyse": {"Format": "SOURCE"}}],
        "KeepMetadata": true}));
    assert_eq!(
        run(&chain, br#"{"host":"h\n1","log":{"text":"1.2.3.4 17"}}"#).unwrap(),
        [r#"{"host":"h\n1","ip":"1.2.3.4","n":17,"__topic__":"in \"1\"","__partition__":3,"__offset__":42}"#]
    );
    let failed = run(&chain, br#"{"log":{"text":"no"}}"#).unwrap_err();
    assert_eq!(failed, "FieldChain.1.Analyse: \"no\" does not match the expression");
    let failed = run(&chain, br#"{"log":{}}"#).unwrap_err();
    assert_eq!(failed, "FieldChain.1.Analyse: the field of InputValue is absent or null");
}

#[test]
fn one_output_serves_several_chains() {
    let first = chain(&json!({"FieldChain": [{"Analyse": {"Format": "REGULAR", "Regex": "(a)(b)"}}]}));
    let second = chain(&json!({"FieldChain": [{"Analyse": {"Format": "REGULAR", "Regex": "(?P<x>.)(.)"}}]}));
    let third = chain(&json!({"FieldChain": [{"Analyse": {"Format": "REGULAR", "Regex": "."}}]}));
    let mut out = Output::new();
    for _ in 0..2 {
        for (chain, expected) in
            [(&first, r#"{"1":"a","2":"b"}"#), (&second, r#"{"x":"a","2":"b"}"#), (&third, r#"{"0":"a"}"#)]
        {
            let record =
                Record { value: b"ab", key: None, topic: "t", partition: 0, offset: 0, timestamp_ms: 0 };
            assert_eq!(chain.apply(&record, 0, &mut out), Outcome::Emitted);
            assert_eq!(out.values().collect::<Vec<_>>(), [expected.as_bytes()]);
        }
    }
}

#[test]
fn the_older_object_runs_through_the_same_chain() {
    let param = json!({"AnalysisFormat": "DELIMITER", "Regex": ",", "OutputFormat": "JSON", "Content": "a,b", "SourceType": "TOPIC",
        "FailureParam": {"Type": "IGNORE_ERROR"}, "UseEventBus": true,
        "MapParam": [{"Key": "0", "Type": "DEFAULT", "Value": "a"}, {"Key": "second", "Type": "MAPPING", "Value": "1"},
                     {"Key": "fixed", "Type": "CUSTOMIZE", "Value": "x\"y"}, {"Key": "at", "Type": "DATE"}],
        "FilterParam": [{"Key": "0", "MatchMode": "PREFIX", "Value": "k", "Type": "REGULAR"}]});
    let spec = Spec::from_transform_param(&param).unwrap();
    let chain = Chain::compile(&spec).unwrap();
    assert_eq!(
        run(&chain, b"k1,v").unwrap(),
        [r#"{"0":"k1","second":"v","fixed":"x\"y","at":1704038400123}"#]
    );
    assert_eq!(run(&chain, b"no,v"), Ok(vec![]));
    assert_eq!(*chain.on_failure(), OnFailure::Keep);
    let mut answer = param;
    chain.preview("k1,v", NOW_MS).fill_transform_param(&mut answer);
    assert_eq!(answer["AnalyseResult"][1], json!({"Key": "1", "Type": "DEFAULT", "Value": "v"}));
    assert_eq!(answer["Result"], r#"{"0":"k1","second":"v","fixed":"x\"y","at":1704038400123}"#);
}

#[test]
fn a_preview_shows_each_stage_and_fills_the_answer() {
    let mut param = json!({"Content": "a=1;b= two ;c", "FieldChain": [
        {"Analyse": {"Format": "DELIMITER", "Regex": ";"}, "SecondaryAnalyse": {"Regex": "="},
         "SMT": [{"Key": "n", "Operate": "JSONPATH", "Value": "$.a", "SchemeType": "INT64"},
                 {"Key": "both", "Operate": "JSONPATH", "Value": "$.concat($.a,'-',$.b)", "SchemeType": "STRING"}]},
        {"Analyse": {"Format": "SOURCE"}}]});
    let chain = chain(&param);
    let preview = chain.preview("a=1;b= two ;c", NOW_MS);
    assert_eq!(preview.outputs, [r#"{"n":1,"both":"1-two"}"#]);
    assert_eq!(preview.steps.len(), 2);
    preview.fill_transforms_param(&mut param);
    let step = &param["FieldChain"][0];
    assert_eq!(step["AnalyseJsonResult"], r#"{"0":"a=1","1":"b= two ","2":"c"}"#);
    assert_eq!(step["SecondaryAnalyseJsonResult"], r#"{"a":"1","b":"two","2":"c"}"#);
    assert_eq!(
        step["SecondaryAnalyseResult"][1],
        json!({"Key": "b", "Operate": "MAPPING", "SchemeType": "ORIGINAL", "Value": "b", "OriginalValue": "two"})
    );
    assert_eq!(step["Result"], r#"{"n":1,"both":"1-two"}"#);
    assert_eq!(param["Result"], r#"{"n":1,"both":"1-two"}"#);
    // What was answered can be sent back.
    assert!(Spec::from_transforms_param(&param).is_ok());
    let failed = chain.preview("a=x", NOW_MS);
    assert_eq!(failed.failure.as_deref(), Some("FieldChain.0.SMT.0 (n): \"x\" is no INT64"));
    assert_eq!((failed.steps.len(), failed.steps[0].result.as_deref()), (1, None));
}
