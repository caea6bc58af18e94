//! Requests of every API and version: the shapes are what the codec reads, and no bytes do harm.

use super::dispatch::{self, Session};
use super::shape::{self, Field, Request, Versioned};
use crate::core::Broker;
use crate::settings::{Access, Settings};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Message};
use std::sync::Arc;
use std::time::Duration;

/// A small generator of numbers, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below.max(1)).unwrap()).unwrap()
    }
}

/// Writes what a shape describes.
struct Maker {
    out: BytesMut,
    version: i16,
    flexible: bool,
    dice: Dice,
    /// Any bytes in the numbers, or zeros?
    wild: bool,
}

impl Maker {
    fn length(&mut self, n: usize, wide: bool) {
        let small = u8::try_from(n).unwrap();
        match (self.flexible, wide) {
            (true, _) => self.out.put_u8(small + 1),
            (false, true) => self.out.put_i32(i32::from(small)),
            (false, false) => self.out.put_i16(i16::from(small)),
        }
    }

    fn field(&mut self, field: &Field) {
        match field {
            Field::Fixed(n) => {
                for _ in 0..*n {
                    let b = if self.wild && self.dice.roll(3) == 0 { self.dice.roll(256) } else { 0 };
                    self.out.put_u8(u8::try_from(b).unwrap());
                }
            }
            Field::Text | Field::Blob => {
                let texts: [&str; 6] = ["", "t", "g", "PLAIN", "consumer", "retention.ms"];
                let text = texts[if self.wild { self.dice.roll(6) } else { 1 }];
                self.length(text.len(), matches!(field, Field::Blob));
                self.out.put_slice(text.as_bytes());
            }
            Field::Many(one) => {
                self.length(2, true);
                self.field(one);
                self.field(one);
            }
            Field::Rows(fields) => {
                self.length(2, true);
                self.row(fields);
                self.row(fields);
            }
        }
    }

    fn row(&mut self, fields: &[Versioned]) {
        for (from, to, field) in fields {
            if (*from..=*to).contains(&self.version) {
                self.field(field);
            }
        }
        if self.flexible {
            self.out.put_u8(0);
        }
    }
}

fn body(request: &Request, version: i16, seed: u64, wild: bool) -> Bytes {
    let flexible = version >= request.flexible;
    let mut maker = Maker { out: BytesMut::new(), version, flexible, dice: Dice(seed), wild };
    maker.row(request.fields);
    maker.out.freeze()
}

type Decode = fn(&mut Bytes, i16) -> bool;

fn decoder<T: Decodable + Message>() -> (Decode, i16, i16) {
    (|bytes, version| T::decode(bytes, version).is_ok(), T::VERSIONS.min, T::VERSIONS.max)
}

fn decoder_of(key: i16) -> (Decode, i16, i16) {
    match ApiKey::try_from(key).unwrap() {
        ApiKey::Produce => decoder::<ProduceRequest>(),
        ApiKey::Fetch => decoder::<FetchRequest>(),
        ApiKey::ListOffsets => decoder::<ListOffsetsRequest>(),
        ApiKey::Metadata => decoder::<MetadataRequest>(),
        ApiKey::OffsetCommit => decoder::<OffsetCommitRequest>(),
        ApiKey::OffsetFetch => decoder::<OffsetFetchRequest>(),
        ApiKey::FindCoordinator => decoder::<FindCoordinatorRequest>(),
        ApiKey::JoinGroup => decoder::<JoinGroupRequest>(),
        ApiKey::Heartbeat => decoder::<HeartbeatRequest>(),
        ApiKey::LeaveGroup => decoder::<LeaveGroupRequest>(),
        ApiKey::SyncGroup => decoder::<SyncGroupRequest>(),
        ApiKey::DescribeGroups => decoder::<DescribeGroupsRequest>(),
        ApiKey::ListGroups => decoder::<ListGroupsRequest>(),
        ApiKey::SaslHandshake => decoder::<SaslHandshakeRequest>(),
        ApiKey::ApiVersions => decoder::<ApiVersionsRequest>(),
        ApiKey::CreateTopics => decoder::<CreateTopicsRequest>(),
        ApiKey::DeleteTopics => decoder::<DeleteTopicsRequest>(),
        ApiKey::DeleteRecords => decoder::<DeleteRecordsRequest>(),
        ApiKey::InitProducerId => decoder::<InitProducerIdRequest>(),
        ApiKey::OffsetForLeaderEpoch => decoder::<OffsetForLeaderEpochRequest>(),
        ApiKey::AddPartitionsToTxn => decoder::<AddPartitionsToTxnRequest>(),
        ApiKey::AddOffsetsToTxn => decoder::<AddOffsetsToTxnRequest>(),
        ApiKey::EndTxn => decoder::<EndTxnRequest>(),
        ApiKey::TxnOffsetCommit => decoder::<TxnOffsetCommitRequest>(),
        ApiKey::DescribeConfigs => decoder::<DescribeConfigsRequest>(),
        ApiKey::AlterConfigs => decoder::<AlterConfigsRequest>(),
        ApiKey::DescribeLogDirs => decoder::<DescribeLogDirsRequest>(),
        ApiKey::SaslAuthenticate => decoder::<SaslAuthenticateRequest>(),
        ApiKey::CreatePartitions => decoder::<CreatePartitionsRequest>(),
        ApiKey::DeleteGroups => decoder::<DeleteGroupsRequest>(),
        ApiKey::IncrementalAlterConfigs => decoder::<IncrementalAlterConfigsRequest>(),
        ApiKey::OffsetDelete => decoder::<OffsetDeleteRequest>(),
        ApiKey::DescribeCluster => decoder::<DescribeClusterRequest>(),
        ApiKey::DescribeProducers => decoder::<DescribeProducersRequest>(),
        ApiKey::DescribeTransactions => decoder::<DescribeTransactionsRequest>(),
        ApiKey::ListTransactions => decoder::<ListTransactionsRequest>(),
        ApiKey::ConsumerGroupHeartbeat => decoder::<ConsumerGroupHeartbeatRequest>(),
        ApiKey::ConsumerGroupDescribe => decoder::<ConsumerGroupDescribeRequest>(),
        other => panic!("no decoder for {other:?}"),
    }
}

#[test]
fn every_shape_is_what_the_codec_reads() {
    for request in shape::all() {
        let (decode, min, max) = decoder_of(request.key);
        assert!(request.versions.0 >= min && request.versions.1 <= max, "versions of API {}", request.key);
        for version in request.versions.0..=request.versions.1 {
            let whole = body(request, version, 7, false);
            let what = format!("API {} version {version}", request.key);
            assert_eq!(shape::walk(request, version, &whole), Some(whole.len()), "{what}");
            let mut rest = whole.clone();
            assert!(decode(&mut rest, version), "{what} is not decoded");
            assert!(rest.is_empty(), "{what}: {} bytes are left", rest.len());
            for cut in 0..whole.len() {
                assert_eq!(shape::walk(request, version, &whole[..cut]), None, "{what} cut at {cut}");
            }
        }
    }
}

/// Every version of every request that is well-formed gets an answer: the codec refuses to write an answer
/// with a field that its version doesn't have.
#[tokio::test]
async fn every_well_formed_request_is_answered() {
    let (_dir, broker, access) = broker().await;
    let record = crate::Record { value: Some("v".into()), ..crate::Record::default() };
    broker.append("t", 0, &[record]).await.unwrap();
    broker.commit("t", "t", 0, 1).unwrap();
    for request in shape::all() {
        for version in request.versions.0..=request.versions.1 {
            let peer = "127.0.0.1:1".parse().unwrap();
            let mut session = Session::new(broker.0.clone(), access.clone(), peer);
            let bytes = frame(request, version, &body(request, version, 7, false)).freeze();
            let answer = dispatch::answer(&mut session, bytes).await;
            // A produce request of zeros wants no answer and holds no batch: it may end the connection.
            let ok = answer.is_ok() || request.key == 0;
            assert!(ok, "API {} version {version}: {:?}", request.key, answer.err());
            // The deletion of topics is one of the requests.
            let _ = broker.create_topic("t", 3, &[]);
        }
    }
}

fn frame(request: &Request, version: i16, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_i16(request.key);
    out.put_i16(version);
    out.put_i32(42);
    out.put_i16(1);
    out.put_u8(b'c');
    if version >= request.flexible {
        out.put_u8(0);
    }
    out.put_slice(body);
    out
}

async fn broker() -> (tempfile::TempDir, Broker, Arc<Access>) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(dir.path());
    settings.limits.partitions = 200;
    let broker = Broker::open(settings, runtime::Clock::system()).await.unwrap();
    broker.create_topic("t", 3, &[]).unwrap();
    let access = Arc::new(Access { advertised: ("localhost".to_owned(), 9092), tls: None, users: None });
    (dir, broker, access)
}

#[tokio::test]
async fn no_request_does_harm() {
    let (_dir, broker, access) = broker().await;
    let mut dice = Dice(0x5eed);
    let mut answered = 0;
    let all = shape::all().iter().flat_map(|r| (r.versions.0..=r.versions.1).map(move |v| (r, v)));
    for ((request, version), round) in all.flat_map(|x| (0..40_u64).map(move |n| (x, n))) {
        let mut bytes = frame(request, version, &body(request, version, 1 + round * 977, round > 2));
        match round % 4 {
            0 | 1 => {}
            2 => bytes.truncate(dice.roll(bytes.len())),
            _ => (0..=dice.roll(4)).for_each(|_| {
                let at = 8 + dice.roll(bytes.len() - 8);
                bytes[at] = u8::try_from(dice.roll(256)).unwrap();
            }),
        }
        if ask(&broker, &access, bytes.freeze()).await {
            answered += 1;
        }
    }
    assert!(answered > 1000, "{answered} requests were answered");
    broker.create_topic("still-here", 1, &[]).unwrap();
}

/// Was it answered? What waits is given up; a refusal ends the connection; a panic would end the test.
async fn ask(broker: &Broker, access: &Arc<Access>, bytes: Bytes) -> bool {
    let peer = "127.0.0.1:1".parse().unwrap();
    let mut session = Session::new(broker.0.clone(), access.clone(), peer);
    let answer = dispatch::answer(&mut session, bytes);
    matches!(tokio::time::timeout(Duration::from_millis(5), answer).await, Ok(Ok(_)))
}

#[tokio::test]
async fn random_bytes_do_no_harm() {
    let (_dir, broker, access) = broker().await;
    let mut dice = Dice(99);
    for _ in 0..20_000 {
        let n = dice.roll(80);
        let mut bytes: Vec<u8> = (0..n).map(|_| u8::try_from(dice.roll(256)).unwrap()).collect();
        if n > 4 {
            bytes[..4].copy_from_slice(&[
                0,
                u8::try_from(dice.roll(70)).unwrap(),
                0,
                u8::try_from(dice.roll(13)).unwrap(),
            ]);
        }
        ask(&broker, &access, bytes.into()).await;
    }
    assert!(broker.topic("t").is_some());
}
