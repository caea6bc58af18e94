//! Every persisted format against the file that holds what was released. A format that changes must
//! become a new version beside the old one; `WHARF_BLESS=1` writes the files that are missing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::*;

use super::*;

fn check<R: Record>(name: &str, record: &R, read: impl Fn(R) -> Result<R>) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    let now: serde_json::Value = serde_json::from_str(&encode(record).unwrap()).unwrap();
    if !path.exists() && std::env::var_os("WHARF_BLESS").is_some() {
        std::fs::write(&path, format!("{now:#}\n")).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let released: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(now, released, "{name}: what is written has changed");
    let again = encode(&read(decode::<R>(&text).unwrap()).unwrap()).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&again).unwrap(),
        released,
        "{name}: read and written again"
    );
    let newer = text.replacen(&format!("\"v\": {}", R::VERSION), "\"v\": 99", 1);
    let e = decode::<R>(&newer).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::Version, "{name}: {e}");
    assert!(decode::<R>("{}").is_err() && decode::<R>("").is_err());
}

fn ends() -> (DirectoryEnd, ObjectEnd, Credentials) {
    (
        DirectoryEnd { file_system: "cfs-1".into(), root: "/srv/data".into(), path: "in/".into() },
        ObjectEnd { store: "store".into(), bucket: "bucket".into(), prefix: "prefix/".into() },
        Credentials { access_key_id: "AKID".into(), secret: Sealed(vec![1, 254, 3]) },
    )
}

#[test]
fn places() {
    let account = Account {
        id: "100000000001".into(),
        name: "name".into(),
        access_key_id: "AKID".into(),
        secret: Sealed(vec![1, 2, 255]),
        app_id: "1250000000".into(),
        operator: true,
        active: true,
        declared: model::Declared::Never,
        tokens: Vec::new(),
        created: Timestamp(1_700_000_000_000_000),
    };
    check("account.v1.json", &AccountRecord::of(&account), |r| Ok(AccountRecord::of(&r.noun()?)));
    let fs = FileSystem {
        id: "cpfs-1".into(),
        product: Product::CpfsGeneral,
        root: "/srv/data".into(),
        version: "2.7.0".into(),
        description: "words".into(),
        capacity_gib: 3600,
        bandwidth_mbps: 1500,
        region: "cn-hangzhou".into(),
        zone: "cn-hangzhou-i".into(),
        allow_destroy: false,
        origin: Origin::Config,
        created: Timestamp(1),
    };
    check("file-system.v1.json", &FileSystemRecord::of(&fs).unwrap(), |r| FileSystemRecord::of(&r.noun()?));
    let fileset = Fileset {
        id: "fset-1".into(),
        account: "100000000001".into(),
        file_system: "cpfs-1".into(),
        path: "/a/b/".into(),
        description: "words".into(),
        deletion_protection: true,
        quota: Some(Quota { size_limit: Some(u64::MAX), file_count_limit: None }),
        status: FilesetStatus::Created,
        release: None,
        space_used: 5,
        files_used: 6,
        counted: None,
        created: Timestamp(1),
        updated: Timestamp(2),
    };
    check("fileset.v1.json", &FilesetRecord::of(&fileset).unwrap(), |r| FilesetRecord::of(&r.noun()?));
    let store = ObjectStore {
        id: "store".into(),
        url: "http://127.0.0.1:9000".into(),
        region: "us-east-1".into(),
        dialect: Dialect::Oss,
        path_style: true,
        access_key_id: Some("AKID".into()),
        secret: Some(Sealed(vec![0])),
        buckets: vec!["*".into()],
        hosts: vec!["*.cos.ap-guangzhou.myqcloud.com".into()],
        ca_pem: None,
        origin: Origin::Registered,
        created: Timestamp(1),
    };
    check("object-store.v1.json", &ObjectStoreRecord::of(&store), |r| Ok(ObjectStoreRecord::of(&r.noun()?)));
}

#[test]
fn streams() {
    let mut stream = DisStream {
        id: DisStreamId("s3R2e1A0mIdOf19Lett".into()),
        account: "a".into(),
        name: "events".into(),
        topic: "dis.a.events".into(),
        status: DisStatus::Running,
        kind: DisKind::Advanced,
        data: DisData::Json,
        schema: Some("{\"type\":\"record\",\"name\":\"r\",\"fields\":[]}".into()),
        csv_delimiter: Some(";".into()),
        compression: Some("snappy".into()),
        retention_hours: 72,
        auto_scale: AutoScale { enabled: true, least: 1, most: 5 },
        partitions: Vec::new(),
        changes: Vec::new(),
        tags: BTreeMap::from([("k".into(), "v".into())]),
        system_tags: BTreeMap::from([("_sys_enterprise_project_id".into(), "0".into())]),
        created: Timestamp(1),
        modified: Timestamp(2),
    };
    stream.rescale(3, Timestamp(3), false);
    stream.rescale(2, Timestamp(4), false);
    stream.rescale(4, Timestamp(5), true);
    stream.rescale(3, Timestamp(6), false);
    check("stream.v1.json", &DisStreamRecord::of(&stream), |r| Ok(DisStreamRecord::of(&r.noun()?)));
    let app =
        DisApp { id: "app-1".into(), account: "a".into(), name: "reader".into(), created: Timestamp(7) };
    check("app.v1.json", &DisAppRecord::of(&app), |r| Ok(DisAppRecord::of(&r.noun())));
    // An account with tokens; one without is in `places`.
    let account = Account {
        id: "100000000001".into(),
        name: "name".into(),
        access_key_id: "AKID".into(),
        secret: Sealed(vec![1, 2, 255]),
        app_id: "1250000000".into(),
        operator: false,
        active: true,
        declared: model::Declared::Now,
        tokens: vec!["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into()],
        created: Timestamp(1_700_000_000_000_000),
    };
    check("account-tokens.v1.json", &AccountRecord::of(&account), |r| Ok(AccountRecord::of(&r.noun()?)));
}

#[test]
fn flows() {
    let (directory, object, credentials) = ends();
    let flow = Flow {
        id: "df-1".into(),
        account: "100000000001".into(),
        door: Door::Nas,
        directory,
        fileset: Some("fset-1".into()),
        object,
        credentials: Some(credentials),
        status: FlowStatus::Misconfigured,
        error: Some("why".into()),
        name: "name".into(),
        description: "words".into(),
        attributes: BTreeMap::from([("Throughput".into(), "600".into())]),
        sealed_attributes: BTreeMap::from([("Password".into(), Sealed(vec![7]))]),
        created: Timestamp(1),
        updated: Timestamp(2),
    };
    check("flow.v1.json", &FlowRecord::of(&flow).unwrap(), |r| FlowRecord::of(&r.noun()?));
}

fn task(selection: Selection) -> Task {
    let (directory, object, credentials) = ends();
    Task {
        id: "task-1".into(),
        account: "a".into(),
        door: Door::Cfs,
        kind: TaskKind::Transfer,
        parent: None,
        flow: None,
        file_system: "cfs-1".into(),
        spec: TransferSpec {
            direction: Direction::Export,
            object,
            credentials: Some(credentials),
            directory,
            selection,
            conflict: ConflictPolicy::IfChanged,
            data: DataType::MetaAndData,
            dialect: MetadataDialect::AlibabaLingjun,
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
        name: String::new(),
        attributes: BTreeMap::from([("TaskAction".into(), "Export".into())]),
        created: Timestamp(1),
        started: None,
        ended: None,
    }
}

#[test]
fn tasks() {
    let condition = Precondition { mtime_ns: Some(-1), size: Some(2) };
    let selections = [
        ("all", Selection::All),
        ("includes", Selection::Includes(vec!["a/".into()])),
        ("entries", Selection::Entries(vec!["a".into(), "b/".into()])),
        ("csv", Selection::CsvUnder("lists/".into())),
        ("list-file", Selection::ListFile("list.txt".into())),
        ("list-url", Selection::ListUrl("http://127.0.0.1/list".into())),
        ("one", Selection::One { from: "a".into(), to: "b".into(), condition }),
    ];
    for (name, selection) in selections {
        let t = task(selection);
        check(&format!("task-{name}.v1.json"), &SpecRecord::of(&t).unwrap(), |r| {
            let (spec, attributes) = r.nouns()?;
            SpecRecord::of(&Task { spec, attributes, ..task(Selection::All) })
        });
    }
}

#[test]
fn accounts_of_tasks() {
    let mut ledger = Ledger::default();
    ledger.book(Outcome::Written, u64::MAX >> 1);
    ledger.book(Outcome::Failed, 3);
    let progress =
        Progress { items_found: 1, bytes_found: 2, scan_done: true, bytes_per_s: 3, remaining_s: Some(4) };
    check("ledger.v1.json", &AccountBook::of(&ledger, &progress), |r| {
        let (l, p) = r.nouns();
        Ok(AccountBook::of(&l, &p))
    });
    let reports =
        Reports { total: Some("total.csv".into()), failed: Some("failed.csv".into()), ..Reports::default() };
    check("outcome.v1.json", &OutcomeRecord::of(Some("why"), &reports), |r| {
        let (e, r) = r.nouns();
        Ok(OutcomeRecord::of(e.as_deref(), &r))
    });
    let receipt = Receipt {
        task: "task-1".into(),
        ledger,
        manifest: "manifest.jsonl".into(),
        manifest_sha256: "00ff".into(),
        made: Timestamp(5),
    };
    check("receipt.v1.json", &ReceiptRecord::of(&receipt), |r| Ok(ReceiptRecord::of(&r.noun())));
}

fn end(kind: EndKind) -> PipelineEnd {
    PipelineEnd {
        kind,
        connection: Some("resource-1".into()),
        address: r#"{"bootstrap":"h:1"}"#.into(),
        secret: Some(Sealed(vec![1, 255])),
        options: r#"{"topic":"t"}"#.into(),
    }
}

#[test]
fn pipelines() {
    let copy = Some(Box::new(end(EndKind::Kafka)));
    let p = Pipeline {
        id: "task-1".into(),
        account: "a".into(),
        name: "name".into(),
        description: "words".into(),
        direction: PipelineDirection::Sink,
        source: end(EndKind::Kafka),
        sink: PipelineEnd { connection: None, secret: None, ..end(EndKind::ClickHouse) },
        transform: Some("{}".into()),
        on_failure: OnFailure::Keep { copy, retries: 3, interval_ms: 100 },
        on_refusal: OnFailure::Drop,
        lanes: Some(4),
        bytes_per_s: None,
        records_per_s: Some(2000),
        status: PipelineStatus::Creating,
        error: None,
        ledger: Ledger::default(),
        attempt: 0,
        attributes: BTreeMap::from([("Source".into(), "KAFKA".into())]),
        tags: BTreeMap::from([("k".into(), "v".into())]),
        created: Timestamp(1),
        deleted: None,
    };
    check("pipeline.v1.json", &PipelineRecord::of(&p), |r| {
        let again = r.noun()?;
        assert_eq!(again, p);
        Ok(PipelineRecord::of(&again))
    });
    for (on_failure, on_refusal) in [(OnFailure::Block, OnFailure::Pass), (OnFailure::Pass, OnFailure::Block)]
    {
        let other = Pipeline { on_failure, on_refusal, ..p.clone() };
        assert_eq!(
            decode::<PipelineRecord>(&encode(&PipelineRecord::of(&other)).unwrap()).unwrap().noun(),
            Ok(other)
        );
    }
    let connection = Connection {
        id: "resource-1".into(),
        account: Some("a".into()),
        name: "name".into(),
        description: "words".into(),
        kind: Some(EndKind::Elastic),
        product: "ES".into(),
        address: r#"{"url":"http://h:9200"}"#.into(),
        secret: Some(Sealed(vec![0])),
        attributes: BTreeMap::from([("Port".into(), "9200".into())]),
        tags: BTreeMap::new(),
        origin: Origin::Registered,
        created: Timestamp(1),
    };
    check("connection.v1.json", &ConnectionRecord::of(&connection), |r| Ok(ConnectionRecord::of(&r.noun()?)));
    let topic = DipTopic {
        id: "topic-1".into(),
        account: "a".into(),
        name: "1250000000-t".into(),
        note: "words".into(),
        partitions: 3,
        retention_ms: 86_400_000,
        user: "u".into(),
        password: Sealed(vec![9]),
        tags: BTreeMap::new(),
        created: Timestamp(1),
    };
    check("topic.v1.json", &DipTopicRecord::of(&topic), |r| Ok(DipTopicRecord::of(&r.noun()?)));
}

#[test]
fn flow_logs() {
    let log = FlowLog {
        id: "fl-1".into(),
        account: "a".into(),
        app_id: "1250000000".into(),
        name: "n".into(),
        description: "words".into(),
        kind: NetworkKind::Interface,
        resource: "eni-1".into(),
        vpc: "vpc-1".into(),
        traffic: LoggedTraffic::All,
        period_s: Some(60),
        topic: LogTopic { connection: "ckafka-1".into(), topic: "t".into(), asked: "topic-1".into() },
        log_id: "id".into(),
        log_region: "r".into(),
        region: "q".into(),
        tags: BTreeMap::from([("k".into(), "v".into())]),
        created: Timestamp(1),
        enabled: true,
        attempt: 0,
        state: FlowLogState::default(),
    };
    check("flow-log.v1.json", &FlowLogRecord::of(&log), |r| Ok(FlowLogRecord::of(&r.noun()?)));
    let state = FlowLogState {
        records: 1,
        packets: 2,
        bytes: 3,
        windows: 4,
        lost_observed: 5,
        lost_records: 6,
        lost_packets: 7,
        gaps: 8,
        method: "bpf".into(),
        limits: vec!["l".into()],
        error: Some("e".into()),
        topic_gone: true,
        covered: Some(Timestamp(9)),
    };
    check("flow-log-state.v1.json", &FlowLogStateRecord::of(&state), |r| {
        Ok(FlowLogStateRecord::of(&r.noun()))
    });
}

#[test]
fn headers_of_dead_letters() {
    let headers: HeaderList =
        vec![(b"a".to_vec(), Some(b"1".to_vec())), (vec![], None), (vec![0, 255], Some(vec![]))];
    let bytes = encode_headers(&headers);
    let released = [
        1, 1, 0, 0, 0, b'a', 1, 0, 0, 0, b'1', 0, 0, 0, 0, 255, 255, 255, 255, 2, 0, 0, 0, 0, 255, 0, 0, 0, 0,
    ];
    assert_eq!(bytes, released);
    assert_eq!(decode_headers(&bytes).unwrap(), headers);
    assert_eq!(decode_headers(&[]).unwrap(), HeaderList::new());
    for torn in [&bytes[..bytes.len() - 1], &[2], &[1, 9, 0, 0, 0], &[1, 255, 255, 255, 255]] {
        assert!(decode_headers(torn).is_err());
    }
}
