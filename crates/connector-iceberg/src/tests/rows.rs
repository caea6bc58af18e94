//! What becomes of rows: intervals, refusals, schemas that change, partitions.

use super::*;

#[test]
fn an_interval_is_one_snapshot_and_an_empty_one_is_none() {
    run(async {
        let world = World::local("");
        let mut sink = world.sink(desk());
        take_over(&mut *sink, &[split(0), split(1)]).await.unwrap();
        for round in 0..3 {
            for p in 0..2 {
                sink.write(numbered(&split(p), round * 10, 10)).await.unwrap();
            }
            world.clock.advance(19_000_000);
            sink.tick().await.unwrap();
        }
        assert_eq!((world.snapshots().await, sink.settled().len()), (0, 0));
        assert!(world.files().await.iter().all(|f| !f.ends_with(".parquet")));
        world.clock.advance(3_000_000);
        sink.tick().await.unwrap();
        assert_eq!((world.snapshots().await, sink.settled().len()), (1, 2));
        assert_eq!(world.numbers().await.len(), 60);
        world.clock.advance(600_000_000);
        sink.tick().await.unwrap();
        sink.flush().await.unwrap();
        // Only refused and filtered ones: the position moves, the table does not.
        sink.write(unit(&split(0), 30, &["no", "never"])).await.unwrap();
        world.clock.advance(600_000_000);
        sink.tick().await.unwrap();
        let settled = sink.settled();
        assert_eq!((world.snapshots().await, settled.len(), settled[0].mark.next), (1, 1, 32));
        balanced(&settled[0].mark);
        let files = world.files().await;
        assert_eq!(files.iter().filter(|f| f.ends_with(".parquet")).count(), 1, "{files:?}");
        assert!(!files.iter().any(|f| f.contains("staging")), "{files:?}");
        let table = world.table().await.unwrap();
        let summary = &table.metadata().current_snapshot().unwrap().summary().additional_properties;
        let marks: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&summary["wharf.marks.task-abc"]).unwrap();
        let names: Vec<_> = marks.keys().map(String::as_str).collect();
        assert_eq!(names, ["topic/0", "topic/1"]);
        assert_eq!(Mark::parse(&marks["topic/1"]).unwrap().next, 30);
        assert_eq!(table.metadata().properties()["a"], "b");
    });
}

#[test]
fn refusals_tell_the_field_and_spare_the_neighbours() {
    run(async {
        let world = World::local("");
        let host = desk();
        let mut sink = world.sink(host.clone());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        let values = [
            r#"{"n":1}"#,
            r#"{"n":2,"new":5}"#,
            "no JSON",
            r#"{"n":4.5}"#,
            r#"{"n":5,"s":"x"}"#,
            r#"{"s":"x"}"#,
        ];
        sink.write(unit(&split(0), 0, &values)).await.unwrap();
        sink.flush().await.unwrap();
        let said = host.0.borrow().clone();
        assert_eq!(said.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2, 3, 5]);
        for (at, words) in [
            (0, "new: the schema has no such field"),
            (1, "not valid JSON"),
            (2, "n: 4.5 is no"),
            (3, "n: is required"),
        ] {
            assert!(said[at].1.contains(words), "{words}: {said:?}");
        }
        let rows: Vec<_> = world.numbers().await.iter().map(|r| r.3).collect();
        assert_eq!(rows, [1, 5]);
        let mark = sink.settled()[0].mark;
        balanced(&mark);
        assert_eq!((mark.account.items[Account::WRITTEN], mark.account.items[Account::DEAD]), (2, 4));
    });
}

#[test]
fn the_table_follows_its_records() {
    run(async {
        let create = r#""create":{"schema":{"type":"record","name":"r","fields":[{"name":"n","type":"long"},{"name":"i","type":["null","int"]},
            {"name":"o","type":["null",{"type":"record","name":"o","fields":[{"name":"f","type":["null","float"]}]}]}]}},"unknown_fields":"evolve","#;
        let world = World::local(create);
        let host = desk();
        let mut sink = world.sink(host.clone());
        take_over(&mut *sink, &[split(0), split(1)]).await.unwrap();
        sink.write(numbered(&split(1), 0, 5)).await.unwrap();
        let values = [
            r#"{"n":0,"i":1,"o":{"f":1.5}}"#,
            r#"{"n":1,"i":3000000000,"new":{"a":[1,2],"b":"x"}}"#,
            r#"{"n":2,"i":2,"o":{"f":1e300,"g":true}}"#,
            r#"{"n":"bad","other":1}"#,
            r#"{"n":4,"new":{"a":[3],"c":1.5}}"#,
        ];
        sink.write(unit(&split(0), 0, &values)).await.unwrap();
        sink.flush().await.unwrap();
        assert_eq!(world.numbers().await.len(), 9);
        assert_eq!(host.0.borrow().len(), 1);
        let table = world.table().await.unwrap();
        let schema = table.metadata().current_schema();
        let of = |name: &str| schema.field_by_name(name).map(|f| f.field_type.to_string());
        let want =
            [("i", "long"), ("o.f", "double"), ("o.g", "boolean"), ("new.b", "string"), ("new.c", "double")];
        for (name, t) in want {
            assert_eq!(of(name).as_deref(), Some(t), "{name}");
        }
        assert_eq!(of("other"), None, "a refused record changed the table");
        // Everything is still exactly once when another sink goes on.
        drop(sink);
        let mut next = world.sink(desk());
        let marks = take_over(&mut *next, &[split(0), split(1)]).await.unwrap();
        assert_eq!(marks.iter().map(|m| m.next).collect::<Vec<_>>(), [5, 5]);
    });
}

#[test]
fn a_column_that_others_add_is_seen_after_a_commit() {
    run(async {
        let world = World::local("");
        let host = desk();
        let mut sink = world.sink(host.clone());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        sink.write(numbered(&split(0), 0, 1)).await.unwrap();
        let evolving = World {
            options: world.options.replacen('{', r#"{"unknown_fields":"evolve","#, 1),
            pipeline: "task-other".into(),
            clock: world.clock.clone(),
            connection: world.connection.clone(),
            secret: None,
            _dir: None,
        };
        let mut other = evolving.sink(desk());
        take_over(&mut *other, &[split(0)]).await.unwrap();
        other.write(unit(&split(0), 0, &[r#"{"n":7,"z":1}"#])).await.unwrap();
        other.flush().await.unwrap();
        sink.flush().await.unwrap();
        sink.write(unit(&split(0), 1, &[r#"{"n":8,"z":2}"#])).await.unwrap();
        sink.flush().await.unwrap();
        assert!(host.0.borrow().is_empty());
        assert_eq!(world.numbers().await.len(), 3);
    });
}

#[test]
fn days_hours_and_regions_have_files_of_their_own() {
    run(async {
        let create = r#""create":{"schema":{"type":"record","name":"r","fields":[{"name":"n","type":"long"},{"name":"region","type":"string"},
            {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]},
            "partition":[{"column":"region"},{"column":"at","transform":"day"}]},"#;
        let world = World::local(create);
        let mut sink = world.sink(desk());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        let row = |n: i64| {
            let region = ["eu", "us"][usize::try_from(n).unwrap() % 2];
            format!(r#"{{"n":{n},"region":"{region}","at":{}}}"#, 1_790_000_000_000 + n * 3_600_000)
        };
        let values: Vec<_> = (0..48).map(row).collect();
        sink.write(unit(&split(0), 0, &values.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
        sink.flush().await.unwrap();
        assert_eq!(world.numbers().await.len(), 48);
        let files: Vec<_> = world.files().await.into_iter().filter(|f| f.ends_with(".parquet")).collect();
        assert_eq!(files.len(), 6, "{files:?}");
        assert!(files.iter().all(|f| f.contains("region=") && f.contains("at_day=2026-09-")), "{files:?}");
    });
}

#[test]
fn raw_and_csv_records_have_tables_too() {
    run(async {
        let raw = World::local(
            r#""format":"raw","value_column":"n","key_column":"k","timestamp_column":"at","create":{},"#,
        );
        let mut sink = raw.sink(desk());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        sink.write(unit(&split(0), 0, &["any", "thing"])).await.unwrap();
        sink.flush().await.unwrap();
        let batches = raw.batches().await;
        let column = batches[0].column_by_name("n").unwrap();
        let bytes: Vec<_> = match column.data_type() {
            arrow_schema::DataType::LargeBinary => column.as_binary::<i64>().iter().flatten().collect(),
            _ => column.as_binary::<i32>().iter().flatten().collect(),
        };
        assert_eq!(bytes, [b"any".as_slice(), b"thing"]);
        let csv = World::local(r#""format":"csv","delimiter":"|","#);
        let host = desk();
        let mut sink = csv.sink(host.clone());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        sink.write(unit(&split(0), 0, &["1|a", "2|", "x|y", "3|\"q|r\""])).await.unwrap();
        sink.flush().await.unwrap();
        assert_eq!(csv.numbers().await.iter().map(|r| r.3).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(host.0.borrow().len(), 1);
    });
}

#[test]
fn many_rows_go_to_files_before_the_interval_is_over() {
    run(async {
        let mut world = World::local(r#""compression":"none","target_file_bytes":1048576,"#);
        world.pipeline = "task-big".to_owned();
        let mut sink = world.sink(desk());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        let mut seed = 1_u64;
        for round in 0..60 {
            let values: Vec<_> = (0..100)
                .map(|i| {
                    let mut text = String::new();
                    for _ in 0..100 {
                        seed = seed
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        text.push_str(&format!("{seed:016x}"));
                    }
                    format!(r#"{{"n":{},"s":"{text}"}}"#, round * 100 + i)
                })
                .collect();
            sink.write(unit(&split(0), round * 100, &values.iter().map(String::as_str).collect::<Vec<_>>()))
                .await
                .unwrap();
        }
        let before = world.files().await;
        assert!(before.iter().any(|f| f.ends_with(".parquet")), "{before:?}");
        assert_eq!(world.snapshots().await, 0);
        sink.flush().await.unwrap();
        assert_eq!((world.snapshots().await, world.numbers().await.len()), (1, 6000));
        assert!(world.files().await.iter().filter(|f| f.ends_with(".parquet")).count() > 1);
    });
}

#[test]
fn old_snapshots_go_when_the_options_say_so() {
    run(async {
        let world = World::local(r#""keep_snapshots":2,"#);
        let mut sink = world.sink(desk());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        for round in 0..30 {
            sink.write(numbered(&split(0), round, 1)).await.unwrap();
            sink.flush().await.unwrap();
        }
        assert!(world.snapshots().await <= 12);
        assert_eq!(world.numbers().await.len(), 30);
        let lists = world.files().await.into_iter().filter(|f| f.contains("/snap-")).count();
        assert_eq!(lists, world.snapshots().await);
        let versions = world.files().await.into_iter().filter(|f| f.ends_with(".metadata.json")).count();
        assert_eq!(versions, 21);
    });
}
