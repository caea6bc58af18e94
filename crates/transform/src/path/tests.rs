//! What each form finds, and what is refused.

use super::Expression;
use crate::json::{Tape, View};

const DOC: &str =
    r#"{"a":{"b":[10,20,30,{"c":"x"}],"d e":1},"n":null,"log":"hé","VpcSet":[{"Id":"v1"},{"Id":"v2"}]}"#;

fn find(path: &str) -> Result<String, String> {
    let mut tape = Tape::default();
    tape.parse(DOC).unwrap();
    let expression = Expression::parse(path)?;
    let value = expression.value(View::whole(DOC, &tape)).map_err(|e| e.to_string())?;
    let mut out = String::new();
    value.write(&mut out);
    Ok(out)
}

#[test]
fn every_form_finds_its_places() {
    for (path, found) in [
        ("$", DOC),
        ("$.log", "\"hé\""),
        ("$.a.b[1]", "20"),
        ("$['a']['d e']", "1"),
        ("$[\"a\"].b[-1].c", "\"x\""),
        ("$.a.b[9]", "null"),
        ("$.a.b[-9]", "null"),
        ("$.x.y", "null"),
        ("$.log[0]", "null"),
        ("$.n", "null"),
        ("$.a.b[0:2]", "[10,20]"),
        ("$.a.b[::2]", "[10,30]"),
        ("$.a.b[-2:]", "[30,{\"c\":\"x\"}]"),
        ("$.a.b[0,2]", "[10,30]"),
        ("$.VpcSet[*].Id", "[\"v1\",\"v2\"]"),
        ("$..Id", "[\"v1\",\"v2\"]"),
        ("$..c", "[\"x\"]"),
        ("$['log','n']", "[\"hé\",null]"),
        ("$.a.*", "[[10,20,30,{\"c\":\"x\"}],1]"),
        ("$.concat($.VpcSet[0].Id,\"#\",$.VpcSet[1].Id)", "\"v1#v2\""),
        ("$.concat($.VpcSet[0].Id, '#', $.a.b[0]))", "\"v1#10\""),
        ("$.concat($.x,'-')", "\"-\""),
        ("$.a.b.length()", "4"),
        ("$.log.length()", "2"),
    ] {
        assert_eq!(find(path).as_deref(), Ok(found), "{path}");
    }
}

#[test]
fn what_is_not_supported_is_refused_when_it_is_read() {
    for path in [
        "",
        "a",
        "$.",
        "$..",
        "$[",
        "$[]",
        "$['a'",
        "$.a[?(@.b==1)]",
        "$.a[(@.length-1)]",
        "$.a.sum()",
        "$.a b",
        "$.a[1",
        "$.a[1:2:0]",
        "$.a[99999999999]",
        "$.concat($.a",
        "$.concat()",
        "$.a.concat('x')",
        "$.a)",
    ] {
        assert!(find(path).is_err(), "{path}");
    }
    assert!(find(&format!("${}", ".a".repeat(1000))).is_err());
    assert!(find(&"$.concat(".repeat(100)).is_err());
}
