//! The parser against `serde_json`, and against what wants to break it.

use proptest::prelude::*;

use super::{MAX_DEPTH, Tape, View, text};

fn compact(input: &str) -> Result<String, super::Flaw> {
    let mut tape = Tape::default();
    tape.parse(input)?;
    let mut out = String::new();
    text::write_value(View::whole(input, &tape), &mut out);
    Ok(out)
}

#[test]
fn every_kind_is_read_and_copied_unchanged() {
    for (input, output) in [
        ("null", "null"),
        (" [ 1 , -0.5e+10,true ,false,null ] ", "[1,-0.5e+10,true,false,null]"),
        ("{\n \"a\" : { } , \"b\":[ ],\"c\":\"x\\ny\" }", "{\"a\":{},\"b\":[],\"c\":\"x\\ny\"}"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        ("\"\\ud83d\\ude00 \u{1F600}\"", "\"\\ud83d\\ude00 \u{1F600}\""),
    ] {
        assert_eq!(compact(input).as_deref(), Ok(output));
    }
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (input, what, at) in [
        ("", "it is empty", 0),
        ("  ", "it ends too early", 2),
        ("{\"a\":1", "it ends too early", 6),
        ("{\"a\":1}}", "text after the value", 7),
        ("{\"a\" 1}", "a colon is expected", 5),
        ("{a:1}", "a key in quotes is expected", 1),
        ("{\"a\":1,}", "a key in quotes is expected", 7),
        ("[1,]", "a value is expected", 3),
        ("[1 2]", "a comma or the end of the container is expected", 3),
        ("[1}", "a comma or the end of the container is expected", 2),
        ("01", "text after the value", 1),
        ("-", "a malformed number", 0),
        ("1.e5", "a malformed number", 0),
        ("\"abc", "a text without end", 4),
        ("\"a\u{0}b\"", "a control character in a text", 2),
        ("\"\\ud800\"", "half a surrogate pair", 1),
        ("\"\\ud800\\u0041\"", "half a surrogate pair", 1),
        ("\"\\udc00\"", "half a surrogate pair", 1),
        ("\"\\u00g0\"", "a malformed \\u escape", 1),
        ("\"\\x\"", "an unknown escape", 1),
        ("nul", "a value is expected", 0),
        ("NaN", "a value is expected", 0),
    ] {
        let flaw = compact(input).expect_err(input);
        assert_eq!((flaw.what, flaw.at), (what, at), "{input}");
    }
}

#[test]
fn depth_has_a_limit_and_no_stack_behind_it() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(compact(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(compact(&nested(MAX_DEPTH + 1)).map_err(|f| f.at), Err(MAX_DEPTH));
    assert!(compact(&nested(1_000_000)).is_err());
    assert!(compact(&"{\"a\":".repeat(10_000)).is_err());
}

#[test]
fn of_two_members_of_a_name_the_last_counts_and_escapes_are_seen_through() {
    let input = r#"{"a":1,"b":2,"\u0061":3}"#;
    let mut tape = Tape::default();
    tape.parse(input).unwrap();
    let view = View::whole(input, &tape);
    assert_eq!(view.member("a").map(|n| view.at(n).written()), Some("3"));
    assert_eq!(view.member("c"), None);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_valid_text_comes_out_with_the_same_meaning(value in any_json()) {
        for input in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            let out = compact(&input).unwrap();
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            prop_assert_eq!(read(&out), read(&input));
            prop_assert!(!out.contains('\n'));
        }
    }

    #[test]
    fn it_accepts_what_serde_json_accepts(input in r#"[\[\]{}:,"\\ 0-9eE.+truefalsn\-ud8c\n]{0,40}"#) {
        let ours = compact(&input).is_ok();
        match serde_json::from_str::<serde_json::Value>(&input) {
            Ok(_) => prop_assert!(ours),
            Err(e) if e.to_string().contains("out of range") => {}
            Err(e) => prop_assert!(!ours, "{e}"),
        }
    }

    #[test]
    fn a_damaged_text_is_judged_as_serde_json_does(value in any_json(), at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(input) = String::from_utf8(bytes) {
            let ours = compact(&input).is_ok();
            match serde_json::from_str::<serde_json::Value>(&input) {
                Ok(_) => prop_assert!(ours),
                Err(e) if e.to_string().contains("out of range") => {}
                Err(e) => prop_assert!(!ours, "{e}"),
            }
        }
    }

    #[test]
    fn escapes_go_out_and_in(value in any::<String>()) {
        let mut written = String::new();
        text::write_escaped(&value, &mut written);
        let back = text::decoded(&written).into_owned();
        prop_assert_eq!(&back, &value);
        let serde: String = serde_json::from_str(&format!("\"{written}\"")).unwrap();
        prop_assert_eq!(serde, value);
    }
}
