//! Records and specifications that want to break the chain: none panics, each fails alone with a reason.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Value, json};
use transform::{Chain, Outcome, Output, Problem, Record, Spec};

fn record(value: &[u8]) -> Record<'_> {
    Record { value, key: None, topic: "t", partition: 0, offset: 0, timestamp_ms: 0 }
}

fn chain(param: &Value) -> Chain {
    Chain::compile(&Spec::from_transforms_param(param).unwrap()).unwrap()
}

fn typed() -> Chain {
    chain(&json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": [
        {"Key": "n", "Operate": "MAPPING", "Value": "n", "SchemeType": "INT64"},
        {"Key": "t", "Operate": "MAPPING", "Value": "t", "SchemeType": "STRING", "ValueOperates": [{"Type": "LOWERCASE"}]},
        {"Key": "d", "Operate": "JSONPATH", "Value": "$.d.x", "SchemeType": "ORIGINAL"}]}],
        "BatchAnalyse": {"Format": "ONE_BY_ONE"}}))
}

/// Twelve kinds of poison, and what becomes of each.
fn poison() -> Vec<(&'static str, Vec<u8>, Result<&'static str, &'static str>)> {
    let deep =
        |n: usize| format!("{{\"n\":1,\"d\":{}{}}}", "{\"x\":".repeat(n), "1".to_owned() + &"}".repeat(n));
    let long = format!("{{\"n\":1,\"t\":\"{}", "x".repeat(1_000_000));
    vec![
        ("invalid UTF-8", b"{\"n\":1,\"t\":\"\xff\"}".to_vec(), Err("text: not UTF-8 at byte 12")),
        (
            "10,000 deep",
            deep(10_000).into_bytes(),
            Err("FieldChain.0.Analyse: not JSON: nested deeper than 128 levels at byte 646"),
        ),
        ("a huge number", format!("{{\"n\":{}}}", "9".repeat(10_000)).into_bytes(), Err("is no INT64")),
        ("one name twice", b"{\"n\":\"x\",\"n\":2}".to_vec(), Ok("{\"n\":2,\"t\":null,\"d\":null}")),
        (
            "half a surrogate pair",
            b"{\"n\":1,\"t\":\"\\ud83d\"}".to_vec(),
            Err("half a surrogate pair at byte 12"),
        ),
        ("a NUL", b"{\"n\":1,\"t\":\"a\0b\"}".to_vec(), Err("a control character in a text at byte 13")),
        (
            "an escaped NUL",
            b"{\"n\":1,\"t\":\"A\\u0000B\"}".to_vec(),
            Ok("{\"n\":1,\"t\":\"a\\u0000b\",\"d\":null}"),
        ),
        ("cut off", b"{\"n\":1,\"t\":\"ab".to_vec(), Err("a text without end at byte 14")),
        ("cut off after a megabyte", long.into_bytes(), Err("a text without end at byte 1000012")),
        ("nothing", Vec::new(), Err("it is empty")),
        (
            "the wrong type",
            b"{\"n\":{\"a\":1}}".to_vec(),
            Err("FieldChain.0.SMT.0 (n): an object is no INT64"),
        ),
        (
            "the wrong type for an operator",
            b"{\"n\":1,\"t\":{}}".to_vec(),
            Err("FieldChain.0.SMT.1 (t): LOWERCASE can't work on an object"),
        ),
        ("a byte order mark", b"\xef\xbb\xbf{\"n\":1}".to_vec(), Ok("{\"n\":1,\"t\":null,\"d\":null}")),
        ("an array in an array", b"[[{\"n\":1}]]".to_vec(), Err("an object is expected, found an array")),
        ("two documents", b"{\"n\":1}{\"n\":2}".to_vec(), Err("text after the value at byte 7")),
        ("a text in place of an object", b"\"n\"".to_vec(), Err("an object is expected")),
        ("not a number", b"{\"n\":NaN}".to_vec(), Err("a value is expected at byte 5")),
    ]
}

#[test]
fn poison_fails_alone_and_says_why() {
    let chain = typed();
    let mut out = Output::new();
    for (kind, value, expected) in poison() {
        match (chain.apply(&record(&value), 0, &mut out), expected) {
            (Outcome::Emitted, Ok(text)) => {
                assert_eq!(out.values().collect::<Vec<_>>(), [text.as_bytes()], "{kind}")
            }
            (Outcome::Failed(failure), Err(reason)) => {
                let said = failure.to_string();
                assert!(said.contains(reason), "{kind}: {said}");
                assert!(said.len() < 400, "{kind}: a reason is short");
                assert!(out.is_empty(), "{kind}");
            }
            (outcome, _) => panic!("{kind}: {outcome:?}"),
        }
        // The buffers are none the worse for it.
        assert_eq!(chain.apply(&record(b"{\"n\":7,\"t\":\"OK\"}"), 0, &mut out), Outcome::Emitted);
        assert_eq!(out.values().collect::<Vec<_>>(), [b"{\"n\":7,\"t\":\"ok\",\"d\":null}"]);
    }
}

#[test]
fn a_small_record_can_not_become_a_giant() {
    let replace = json!({"Type": "REPLACE", "Replace": {"OldValue": "a", "NewValue": "a".repeat(8192)}});
    let regex =
        json!({"Type": "REGEX_REPLACE", "RegexReplace": {"Regex": "(a+)", "NewValue": "$1".repeat(1000)}});
    let whole = json!({"Type": "JSON_PATH_REPLACE", "JsonPathReplace": {"OldValue": "$.*", "NewValue": "$"}});
    for operator in [replace, regex, whole] {
        let chain = chain(
            &json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": [{"Key": "v", "Operate": "MAPPING",
            "Value": "v", "SchemeType": "ORIGINAL", "ValueOperates": vec![operator; 16]}]}]}),
        );
        let mut out = Output::new();
        let list = format!("{{\"v\":[{}0]}}", "0,".repeat(2000));
        let value = if operator_is_path(&chain) { list.as_bytes() } else { b"{\"v\":\"aaaa\"}" };
        let Outcome::Failed(failure) = chain.apply(&record(value), 0, &mut out) else { panic!("it fits") };
        let said = failure.to_string();
        assert!(
            said.contains("longer than 64 MiB")
                || said.contains("nested deeper")
                || said.contains("can't work"),
            "{said}"
        );
    }
    // Many copies of one large value.
    let smt: Vec<Value> = (0..256)
        .map(|i| json!({"Key": format!("k{i}"), "Operate": "JSONPATH", "Value": "$", "SchemeType": "ORIGINAL"}))
        .collect();
    let chain = chain(&json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": smt}]}));
    let value = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    let Outcome::Failed(failure) = chain.apply(&record(value.as_bytes()), 0, &mut Output::new()) else {
        panic!("it fits")
    };
    assert_eq!(failure.to_string(), "FieldChain.0.SMT.63 (k63): the result is longer than 64 MiB");
}

/// Does the chain want an array?
fn operator_is_path(chain: &Chain) -> bool {
    let mut out = Output::new();
    matches!(chain.apply(&record(b"{\"v\":\"x\"}"), 0, &mut out), Outcome::Failed(failure) if failure.to_string().contains("not JSON"))
}

#[test]
fn an_array_of_very_many_is_refused_whole() {
    let chain = chain(
        &json!({"FieldChain": [{"Analyse": {"Format": "JSON"}}], "BatchAnalyse": {"Format": "ONE_BY_ONE"}}),
    );
    let array = |n: usize| format!("[{}{{}}]", "{},".repeat(n - 1));
    let mut out = Output::new();
    assert_eq!(chain.apply(&record(array(100_000).as_bytes()), 0, &mut out), Outcome::Emitted);
    assert_eq!(out.len(), 100_000);
    assert!(matches!(chain.apply(&record(array(100_001).as_bytes()), 0, &mut out), Outcome::Failed(_)));
    assert!(out.is_empty());
}

fn problems(param: &Value) -> Vec<String> {
    let found = Spec::from_transforms_param(param).expect_err("it is wrong");
    found.into_iter().map(|Problem { field, .. }| field.replacen("TransformsParam.", "", 1)).collect()
}

#[test]
fn every_problem_is_named_at_once_with_its_place() {
    let param = json!({"Extra": 1, "SourceType": "FILE", "OutputFormat": "XML", "KeepMetadata": "yes",
        "BatchAnalyse": {"Format": "SOME"},
        "FieldChain": [
            {"Analyse": {"Format": "SOURCE", "InputValueType": "JSONPATH"}, "SecondaryAnalyse": {}, "SMT": [
                {"Key": "a", "Operate": "MAPPING", "SchemeType": "INT32", "ValueOperates": [
                    {"Type": "REPLACE"}, {"Type": "DATE", "Date": {"Format": "G", "TimeZone": "Europe/Berlin"}},
                    {"Type": "KV", "KV": {"Delimiter": "&", "Regex": "="}}, {"Type": "UPPERCASE"}]},
                {"Key": "a", "Operate": "JSONPATH", "Value": "a.b", "SchemeType": "ORIGINAL"},
                {"Key": "c", "Operate": "CUSTOMIZE", "Value": "x", "SchemeType": "INT64"},
                {"Operate": "COPY", "ValueOperate": {"Type": "REGEX_REPLACE", "RegexReplace": {"Regex": "(a", "NewValue": "b"}}},
                {"Key": "e", "Operate": "DATE", "ValueOperates": [
                    {"Type": "REGEX_REPLACE", "RegexReplace": {"Regex": "(a)", "NewValue": "$2"}},
                    {"Type": "SUBSTR", "Substr": {"Start": 5, "End": 2}},
                    {"Type": "URL_DECODE", "UrlDecode": {"CharsetName": "GBK"}},
                    {"Type": "JSON_PATH_REPLACE", "JsonPathReplace": {"OldValue": "x", "NewValue": "$.["}}]}]},
            {"Analyse": {"Format": "DELIMITER"}},
            {"SMT": [{"Key": "z", "Operate": "MAPPING"}]}],
        "FilterParam": [{"Key": "a", "MatchMode": "NUMBER", "Value": "x", "Type": "TEXT"}, {"MatchMode": "LIKE"},
                        {"Key": "z", "MatchMode": "IP", "Value": "10.0.0.0/8"}],
        "FailureParam": {"Type": "DLQ", "DlqType": "CKAFKA", "KafkaParam": {"Resource": "r"}, "MaxRetryAttempts": 1000}});
    let mut found = problems(&param);
    found.sort();
    let mut expected = vec![
        "BatchAnalyse.Format",
        "Extra",
        "FailureParam.KafkaParam.Topic",
        "FailureParam.MaxRetryAttempts",
        "FieldChain.0.Analyse.Format",
        "FieldChain.0.Analyse.InputValue",
        "FieldChain.0.SMT.0.SchemeType",
        "FieldChain.0.SMT.0.ValueOperates.0.Replace",
        "FieldChain.0.SMT.0.ValueOperates.1.Date.Format",
        "FieldChain.0.SMT.0.ValueOperates.1.Date.TimeZone",
        "FieldChain.0.SMT.0.ValueOperates.2.Type",
        "FieldChain.0.SMT.0.ValueOperates.3.Type",
        "FieldChain.0.SMT.1.Key",
        "FieldChain.0.SMT.1.Value",
        "FieldChain.0.SMT.2.Value",
        "FieldChain.0.SMT.3.Key",
        "FieldChain.0.SMT.3.Operate",
        "FieldChain.0.SMT.3.ValueOperate.RegexReplace.Regex",
        "FieldChain.0.SMT.4.ValueOperates.0.RegexReplace.NewValue",
        "FieldChain.0.SMT.4.ValueOperates.1.Substr.End",
        "FieldChain.0.SMT.4.ValueOperates.2.UrlDecode.CharsetName",
        "FieldChain.0.SMT.4.ValueOperates.3.JsonPathReplace.OldValue",
        "FieldChain.0.SecondaryAnalyse.Regex",
        "FieldChain.1.Analyse.Format",
        "FieldChain.1.Analyse.Regex",
        "FieldChain.2.Analyse",
        "FilterParam.0.Key",
        "FilterParam.0.Type",
        "FilterParam.0.Value",
        "FilterParam.1.Key",
        "FilterParam.1.MatchMode",
        "FilterParam.1.Value",
        "KeepMetadata",
        "OutputFormat",
        "SourceType",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn other_shapes_are_refused_too() {
    for (param, place) in [
        (json!([]), "TransformsParam"),
        (json!({}), "FieldChain"),
        (json!({"FieldChain": []}), "FieldChain"),
        (json!({"FieldChain": 5}), "FieldChain"),
        (json!({"FieldChain": [5]}), "FieldChain.0"),
        (json!({"FieldChain": vec![json!({"Analyse": {"Format": "JSON"}}); 17]}), "FieldChain"),
        (
            json!({"FieldChain": [{"Analyse": {"Format": "REGULAR", "Regex": "(a{1000}){1000}"}}]}),
            "FieldChain.0.Analyse.Regex",
        ),
        (
            json!({"FieldChain": [{"Analyse": {"Format": "REGULAR", "Regex": "(?=a)b"}}]}),
            "FieldChain.0.Analyse.Regex",
        ),
        (
            json!({"FieldChain": [{"Analyse": {"Format": "REGULAR", "Regex": "(".repeat(5000)}}]}),
            "FieldChain.0.Analyse.Regex",
        ),
        (
            json!({"FieldChain": [{"Analyse": {"Format": "REGULAR", "Regex": "(".repeat(2000) + &")".repeat(2000)}}]}),
            "FieldChain.0.Analyse.Regex",
        ),
        (json!({"FieldChain": [{"Analyse": {"Format": "JSON"}}], "OutputFormat": "ROW"}), "RowParam"),
        (
            json!({"FieldChain": [{"Analyse": {"Format": "JSON"}}], "OutputFormat": "ROW", "RowParam": {"RowContent": "KEY_VALUE"}}),
            "RowParam.KeyValueDelimiter",
        ),
        (json!({"FieldChain": [{"Analyse": {"Format": "JSON"}}], "FailureParam": {}}), "FailureParam.Type"),
        (
            json!({"FieldChain": [{"Analyse": {"Format": "JSON"}}], "FailureParam": {"Type": "DLQ"}}),
            "FailureParam.TopicParam",
        ),
        (
            json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": [{"Key": "__topic__", "Operate": "DATE"}]}], "KeepMetadata": true}),
            "FieldChain.0.SMT.0.Key",
        ),
    ] {
        let found = problems(&param);
        assert_eq!(found, [place], "{param}");
    }
    let old = Spec::from_transform_param(
        &json!({"AnalysisFormat": "SOURCE", "OutputFormat": "ROW", "MapParam": [{"Type": "COPY"}]}),
    );
    let mut places: Vec<String> = old.unwrap_err().into_iter().map(|problem| problem.field).collect();
    places.sort();
    places.dedup();
    let all = ["AnalysisFormat", "FailureParam", "MapParam.0.Key", "MapParam.0.Type", "OutputFormat"];
    assert_eq!(places, all.map(|name| format!("TransformParam.{name}")));
}

/// The vendor's words, so that arbitrary specifications come near to right ones.
fn word() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            "JSON",
            "DELIMITER",
            "REGULAR",
            "SOURCE",
            "MAPPING",
            "JSONPATH",
            "CUSTOMIZE",
            "DATE",
            "ORIGINAL",
            "STRING",
            "INT64",
            "FLOAT64",
            "BOOLEAN",
            "MAP",
            "ARRAY",
            "TRIM",
            "KV",
            "NUMBER",
            "IP",
            "EXCEPT",
            "a",
            "b",
            "0",
            "$",
            "$.a",
            "$..a",
            "$.a[*]",
            "$.concat($.a,'x')",
            "|",
            "\\t",
            "(.)(.)",
            "[a-z]+",
            "$1",
            "yyyy-MM-dd",
            "GMT+8",
            "unix",
            "1",
            "true",
            "",
        ])
        .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        Just(Value::Null),
    ]
}

fn object(names: &'static [&'static str], inner: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop::collection::vec((prop::sample::select(names), inner), 0..6)
        .prop_map(|pairs| {
            Value::Object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        })
        .boxed()
}

fn operator() -> BoxedStrategy<Value> {
    let text = prop_oneof!["[a-c$\\\\|=&,. ]{0,4}", "[0-9%+a-f]{0,4}"];
    (0..10usize, text.clone(), text, any::<bool>(), 0..5u32, 0..9u32)
        .prop_map(|(kind, a, b, yes, from, to)| match kind {
            0 => json!({"Type": "REPLACE", "Replace": {"OldValue": a, "NewValue": b}}),
            1 => json!({"Type": "SUBSTR", "Substr": {"Start": from, "End": to}}),
            2 => json!({"Type": "DATE", "Date": {"Format": if yes { "yyyy-MM-dd HH:mm:ss" } else { "yyMMddHHmmssSSS" }, "TargetType": if to > 4 { "unix" } else { "string" }}}),
            3 => json!({"Type": "TRIM"}),
            4 => json!({"Type": "REGEX_REPLACE", "RegexReplace": {"Regex": "([a-c])(.?)", "NewValue": b}}),
            5 => json!({"Type": "SPLIT", "Split": {"Regex": a}}),
            6 => json!({"Type": "KV", "KV": {"Delimiter": a, "Regex": b, "KeepOriginalKey": yes.to_string()}}),
            7 => json!({"Type": "JSON_PATH_REPLACE", "JsonPathReplace": {"OldValue": "$..a", "NewValue": if yes { "$.b" } else { "x" }}}),
            8 => json!({"Type": "URL_DECODE"}),
            _ => json!({"Type": "LOWERCASE"}),
        })
        .boxed()
}

fn near_spec() -> BoxedStrategy<Value> {
    let smt = (
        prop::sample::select(vec!["a", "b", "c"]),
        prop::sample::select(vec!["MAPPING", "JSONPATH", "CUSTOMIZE", "DATE"]),
        prop::sample::select(vec!["ORIGINAL", "STRING", "INT64", "FLOAT64", "BOOLEAN", "MAP", "ARRAY"]),
        prop::sample::select(vec!["a", "b", "0", "1", "$.a", "$..b", "$.a[0]", "$[*]", "$.concat($.a,$.b)", "$"]),
        prop::collection::vec(operator(), 0..4),
    )
        .prop_map(|(key, operate, scheme, value, operators)| json!({"Key": key, "Operate": operate, "SchemeType": scheme, "Value": value, "ValueOperates": operators}));
    let analyse = prop::sample::select(vec![
        json!({"Format": "JSON"}),
        json!({"Format": "SOURCE"}),
        json!({"Format": "DELIMITER", "Regex": ","}),
        json!({"Format": "DELIMITER", "Regex": "ab", "InputValue": "$.a"}),
        json!({"Format": "REGULAR", "Regex": "(?P<a>.)(.*)", "InputValueType": "KEY", "InputValue": "a"}),
        json!({"Format": "REGULAR", "Regex": "(a)|(b)"}),
        json!({"Format": "JSON", "InputValue": "$..a"}),
    ]);
    let step = (analyse, prop::option::of("[=:a]"), prop::collection::vec(smt, 0..4)).prop_map(
        |(analyse, second, smt)| {
            let second = second.map_or(Value::Null, |regex| json!({ "Regex": regex }));
            json!({"Analyse": analyse, "SecondaryAnalyse": second, "SMT": smt})
        },
    );
    let row = prop::option::of(Just(
        json!({"RowContent": "KEY_VALUE", "KeyValueDelimiter": "=", "EntryDelimiter": "&"}),
    ));
    (prop::collection::vec(step, 1..4), any::<bool>(), prop::sample::select(vec!["", "ONE_BY_ONE", "MERGE"]), row)
        .prop_map(|(steps, keep, batch, row)| {
            let batch = if batch.is_empty() { Value::Null } else { json!({ "Format": batch }) };
            let output = if row.is_some() { "ROW" } else { "JSON" };
            json!({"FieldChain": steps, "KeepMetadata": keep, "BatchAnalyse": batch, "OutputFormat": output, "RowParam": row})
        })
        .boxed()
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        any::<String>().prop_map(String::into_bytes),
        r#"\{("[ab]":("[ab,=&: %]{0,6}"|[0-9.]{1,3}|null|true|\{"a":1\}|\["a","b"\]|"\{\}"|"2024-01-01 00:00:00"),){0,3}"a":"[ab,=:]{0,5}"\}"#.prop_map(String::into_bytes),
        r#"\[(\{"a":"b","b":[0-9]\},){0,3}\{"a":[0-9]\}\]"#.prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_objects_are_read_or_refused(
        top in object(&["FieldChain", "FilterParam", "FailureParam", "OutputFormat", "RowParam", "BatchAnalyse", "KeepMetadata", "X"],
            prop_oneof![word(), prop::collection::vec(object(&["Analyse", "SMT", "Key", "MatchMode", "Value", "SecondaryAnalyse", "Format"],
                prop_oneof![word(), prop::collection::vec(object(&["Key", "Operate", "SchemeType", "Value", "ValueOperates", "Type"], word().boxed()), 0..3).prop_map(Value::from),
                    object(&["Format", "Regex", "InputValue"], word().boxed())].boxed()), 0..3).prop_map(Value::from)].boxed()),
        value in input(),
    ) {
        for read in [Spec::from_transforms_param(&top), Spec::from_transform_param(&top)] {
            match read {
                Ok(spec) => drop(Chain::compile(&spec).expect("it was compiled before").apply(&record(&value), 0, &mut Output::new())),
                Err(problems) => prop_assert!(!problems.is_empty()),
            }
        }
    }

    #[test]
    fn whatever_comes_out_is_whole(param in near_spec(), values in prop::collection::vec(input(), 1..4)) {
        let Ok(spec) = Spec::from_transforms_param(&param) else { return Ok(()) };
        let chain = Chain::compile(&spec).expect("it was compiled before");
        let mut kept = Output::new();
        for value in &values {
            let outcome = chain.apply(&record(value), 1_704_038_400_000, &mut kept);
            // Nothing of the records before is left in the buffers.
            let mut fresh = Output::new();
            prop_assert_eq!(&chain.apply(&record(value), 1_704_038_400_000, &mut fresh), &outcome);
            prop_assert_eq!(kept.values().collect::<Vec<_>>(), fresh.values().collect::<Vec<_>>());
            prop_assert_eq!(kept.is_empty(), outcome != Outcome::Emitted);
            for out in kept.values() {
                let text = std::str::from_utf8(out).expect("UTF-8 goes out");
                if param["OutputFormat"] == "JSON" {
                    prop_assert!(!text.contains('\n'));
                    let value: Value = serde_json::from_str(text).expect("JSON goes out");
                    let rows = match &value { Value::Array(rows) => rows.as_slice(), row => std::slice::from_ref(row) };
                    for row in rows {
                        // Every name once: a map of the text's names is as long as the text's list.
                        let names = row.as_object().expect("an object goes out").len();
                        let again = serde_json::to_string(row).expect("it is JSON");
                        let written: std::collections::HashMap<String, Value> = serde_json::from_str(&again).expect("it is JSON");
                        prop_assert_eq!(written.len(), names);
                    }
                }
            }
            if let Ok(text) = std::str::from_utf8(value) {
                let preview = chain.preview(text, 1_704_038_400_000);
                let outputs: Vec<&[u8]> = preview.outputs.iter().map(String::as_bytes).collect();
                // The preview's topic is its own.
                prop_assert!(param["KeepMetadata"] == true || outputs == kept.values().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn fields_are_those_that_serde_json_finds(
        doc in prop::collection::vec(("[a-d]{1,2}", prop_oneof![
            any::<i64>().prop_map(Value::from), any::<String>().prop_map(Value::from), Just(Value::Null), any::<bool>().prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::from), ("[a-b]", any::<u8>()).prop_map(|(k, v)| json!({ k: v }))]), 0..12),
        pretty in any::<bool>(),
    ) {
        let names = ["a", "b", "ab", "d"];
        let smt: Vec<Value> = names.iter().flat_map(|name| [
            json!({"Key": name, "Operate": "MAPPING", "Value": name, "SchemeType": "ORIGINAL"}),
            json!({"Key": format!("{name}.b"), "Operate": "JSONPATH", "Value": format!("$.{name}.b"), "SchemeType": "ORIGINAL"})]).collect();
        let chain = chain(&json!({"FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": smt}]}));
        let object: Value = Value::Object(doc.into_iter().collect());
        let text = if pretty { serde_json::to_vec_pretty(&object) } else { serde_json::to_vec(&object) }.unwrap();
        let mut out = Output::new();
        prop_assert_eq!(chain.apply(&record(&text), 0, &mut out), Outcome::Emitted);
        let got: Value = serde_json::from_slice(out.values().next().unwrap()).unwrap();
        for name in names {
            prop_assert_eq!(&got[name], object.get(name).unwrap_or(&Value::Null));
            let inner = format!("{name}.b");
            prop_assert_eq!(&got[&inner], object.get(name).and_then(|v| v.get("b")).unwrap_or(&Value::Null));
        }
    }
}
