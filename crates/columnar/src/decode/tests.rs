//! Rows in every shape, and `arrow-json` as the oracle.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use proptest::prelude::*;

use super::*;
use crate::drift::{Change, evolve};

fn schema() -> SchemaRef {
    let inner: Fields =
        vec![Field::new("x", DataType::Int32, false), Field::new("y", DataType::Utf8, true)].into();
    let element = Field::new("element", DataType::Struct(inner.clone()), true);
    let pair: Fields =
        vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Float64, true)].into();
    let entries = Field::new("key_value", DataType::Struct(pair), false);
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("n", DataType::Int32, true),
        Field::new("v", DataType::Float64, true),
        Field::new("b", DataType::Boolean, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("o", DataType::Struct(inner), true),
        Field::new("l", DataType::List(Arc::new(Field::new("element", DataType::Int64, true))), true),
        Field::new("lo", DataType::LargeList(Arc::new(element)), true),
        Field::new("m", DataType::Map(Arc::new(entries), false), true),
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true),
        Field::new("d", DataType::Decimal128(9, 2), true),
    ]))
}

fn decoder(unknown: Unknown) -> Decoder {
    Decoder::new(schema(), &Options { unknown, ..Options::new(Format::Json) }).unwrap()
}

fn push(d: &mut Decoder, value: &str) -> Result<(), Reject> {
    d.push(&Record { value: Some(value.as_bytes()), ..Record::default() })
}

fn reason(r: Result<(), Reject>) -> String {
    RowError::from(r.unwrap_err()).to_string()
}

#[test]
fn bad_rows_leave_nothing_behind() {
    let mut d = decoder(Unknown::Refuse);
    let good =
        r#"{"id":1,"n":2,"o":{"x":1,"y":"z"},"l":[1,null],"lo":[{"x":1},null],"m":{"a":1.5,"b":null}}"#;
    push(&mut d, good).unwrap();
    let bytes = d.bytes();
    for (bad, words) in [
        ("{", "not valid JSON"),
        ("[]", "an array is no object"),
        ("{}", "id: is required and missing"),
        (r#"{"id":"1"}"#, "id: \"1\" is no whole number"),
        (r#"{"id":1,"id":2}"#, "id: is there twice"),
        (r#"{"id":1,"z":[1]}"#, "z: the schema has no such field"),
        (r#"{"id":1,"o":{"y":"q"}}"#, "o.x: is required and missing"),
        (r#"{"id":1,"l":[1,2,"x"]}"#, "l.2: \"x\" is no whole number"),
        (r#"{"id":1,"lo":[{"x":1},{"x":1,"w":1}]}"#, "lo.1.w: the schema has no such field"),
        (r#"{"id":1,"m":{"k":"v"}}"#, "m.k: \"v\" is no number"),
        (r#"{"id":1,"n":3000000000}"#, "n: 3000000000 is no whole number of 32 bits"),
        (r#"{"id":1,"s":5}"#, "s: 5 is no string"),
        (r#"{"id":99999999999999999999}"#, "id: "),
        (r#"{"id":1,"d":12.345}"#, "d: 12.345 is no decimal(9,2)"),
        (r#"{"id":1,"o":7}"#, "o: 7 is no object"),
    ] {
        let said = reason(push(&mut d, bad));
        assert!(said.contains(words), "{bad}: {said}");
        assert_eq!((d.len(), d.bytes()), (1, bytes), "{bad}");
    }
    assert!(d.push(&Record::default()).is_err());
    push(&mut d, good).unwrap();
    let batch = d.finish().unwrap();
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(batch.slice(0, 1), batch.slice(1, 1));
    assert_eq!(d.finish().unwrap().num_rows(), 0);
}

#[test]
fn changes_are_reported_until_the_row_fits() {
    let row = r#"{"id":1,"n":3000000000,"d":"12345678901.25","new":{"a":1,"b":[{"c":true}],"e":null,"f":{}},"also":"x",
        "lo":[{"x":1,"deep":2.5}],"o":{"x":5000000000}}"#;
    let mut at = schema();
    let mut steps = Vec::new();
    loop {
        let options = Options { unknown: Unknown::Report, ..Options::new(Format::Json) };
        let mut d = Decoder::new(at.clone(), &options).unwrap();
        match push(&mut d, row) {
            Ok(()) => {
                let batch = d.finish().unwrap();
                assert_eq!(
                    batch.column_by_name("n").unwrap().as_primitive::<Int64Type>().value(0),
                    3_000_000_000
                );
                break;
            }
            Err(Reject::Drift(changes)) => {
                at = Arc::new(evolve(&at, &changes).unwrap());
                steps.extend(changes);
            }
            Err(bad) => panic!("{bad:?}"),
        }
        assert!(steps.len() < 20);
    }
    let words: Vec<_> = steps.iter().map(ToString::to_string).collect();
    for want in [
        "widen n to Int64",
        "widen d to Decimal128(13, 2)",
        "add also Utf8",
        "add lo.element.deep Float64",
        "widen o.x to Int64",
    ] {
        assert!(words.iter().any(|w| w == want), "{want} not in {words:?}");
    }
    assert!(at.field_with_name("new").unwrap().is_nullable());
    assert!(
        evolve(&at, &[Change::Widen { path: vec!["no".into(), "way".into()], to: DataType::Utf8 }]).is_err()
    );
}

#[test]
fn unknown_fields_are_passed_over_when_told_so() {
    let mut d = decoder(Unknown::Ignore);
    push(&mut d, r#"{"zz":{"a":[1,{"b":2}]},"id":7,"y":null}"#).unwrap();
    assert_eq!(d.finish().unwrap().column(0).as_primitive::<Int64Type>().value(0), 7);
    // What has no type is no loss.
    let mut d = decoder(Unknown::Refuse);
    push(&mut d, r#"{"zz":null,"q":[],"id":7,"r":{}}"#).unwrap();
}

#[test]
fn csv_goes_by_position() {
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("s", DataType::Utf8, true),
        Field::new("p", DataType::Int32, true),
        Field::new("l", DataType::List(Arc::new(Field::new("element", DataType::Int64, true))), true),
    ];
    let mut options = Options::new(Format::Csv { delimiter: b';' });
    options.meta.partition = Some("p".to_owned());
    let mut d = Decoder::new(Arc::new(Schema::new(fields)), &options).unwrap();
    let mut row =
        |line: &str| d.push(&Record { value: Some(line.as_bytes()), partition: 3, ..Record::default() });
    row("1;\"a;b\";[1,2]").unwrap();
    row("2;;").unwrap();
    row("3;\"\"").unwrap();
    assert!(reason(row("x;y")).contains("id: \"x\" is no whole number"));
    assert!(reason(row("4;a;[1];more")).contains("more than 3 fields"));
    assert!(reason(row(";a")).contains("id: is required"));
    assert!(reason(row("4;a;{")).contains("l: is not valid JSON"));
    let batch = d.finish().unwrap();
    let text = batch.column(1).as_string::<i32>();
    assert_eq!(text.iter().collect::<Vec<_>>(), [Some("a;b"), None, Some("")]);
    assert_eq!(batch.column(2).as_primitive::<Int32Type>().values(), &[3, 3, 3]);
    assert_eq!(batch.column(3).null_count(), 2);
}

#[test]
fn raw_values_go_into_one_column() {
    let fields = vec![
        Field::new("v", DataType::LargeBinary, true),
        Field::new("k", DataType::Utf8, true),
        Field::new("o", DataType::Int64, false),
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("topic", DataType::Utf8, true),
    ];
    let name = |s: &str| Some(s.to_owned());
    let meta = MetaColumns {
        key: name("k"),
        offset: name("o"),
        timestamp: name("t"),
        topic: name("topic"),
        ..MetaColumns::default()
    };
    let options = Options { meta, ..Options::new(Format::Raw { column: "v".to_owned() }) };
    let mut d = Decoder::new(Arc::new(Schema::new(fields)), &options).unwrap();
    let record = Record {
        value: Some(b"\xff\0"),
        key: Some(b"k1"),
        timestamp_ms: 5,
        partition: 0,
        offset: 9,
        topic: "x",
    };
    d.push(&record).unwrap();
    d.push(&Record { value: None, key: None, timestamp_ms: -1, ..record }).unwrap();
    let said = reason(d.push(&Record { key: Some(b"\xff"), ..record }));
    assert!(said.starts_with("k: is not UTF-8"), "{said}");
    let batch = d.finish().unwrap();
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(batch.column(0).as_binary::<i64>().value(0), b"\xff\0");
    assert_eq!((batch.column(0).null_count(), batch.column(3).null_count()), (1, 1));
    assert!(Decoder::new(schema(), &Options::new(Format::Raw { column: "none".into() })).is_err());
}

fn value(depth: u32) -> BoxedStrategy<String> {
    let text = "[a-zA-Z0-9 é\\\\\"\u{1F600}]{0,12}".prop_map(|s| serde_json::to_string(&s).unwrap());
    let long = any::<i64>().prop_map(|n| n.to_string());
    let int = any::<i32>().prop_map(|n| n.to_string());
    let double = any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:?}"));
    let null = Just("null".to_owned());
    let or_null = move |s: BoxedStrategy<String>| prop_oneof![4 => s, 1 => null.clone()].boxed();
    let inner = (int.clone(), or_null(text.clone().boxed()))
        .prop_map(|(x, y)| format!(r#"{{"y":{y},"x":{x}}}"#))
        .boxed();
    let list = |s: BoxedStrategy<String>| {
        prop::collection::vec(s, 0..4).prop_map(|v| format!("[{}]", v.join(","))).boxed()
    };
    let map = prop::collection::btree_map("[a-f]{1,3}", or_null(double.clone().boxed()), 0..4)
        .prop_map(|m| {
            let all: Vec<_> = m.iter().map(|(k, v)| format!("{k:?}:{v}")).collect();
            format!("{{{}}}", all.join(","))
        })
        .boxed();
    let _ = depth;
    let fields = (
        long.clone(),
        prop::option::of(or_null(int.boxed())),
        prop::option::of(or_null(double.boxed())),
        prop::option::of(or_null(any::<bool>().prop_map(|b| b.to_string()).boxed())),
        prop::option::of(or_null(text.boxed())),
        prop::option::of(or_null(inner.clone())),
        prop::option::of(or_null(list(or_null(long.boxed())))),
        prop::option::of(or_null(list(or_null(inner)))),
        prop::option::of(or_null(map)),
    );
    fields
        .prop_flat_map(|(id, n, v, b, s, o, l, lo, m)| {
            let mut all = vec![format!(r#""id":{id}"#)];
            for (name, value) in
                [("n", n), ("v", v), ("b", b), ("s", s), ("o", o), ("l", l), ("lo", lo), ("m", m)]
            {
                all.extend(value.map(|v| format!("{name:?}:{v}")));
            }
            Just(all).prop_shuffle()
        })
        .prop_map(|all| format!("{{{}}}", all.join(",")))
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn arrow_json_reads_the_same(rows in prop::collection::vec(value(2), 1..20)) {
        let mut ours = decoder(Unknown::Refuse);
        for (i, row) in rows.iter().enumerate() {
            push(&mut ours, row).unwrap();
            if i % 3 == 0 {
                // A row that breaks off in its last field.
                let cut = format!("{},\"z\":1}}", row.trim_end_matches('}'));
                let _ = push(&mut ours, &cut);
            }
        }
        let ours = ours.finish().unwrap();
        let mut theirs = arrow_json::ReaderBuilder::new(schema()).with_batch_size(1000).build_decoder().unwrap();
        theirs.decode(rows.join("\n").as_bytes()).unwrap();
        let theirs = theirs.flush().unwrap().unwrap();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn nothing_that_comes_in_breaks_it(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let mut d = decoder(Unknown::Report);
        for value in [&bytes[..], text.as_bytes()] {
            let _ = d.push(&Record { value: Some(value), ..Record::default() });
        }
        prop_assert!(d.finish().is_ok());
    }
}

#[test]
fn a_list_of_objects_with_names_without_end_is_looked_at_in_bounds() {
    let objects: Vec<_> = (0..40_000).map(|n| format!(r#"{{"a{n}":1}}"#)).collect();
    let value = format!(r#"{{"id":1,"x":[{}]}}"#, objects.join(","));
    assert_eq!(reason(push(&mut decoder(Unknown::Refuse), &value)), "x: the schema has no such field");
    let Err(Reject::Drift(changes)) = push(&mut decoder(Unknown::Report), &value) else {
        panic!("it is new")
    };
    let [Change::Add { data_type: DataType::List(element), .. }] = &changes[..] else { panic!("a list") };
    let DataType::Struct(fields) = element.data_type() else { panic!("of objects") };
    assert_eq!((fields.len(), fields[999].name().as_str()), (1000, "a999"));
    // What has no type is nobody's loss.
    for empty in ["null", "{}", "[]", "[{},[null]]", r#"{"a":{"b":[]}}"#] {
        push(&mut decoder(Unknown::Refuse), &format!(r#"{{"id":1,"x":{empty}}}"#)).unwrap();
    }
}
