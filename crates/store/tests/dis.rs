//! Streams of the DIS API, their readers and their minutes, over every database that can be had.
#![allow(clippy::large_futures, clippy::unwrap_used, clippy::panic)]

#[path = "store/backends.rs"]
mod backends;

use std::collections::BTreeMap;

use backends::Database;
use model::{
    AutoScale, DisApp, DisCheckpoint, DisCounts, DisData, DisKind, DisStatus, DisStream, DisStreamId,
    Timestamp,
};
use store::{DisMinute, ErrorKind as E, WHOLE_STREAM};

fn stream(account: &str, name: &str) -> DisStream {
    let mut s = DisStream {
        id: DisStreamId(format!("id-{account}-{name}")),
        account: account.into(),
        name: name.into(),
        topic: format!("dis.{account}.{name}"),
        status: DisStatus::Creating,
        kind: DisKind::Common,
        data: DisData::Csv,
        schema: None,
        csv_delimiter: None,
        compression: None,
        retention_hours: 24,
        auto_scale: AutoScale::default(),
        partitions: Vec::new(),
        changes: Vec::new(),
        tags: BTreeMap::new(),
        system_tags: BTreeMap::new(),
        created: Timestamp(1),
        modified: Timestamp(1),
    };
    s.rescale(2, Timestamp(1), false);
    s
}

#[tokio::test]
async fn streams_and_their_readers() {
    for database in Database::each() {
        let store = database.open().await;
        let (a, b) = (stream("x", "a"), stream("y", "a"));
        store.insert_dis_stream(&a, 1).await.unwrap();
        store.insert_dis_stream(&b, 0).await.unwrap();
        let twice = DisStream { id: DisStreamId("other".into()), ..a.clone() };
        assert_eq!(
            store.insert_dis_stream(&twice, 0).await.unwrap_err().kind(),
            E::Exists,
            "{}",
            database.name
        );
        assert_eq!(store.insert_dis_stream(&stream("x", "b"), 1).await.unwrap_err().kind(), E::Limit);
        let all = store.dis_streams().await.unwrap();
        assert_eq!(all.iter().map(|s| &**s).collect::<Vec<_>>(), [&a, &b]);
        let grown = store.change_dis_stream(&a.id, |s| {
            s.rescale(5, Timestamp(9), true);
            Ok::<_, ()>(())
        });
        let grown = grown.await.unwrap().unwrap();
        assert_eq!((grown.open_count(), store.dis_streams().await.unwrap()[0].open_count()), (5, 5));
        assert_eq!(store.change_dis_stream(&a.id, |_| Err("no")).await.unwrap().unwrap_err(), "no");
        let app =
            DisApp { id: "app".into(), account: "x".into(), name: "reader".into(), created: Timestamp(2) };
        store.insert_dis_app(&app, 0).await.unwrap();
        let again = DisApp { id: "app2".into(), ..app.clone() };
        assert_eq!(store.insert_dis_app(&again, 0).await.unwrap_err().kind(), E::Exists);
        assert_eq!(store.dis_app(&"x".into(), "reader").await.unwrap(), Some(app.clone()));
        assert_eq!(store.dis_app(&"y".into(), "reader").await.unwrap(), None);
        let at = |partition, sequence| DisCheckpoint { partition, sequence, metadata: "m".into() };
        for (partition, sequence) in [(0, 5), (1, 7), (0, 6)] {
            store.put_dis_checkpoint("app", &a.id, &at(partition, sequence)).await.unwrap();
        }
        assert_eq!(store.dis_checkpoints("app", &a.id).await.unwrap(), [at(0, 6), at(1, 7)]);
        let nowhere = DisStreamId("none".into());
        assert_eq!(
            store.put_dis_checkpoint("app", &nowhere, &at(0, 1)).await.unwrap_err().kind(),
            E::NotFound
        );
        assert_eq!(
            store.put_dis_checkpoint("nobody", &a.id, &at(0, 1)).await.unwrap_err().kind(),
            E::NotFound
        );
        assert_eq!(store.dis_app_streams(&"x".into()).await.unwrap(), [("app".into(), a.id.clone())].into());
        assert_eq!(store.remove_dis_app("app").await.unwrap_err().kind(), E::Conflict);
        assert_eq!(store.remove_dis_checkpoints("app", &a.id, Some(0)).await.unwrap(), 1);
        assert!(store.remove_dis_stream(&a.id).await.unwrap());
        assert!(!store.remove_dis_stream(&a.id).await.unwrap());
        assert!(store.remove_dis_app("app").await.unwrap());
        store.close().await;
    }
}

#[tokio::test]
async fn minutes_add_up() {
    for database in Database::each() {
        let store = database.open().await;
        let id = DisStreamId("s".into());
        let one = |part, minute, n| DisMinute {
            stream: id.clone(),
            part,
            minute,
            counts: DisCounts { put_records: n, get_us: 1, ..DisCounts::default() },
        };
        store.add_dis_minutes(&[one(WHOLE_STREAM, 10, 1), one(0, 10, 2)]).await.unwrap();
        store.add_dis_minutes(&[one(WHOLE_STREAM, 10, 4), one(WHOLE_STREAM, 12, 8)]).await.unwrap();
        let read = async |part, range| {
            let found = store.dis_minutes(&id, part, range).await.unwrap();
            found.iter().map(|(at, c)| (*at, c.put_records, c.get_us)).collect::<Vec<_>>()
        };
        assert_eq!(read(WHOLE_STREAM, (0, 99)).await, [(10, 5, 2), (12, 8, 1)], "{}", database.name);
        assert_eq!(read(WHOLE_STREAM, (11, 12)).await, [(12, 8, 1)]);
        assert_eq!(read(0, (0, 99)).await, [(10, 2, 1)]);
        assert_eq!(store.forget_dis_minutes(12).await.unwrap(), 2);
        assert_eq!(read(WHOLE_STREAM, (0, 99)).await, [(12, 8, 1)]);
        store.close().await;
    }
}
