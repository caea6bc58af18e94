//! Nouns to store.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;

use model::*;
use store::*;

pub fn at(us: i64) -> Timestamp {
    Timestamp(us)
}

pub fn file_system(id: &str) -> FileSystem {
    FileSystem {
        id: id.into(),
        product: Product::Cfs,
        root: "/data".into(),
        version: "4.0".into(),
        description: String::new(),
        capacity_gib: 1,
        bandwidth_mbps: 1,
        region: "r".into(),
        zone: "z".into(),
        allow_destroy: false,
        origin: Origin::Registered,
        created: at(1),
    }
}

pub fn flow(id: &str) -> Flow {
    Flow {
        id: id.into(),
        account: "a".into(),
        door: Door::Cfs,
        directory: DirectoryEnd { file_system: "cfs-1".into(), root: "/data".into(), path: "in/".into() },
        fileset: None,
        object: ObjectEnd { store: "s3".into(), bucket: "b".into(), prefix: "p/".into() },
        credentials: Some(Credentials { access_key_id: "ak".into(), secret: Sealed(vec![1, 2, 3]) }),
        status: FlowStatus::Running,
        error: None,
        name: "n".into(),
        description: "d".into(),
        attributes: BTreeMap::from([("AutoRefresh".into(), "1".into())]),
        sealed_attributes: BTreeMap::from([("Password".into(), Sealed(vec![9]))]),
        created: at(10),
        updated: at(10),
    }
}

pub fn task(id: &str, flow: Option<&str>) -> Task {
    Task {
        id: id.into(),
        account: "a".into(),
        door: Door::Nas,
        kind: TaskKind::Transfer,
        parent: None,
        flow: flow.map(Into::into),
        file_system: "cfs-1".into(),
        spec: TransferSpec {
            direction: Direction::Import,
            object: ObjectEnd { store: "s3".into(), bucket: "b".into(), prefix: "p/".into() },
            credentials: None,
            directory: DirectoryEnd { file_system: "cfs-1".into(), root: "/data".into(), path: "in/".into() },
            selection: Selection::Entries(vec!["x".into(), "y/".into()]),
            conflict: ConflictPolicy::KeepLatest,
            data: DataType::MetaAndData,
            dialect: MetadataDialect::Native,
            create_directory: true,
            default_file_mode: 0o640,
            default_dir_mode: 0o750,
        },
        status: TaskStatus::Pending,
        error: None,
        ledger: Ledger::default(),
        progress: Progress::default(),
        reports: Reports::default(),
        originator: Originator::User,
        attempt: 0,
        name: "t".into(),
        attributes: BTreeMap::from([("TaskAction".into(), "Import".into())]),
        created: at(100),
        started: None,
        ended: None,
    }
}

/// An account of `n` written items of ten bytes.
pub fn ledger(n: u64) -> Ledger {
    let mut l = Ledger::default();
    for _ in 0..n {
        l.book(Outcome::Written, 10);
    }
    l
}

pub const LEASE: i64 = 30_000_000;

pub fn entry(n: u64, now: i64) -> JournalEntry {
    let checkpoint = Some(Checkpoint(n.to_le_bytes().to_vec()));
    JournalEntry {
        ledger: ledger(n),
        progress: Progress::default(),
        checkpoint,
        events: Vec::new(),
        at: at(now),
    }
}

pub fn finish(status: TaskStatus, ledger: Ledger, now: i64) -> Finish {
    let error = (status == TaskStatus::Failed).then(|| "no luck".to_owned());
    Finish {
        status,
        error,
        ledger,
        progress: Progress::default(),
        checkpoint: None,
        receipt: None,
        reports: Reports::default(),
        events: Vec::new(),
        at: at(now),
    }
}

pub fn kind<T: std::fmt::Debug>(r: Result<T>) -> ErrorKind {
    r.unwrap_err().kind()
}
