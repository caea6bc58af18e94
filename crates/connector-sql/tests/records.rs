//! The sinks against real servers, with an engine that dies where it likes: in the end the table holds exactly the good records, the
//! host was told of exactly the bad ones, and the books balance.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{BAD, Db, Journal, Place, Source, balanced, life, poll_some, take};
use connector::ErrorKind;
use connector::records::{Account, Mark, Split};
use testkit::proxy::{Mode, Proxy};
use tokio::task::LocalSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql() {
    let Some(mut db) = Db::postgres().await else { return };
    LocalSet::new().run_until(all(&mut db)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mariadb() {
    let Some(mut db) = Db::mariadb().await else { return };
    LocalSet::new().run_until(all(&mut db)).await;
}

async fn all(db: &mut Db) {
    kinds(db).await;
    modes(db).await;
    changes(db).await;
    large(db).await;
    poison(db).await;
    alterations(db).await;
    long_names(db).await;
    rivals(db).await;
    deadlock(db).await;
    deaths(db).await;
    lost_answers(db).await;
    lost_commit(db).await;
    restart(db).await;
}

/// Every kind of column, by keys and by mapping; absent and null values; defaults.
async fn kinds(db: &mut Db) {
    let place = Place::new(db, r#""mode":"insert""#);
    let pg = place.is_postgres();
    let columns = if pg {
        "id bigint PRIMARY KEY, small smallint, price numeric(10,2), word varchar(5) DEFAULT 'dflt', at timestamptz, day date, \
         doc jsonb, raw bytea, ok boolean NOT NULL DEFAULT true, tags text[], u uuid, twice bigint GENERATED ALWAYS AS (id * 2) STORED"
    } else {
        "id bigint PRIMARY KEY, small smallint, price decimal(10,2), word varchar(5) DEFAULT 'dflt', at datetime(3), day date, \
         doc json, raw varbinary(10), ok boolean NOT NULL DEFAULT true, tags text, u uuid, twice bigint AS (id * 2) STORED"
    };
    db.run(&format!("CREATE TABLE {} ({columns})", place.table)).await;
    let good = r#"{"id":9007199254740993,"small":-5,"price":"12.50","word":"a\u00e4'\\","at":"2026-11-22T15:08:24.5+02:00","day":20779,
        "doc":{"a":[1,null]},"raw":"\\x00ff","ok":false,"tags":["x","y,z"],"u":"0a1b2c3d-0000-4000-8000-000000000001","twice":7}"#;
    let sparse = r#"{"id":2,"price":null,"SMALL":3}"#;
    let bad = [
        r#"{"id":3,"small":40000}"#,
        r#"{"id":4,"word":"too long"}"#,
        r#"{"id":5,"nothing":1}"#,
        r#"{"id":6,"at":"yesterday-ish"}"#,
        r#"{"id":null}"#,
        r#"{"small":1}"#,
        r#"{"id":7,"ok":null}"#,
        r#"{"id":8,"price":"123456789.00"}"#,
        r#"{"id":9,"u":"no uuid"}"#,
        r#"{"id":2}"#,
        "[1]",
        "not json",
    ];
    let mut values = vec![good, sparse];
    values.extend(bad);
    let host = place.write_all(&values).await.unwrap();
    assert_eq!(host.reasons().len(), bad.len(), "{:#?}", host.reasons());
    assert!(host.reasons().iter().all(|((_, offset), _)| *offset >= 2));
    let text = if pg {
        "id::text, small::text, price::text, word, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'), day::text, doc::text, \
         encode(raw, 'hex'), ok::int::text, tags[2], twice::text"
    } else {
        "CAST(id AS CHAR), CAST(small AS CHAR), CAST(price AS CHAR), word, CAST(at AS CHAR), CAST(day AS CHAR), doc, LOWER(HEX(raw)), \
         CAST(ok AS CHAR), tags, CAST(twice AS CHAR)"
    };
    let rows = db.rows(&format!("SELECT {text} FROM {} ORDER BY id DESC", place.table)).await;
    let doc = if pg { r#"{"a": [1, null]}"# } else { r#"{"a":[1,null]}"# };
    let tags = if pg { "y,z" } else { r#"["x","y,z"]"# };
    let twice = "18014398509481986";
    let first = [
        "9007199254740993",
        "-5",
        "12.50",
        "aä'\\",
        "2026-11-22 13:08:24.500",
        "2026-11-22",
        doc,
        "00ff",
        "0",
        tags,
        twice,
    ];
    let shown =
        |r: &[Option<String>]| r.iter().map(|c| c.clone().unwrap_or("NULL".into())).collect::<Vec<_>>();
    assert_eq!(shown(&rows[0]), first);
    let second = ["2", "3", "NULL", "dflt", "NULL", "NULL", "NULL", "NULL", "1", "NULL", "4"];
    assert_eq!((shown(&rows[1]), rows.len()), (second.map(str::to_owned).to_vec(), 2));
    mapped(db).await;
}

async fn mapped(db: &mut Db) {
    let mapping = r#""mode":"insert","mapping":[{"json_key":"a.b","column":"id"},{"json_key":"w","column":"select","type":"varchar","default":"none"},
        {"json_key":"m","column":"must","nullable":false}]"#;
    let place = Place::new(db, mapping);
    let select = if place.is_postgres() { "\"select\"" } else { "`select`" };
    db.run(&format!("CREATE TABLE {} (id int, {select} varchar(9), must int)", place.table)).await;
    let values = [
        r#"{"a.b":1,"other":[],"m":1}"#,
        r#"{"a.b":2,"w":"x","m":2}"#,
        r#"{"a.b":3,"w":"x"}"#,
        r#"{"a.b":3,"m":null}"#,
    ];
    let host = place.write_all(&values).await.unwrap();
    assert_eq!(host.reasons().len(), 2);
    let rows =
        db.rows(&format!("SELECT CAST(id AS CHAR(1)), {select} FROM {} ORDER BY id", place.table)).await;
    assert_eq!(rows, [[Some("1".into()), Some("none".into())], [Some("2".into()), Some("x".into())]]);
    let place = Place::new(db, r#""mode":"insert","mapping":[{"json_key":"a","column":"no_such"}]"#);
    db.run(&format!("CREATE TABLE {} (id int)", place.table)).await;
    assert_eq!(place.write_all(&["{}"]).await.unwrap_err().kind(), ErrorKind::NotFound);
    let place = Place::new(db, r#""mode":"insert""#);
    assert_eq!(place.write_all(&["{}"]).await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// A duplicate key is refused by inserts and is the newest row of upserts; what a record lacks stays.
async fn modes(db: &mut Db) {
    let values = [
        r#"{"id":1,"a":"x","b":"x"}"#,
        r#"{"id":2,"a":"y"}"#,
        r#"{"id":1,"b":"z"}"#,
        r#"{"id":2,"a":"w","b":"v"}"#,
        r#"{"id":2,"a":"last"}"#,
        r#"{"a":"no key"}"#,
    ];
    for (mode, wanted, refused) in [("insert", "1 x x,2 y -", 4), ("upsert", "1 x z,2 last v", 1)] {
        let place = Place::new(db, &format!(r#""mode":"{mode}""#));
        db.run(&format!("CREATE TABLE {} (id int PRIMARY KEY, a varchar(9), b varchar(9))", place.table))
            .await;
        let host = place.write_all(&values).await.unwrap();
        assert_eq!(host.reasons().len(), refused, "{:#?}", host.reasons());
        assert_eq!(three(db, &place).await, wanted, "{mode}");
    }
    let place = Place::new(db, r#""mode":"upsert""#);
    db.run(&format!("CREATE TABLE {} (id int, a varchar(9))", place.table)).await;
    assert_eq!(place.write_all(&["{}"]).await.unwrap_err().kind(), ErrorKind::Unacceptable);
}

async fn three(db: &mut Db, place: &Place) -> String {
    let sql = format!("SELECT CAST(id AS CHAR(9)), a, b FROM {} ORDER BY id", place.table);
    let rows = db.rows(&sql).await;
    let row = |r: &Vec<Option<String>>| {
        r.iter().map(|c| c.as_deref().unwrap_or("-").trim().to_owned()).collect::<Vec<_>>().join(" ")
    };
    rows.iter().map(row).collect::<Vec<_>>().join(",")
}

/// A record that is larger than what the server reads in one message must not end the connection again and again.
async fn large(db: &mut Db) {
    let place = Place::new(db, r#""mode":"insert""#);
    let text = if place.is_postgres() { "text" } else { "longtext" };
    db.run(&format!("CREATE TABLE {} (id int PRIMARY KEY, a {text}, b {text})", place.table)).await;
    let value = |id: i32, n: usize| format!(r#"{{"id":{id},"a":"{}"}}"#, "x".repeat(n));
    let values = [value(1, 10), value(2, 20 << 20), value(3, 10 << 20), value(4, 10)];
    let host = place.write_all(&values.each_ref().map(String::as_str)).await.unwrap();
    let refused: Vec<_> = host.reasons().into_keys().map(|(_, offset)| offset).collect();
    assert_eq!(refused, if place.is_postgres() { vec![] } else { vec![1] });
    let rows = db.rows(&format!("SELECT CAST(SUM(id) AS CHAR(2)) FROM {}", place.table)).await;
    assert_eq!(rows[0][0].as_deref().map(str::trim), Some(if place.is_postgres() { "10" } else { "8" }));
}

async fn changes(db: &mut Db) {
    let debezium = [
        r#"{"op":"r","after":{"id":1,"a":"x","b":"x"}}"#,
        r#"{"op":"c","after":{"id":2,"a":"y","b":"y"}}"#,
        r#"{"payload":{"op":"u","before":{"id":1,"a":"x","b":"x"},"after":{"id":7,"a":"moved","b":"x"}}}"#,
        r#"{"op":"d","before":{"id":2,"a":"y","b":"y"},"after":null}"#,
        "",
        r#"{"op":"c","after":{"id":2,"a":"again","b":null}}"#,
        r#"{"op":"t"}"#,
    ];
    let canal = [
        r#"{"type":"INSERT","data":[{"id":"1","a":"x","b":"x"},{"id":"2","a":"y","b":"y"}],"isDdl":false}"#,
        r#"{"type":"UPDATE","data":[{"id":"7","a":"moved","b":"x"}],"old":[{"id":"1","a":"x"}]}"#,
        r#"{"type":"DELETE","data":[{"id":"2","a":"y","b":"y"}]}"#,
        r#"{"type":"ALTER","isDdl":true,"sql":"ALTER"}"#,
        r#"{"type":"INSERT","data":[{"id":"2","a":"again","b":null}]}"#,
        "junk",
    ];
    for (format, values) in [("debezium", &debezium[..]), ("canal", &canal[..])] {
        let place = Place::new(db, &format!(r#""mode":"insert","change_format":"{format}""#));
        db.run(&format!("CREATE TABLE {} (id bigint PRIMARY KEY, a varchar(9), b varchar(9))", place.table))
            .await;
        let host = place.write_all(values).await.unwrap();
        assert_eq!(host.reasons().len(), 1, "{:#?}", host.reasons());
        assert_eq!(three(db, &place).await, "2 again -,7 moved x", "{format}");
        let mark = host.mark();
        assert_eq!((mark.account.items[Account::SKIPPED], mark.account.items[Account::DEAD]), (1, 1));
        let a = mark.account.items;
        assert_eq!(a[Account::READ], a[2..].iter().sum::<u64>());
    }
}

/// Poison of several kinds among many records: exactly the good ones are there.
async fn poison(db: &mut Db) {
    let place = Place::new(db, r#""mode":"insert""#);
    db.run(&format!("CREATE TABLE {} ({})", place.table, place.columns())).await;
    let source = Source { splits: 3, n: 4000, poison: 250 };
    let mut journal = Journal::new();
    assert!(life(&place, &source, &mut journal, u64::MAX).await.unwrap());
    place.check(db, &source, &journal).await;
    assert!(BAD.len() > 6 && place.host.reasons().len() >= 45);
}

/// The table is altered while records come.
async fn alterations(db: &mut Db) {
    let place = Place::new(db, r#""mode":"insert""#);
    db.run(&format!("CREATE TABLE {} (id int PRIMARY KEY, a varchar(9), b varchar(9))", place.table)).await;
    let mut sink = place.sink(&place.url());
    let (split, _) = take(sink.as_mut(), &mut Journal::new(), 1).await.unwrap()[0].clone();
    let mut write = async |from: i64, value: &str| {
        sink.write(common::unit(&split, from, &[value])).await?;
        sink.flush().await
    };
    write(0, r#"{"id":1,"a":"x"}"#).await.unwrap();
    // A new column is found when the catalogue has not just been read.
    db.run(&format!("ALTER TABLE {} ADD COLUMN c varchar(9)", place.table)).await;
    place.clock.advance(6_000_000);
    write(1, r#"{"id":2,"c":"new"}"#).await.unwrap();
    // A column that went away: the server says so, the catalogue is read again, and the key has no column any more.
    db.run(&format!("ALTER TABLE {} DROP COLUMN c", place.table)).await;
    write(2, r#"{"id":3,"c":"gone"}"#).await.unwrap();
    write(3, r#"{"id":4,"a":"still"}"#).await.unwrap();
    db.run(&format!("ALTER TABLE {} RENAME TO {}_away", place.table, place.table)).await;
    assert_eq!(write(4, r#"{"id":5}"#).await.unwrap_err().kind(), ErrorKind::NotFound);
    db.run(&format!("ALTER TABLE {}_away RENAME TO {}", place.table, place.table)).await;
    assert_eq!(three(db, &place).await, "1 x -,2 - -,4 still -");
    assert_eq!(place.host.reasons().into_keys().map(|(_, o)| o).collect::<Vec<_>>(), [2]);
}

/// The longest topic, replayed. Where the table of positions can't hold its name, nothing is written that would not be remembered.
async fn long_names(db: &mut Db) {
    let place = Place::new(db, r#""mode":"insert""#);
    db.run(&format!("CREATE TABLE {} (id int PRIMARY KEY, a varchar(9), b varchar(9))", place.table)).await;
    let replay = Split::new(format!("dead:{}", "t".repeat(249)).as_str(), 0);
    let known = [(replay.clone(), None)];
    if !place.is_postgres() {
        db.run("ALTER TABLE wharf_positions MODIFY topic VARCHAR(249) NOT NULL").await;
        let e = place.sink(&place.url()).committed(&known).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unacceptable, "{e}");
        db.run("ALTER TABLE wharf_positions MODIFY topic VARCHAR(255) NOT NULL").await;
    }
    for from in 0..2 {
        let mut sink = place.sink(&place.url());
        let found = sink.committed(&known).await.unwrap();
        assert_eq!(found[0].map_or(0, |m| m.next), from, "the row is found again");
        sink.open(&[(replay.clone(), found[0].unwrap_or_default())]).await.unwrap();
        sink.write(common::unit(&replay, from, &[&format!(r#"{{"id":{from},"a":"x"}}"#)])).await.unwrap();
        sink.flush().await.unwrap();
    }
    assert_eq!(three(db, &place).await, "0 x -,1 x -");
}

/// An older owner's transaction fails as a whole.
async fn rivals(db: &mut Db) {
    let place = Place::new(db, r#""mode":"insert""#);
    db.run(&format!("CREATE TABLE {} ({})", place.table, place.columns())).await;
    let source = Source { splits: 2, n: 500, poison: 50 };
    let mut journal = Journal::new();
    let mut old = place.sink(&place.url());
    let at = take(old.as_mut(), &mut journal, 2).await.unwrap();
    let (split, _) = at[0].clone();
    old.write(source.unit(&split, 0, 100)).await.unwrap();
    old.flush().await.unwrap();
    old.write(source.unit(&split, 100, 100)).await.unwrap();
    // The journal has not heard of the first hundred: the row has.
    assert!(life(&place, &source, &mut journal, u64::MAX).await.unwrap());
    let error = old.flush().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Changed), "{error}");
    place.check(db, &source, &journal).await;
}

/// Two transactions that lock the same rows the other way round.
async fn deadlock(db: &mut Db) {
    let place = Place::new(db, r#""mode":"upsert""#);
    db.run(&format!("CREATE TABLE {} (id int PRIMARY KEY, a varchar(9), b varchar(9))", place.table)).await;
    db.run(&format!("INSERT INTO {} (id, a) VALUES (1, 'x'), (2, 'x')", place.table)).await;
    let mut sink = place.sink(&place.url());
    let (split, _) = take(sink.as_mut(), &mut Journal::new(), 1).await.unwrap()[0].clone();
    let mut rival = db.another().await;
    rival.run("BEGIN").await;
    rival.run(&format!("UPDATE {} SET b = 'rival' WHERE id = 2", place.table)).await;
    sink.write(common::unit(&split, 0, &[r#"{"id":1,"a":"ours"}"#, r#"{"id":2,"a":"ours"}"#])).await.unwrap();
    let other = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // One of the two is chosen as the victim; ours comes again.
        let _ = rival.try_run(&format!("UPDATE {} SET b = 'rival' WHERE id = 1", place.table)).await;
        let _ = rival.try_run("COMMIT").await;
    };
    let (done, ()) = tokio::join!(sink.flush(), other);
    done.unwrap();
    let rows = three(db, &place).await;
    assert!(["1 ours rival,2 ours rival", "1 ours -,2 ours -"].contains(&rows.as_str()), "{rows}");
    assert_eq!(sink.settled()[0].mark.next, 2);
}

/// Lives that are cut off between any two steps of the conversation with the server.
async fn deaths(db: &mut Db) {
    let place = Place::new(db, r#""mode":"insert""#);
    db.run(&format!("CREATE TABLE {} ({})", place.table, place.columns())).await;
    let source = Source { splits: 3, n: 900, poison: 100 };
    let mut journal = Journal::new();
    for round in 0..70_u32 {
        let (polls, units) = if round < 60 { (3 + round * 7 % 120, 9) } else { (u32::MAX, u64::MAX) };
        let mut now = journal.clone();
        let done = poll_some(life(&place, &source, &mut now, units), polls).await;
        // What a life that was cut off has noted may be lost, too.
        if done.is_some() || round % 2 == 0 {
            journal = now;
        }
        match done {
            None | Some(Ok(false)) => {}
            Some(Ok(true)) => return place.check(db, &source, &journal).await,
            Some(Err(e)) => assert!(e.kind().is_transient() || e.kind() == ErrorKind::Changed, "{e}"),
        }
    }
    panic!("no life came through");
}

/// Connections that end after any number of bytes, so that answers to COMMIT are lost as well.
async fn lost_answers(db: &mut Db) {
    let upstream = format!("127.0.0.1:{}", db.port).parse().unwrap();
    let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), upstream, Mode::Raw).await.unwrap();
    for cut in ["response", "request"] {
        let place = Place::new(db, r#""mode":"insert""#);
        db.run(&format!("CREATE TABLE {} ({})", place.table, place.columns())).await;
        let source = Source { splits: 2, n: 600, poison: 200 };
        let mut journal = Journal::new();
        let mut through = false;
        for round in 0..60_u64 {
            proxy.clear();
            if round < 40 {
                let bytes = 1500 + round * 137 % 9000;
                proxy.add(&format!("every=2 do=cut-{cut}:{bytes}")).unwrap();
            }
            let units = if round < 40 { 9 } else { u64::MAX };
            match common::life_at(&place, proxy.addr.port(), &source, &mut journal, units).await {
                Ok(true) => {
                    through = true;
                    break;
                }
                Ok(false) => {}
                Err(e) => assert!(e.kind().is_transient() || e.kind() == ErrorKind::Changed, "{e}"),
            }
        }
        assert!(through);
        place.check(db, &source, &journal).await;
    }
    let place = Place::new(db, r#""mode":"insert""#);
    secrets(&place).await;
}

/// The first connection ends at each byte around the answer to COMMIT: whether it happened must be found out.
async fn lost_commit(db: &mut Db) {
    let upstream = format!("127.0.0.1:{}", db.port).parse().unwrap();
    let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), upstream, Mode::Raw).await.unwrap();
    let place = Place::new(db, r#""mode":"insert""#);
    db.run(&format!("CREATE TABLE {} (id bigint PRIMARY KEY)", place.table)).await;
    let mut journal = Journal::new();
    // True when the conversation was cut off.
    let mut cut_at = async |bytes: u64| {
        proxy.clear();
        proxy.add(&format!("times=1 do=cut-response:{bytes}")).unwrap();
        let before = proxy.requests();
        let mut sink = place.sink(&proxy.addr.port());
        let (split, next) = take(sink.as_mut(), &mut journal, 1).await.unwrap()[0].clone();
        sink.write(common::unit(&split, next, &[&format!(r#"{{"id":{next}}}"#)])).await.unwrap();
        sink.flush().await.unwrap();
        journal.insert(split, sink.settled()[0].mark);
        (next, proxy.requests() - before > 1)
    };
    let (mut low, mut high) = (0, 20_000);
    while low + 1 < high {
        let middle = (low + high) / 2;
        let (_, cut) = cut_at(middle).await;
        (low, high) = if cut { (middle, high) } else { (low, middle) };
    }
    let mut last = 0;
    for bytes in low.saturating_sub(60)..low + 4 {
        last = cut_at(bytes).await.0;
    }
    let rows = db.rows(&format!("SELECT CAST(COUNT(*) AS CHAR(9)) FROM {}", place.table)).await;
    assert_eq!(rows[0][0].as_deref().map(str::trim), Some((last + 1).to_string().as_str()));
    assert_eq!(place.host.reasons().len(), 0);
}

/// No password in any error.
async fn secrets(place: &Place) {
    let mut endpoint = place.endpoint(place.port);
    let error = connector_sql::probe(&endpoint).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    endpoint.secret = Some(connector::records::Secret("wr0ng-w0rd".into()));
    if !place.is_postgres() {
        let error = connector_sql::probe(&endpoint).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Denied && !format!("{error:?}").contains("wr0ng"), "{error:?}");
    }
    let nobody = place.endpoint(1);
    assert_eq!(connector_sql::probe(&nobody).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// The server crashes and comes back while a life is on; the sink finds out by itself or in its next life.
async fn restart(db: &mut Db) {
    let place = Place::new(db, r#""mode":"insert""#);
    db.run(&format!("CREATE TABLE {} ({})", place.table, place.columns())).await;
    let source = Source { splits: 2, n: 800, poison: 100 };
    let mut journal = Journal::new();
    let mut sink = place.sink(&place.url());
    let at = take(sink.as_mut(), &mut journal, 2).await.unwrap();
    sink.write(source.unit(&at[0].0, 0, 300)).await.unwrap();
    sink.flush().await.unwrap();
    sink.write(source.unit(&at[1].0, 0, 300)).await.unwrap();
    db.restart().await;
    sink.flush().await.unwrap();
    for s in sink.settled() {
        journal.insert(s.split, s.mark);
    }
    drop(sink);
    assert!(life(&place, &source, &mut journal, u64::MAX).await.unwrap());
    place.check(db, &source, &journal).await;
    balanced(&journal, &source);
    let known: BTreeMap<Split, Mark> = journal.into_iter().collect();
    assert_eq!(known.len(), 2);
}
