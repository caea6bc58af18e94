//! The check against examples, and against a parser on made-up and damaged documents.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_json_passes_and_what_is_not_does_not() {
    for good in [
        "{}",
        "[]",
        " {\"a\":[1,-0.5e+3,{}],\"b\":\"\\u00e9\\\"\\\\\"}\n",
        "null",
        "true",
        "\"x\"",
        "0",
        "[[],[{}]]",
        "{\"a\":{\"b\":{\"c\":[null,false]}}}",
        "{\"é\":\"日本語 and then some more\"}",
    ] {
        assert!(check(good.as_bytes()).is_ok(), "{good}");
    }
    for bad in [
        "",
        " ",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "01",
        "1.",
        "-",
        "1e",
        "tru",
        "nul",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a\nb\"",
        "{}{}",
        "{} x",
        "[}",
        "{]",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "'a'",
        "\u{feff}{}",
        "[1 2]",
        "+1",
        ".5",
        "\"abc",
        "{\"a\":\"12345678\u{1}\"}",
        "NaN",
        "{,}",
    ] {
        assert!(check(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert_eq!(check(b"{\"a\":\"\xff\"}"), Err(Wrong::Text(6)));
    // An overlong slash and half of a surrogate pair are no UTF-8 either.
    assert!(check(b"{\"a\":\"\xc0\xaf\"}").is_err() && check(b"{\"a\":\"\xed\xa0\x80\"}").is_err());
}

#[test]
fn it_tells_what_it_saw() {
    let c = check(b" {\n\"@timestamp\":1}\r\n").unwrap();
    assert_eq!((c.kind, c.breaks, c.at_key, c.start, c.end), (Kind::Object, true, true, 1, 18));
    assert!(!check(b"\n{}\n").unwrap().breaks);
    let c = check(b"{\"a\":{\"@b\":1}}").unwrap();
    assert_eq!((c.breaks, c.at_key), (false, false));
}

#[test]
fn depth_has_a_limit_and_needs_no_stack() {
    let deep = |n: usize| ["[".repeat(n), "]".repeat(n)].concat();
    assert!(check(deep(MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(check(deep(MAX_DEPTH + 1).as_bytes()), Err(Wrong::Deep));
    assert_eq!(check("[".repeat(10_000_000).as_bytes()), Err(Wrong::Deep));
    assert_eq!(check("{\"a\":".repeat(10_000).as_bytes()), Err(Wrong::Deep));
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn it_agrees_with_a_parser(v in any_json(), pretty in any::<bool>(), cut in any::<prop::sample::Index>(), put in any::<u8>()) {
        let mut text = if pretty { serde_json::to_vec_pretty(&v) } else { serde_json::to_vec(&v) }.unwrap();
        prop_assert!(check(&text).is_ok());
        // One byte changed: both must say the same of it.
        let at = cut.index(text.len());
        text[at] = put;
        prop_assert_eq!(check(&text).is_ok(), parses(&text));
        text.truncate(at);
        prop_assert_eq!(check(&text).is_ok(), parses(&text));
    }

    #[test]
    fn plain_is_what_a_slow_loop_finds(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let slow = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(bytes.len());
        prop_assert_eq!(plain(&bytes), slow);
    }
}

/// A parser that only says yes or no: numbers out of range and lone surrogates are fine for it as for our check.
fn parses(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|t| serde_json::from_str::<serde::de::IgnoredAny>(t).is_ok())
}
