//! From the bytes of a request to the bytes of its answer.

use crate::api;
use crate::core::Core;
use crate::net::shape;
use crate::sasl::Exchange;
use crate::settings::Access;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, ApiKey, ApiVersionsResponse,
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeTransactionsRequest, EndTxnRequest, FetchRequest,
    FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest, ListTransactionsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, ResponseHeader, SaslAuthenticateRequest,
    SaslHandshakeRequest, SyncGroupRequest, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use runtime::Lease;
use std::net::SocketAddr;
use std::sync::Arc;

/// Longest name that a client may call itself; the rest is cut off.
const LONGEST_CLIENT_ID: usize = 256;

/// One client's connection, as the requests see it.
pub struct Session {
    /// The broker.
    pub core: Arc<Core>,
    /// How it was let in.
    pub access: Arc<Access>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What it calls itself, of the request at hand.
    pub client_id: String,
    /// How far it is with saying who it is.
    pub exchange: Exchange,
}

/// The bytes of an answer, and the right to hold them.
pub struct Answer {
    /// The frame, length included.
    pub bytes: BytesMut,
    /// To be kept until the frame is sent.
    pub lease: Option<Lease>,
}

impl Session {
    /// A new connection.
    pub fn new(core: Arc<Core>, access: Arc<Access>, peer: SocketAddr) -> Self {
        let exchange = if access.users.is_some() { Exchange::Begin } else { Exchange::Done };
        Self { core, access, peer, client_id: String::new(), exchange }
    }

    /// Has it said who it is, where that is asked for?
    pub fn is_let_in(&self) -> bool {
        matches!(self.exchange, Exchange::Done)
    }
}

/// The head of a request.
struct Head {
    key: ApiKey,
    version: i16,
    correlation: i32,
}

/// Reads the head, up to the body. `Err` ends the connection: what follows can't be understood.
fn head(frame: &mut Bytes) -> Result<(Head, String), String> {
    if frame.len() < 10 {
        return Err("a request without a head".to_owned());
    }
    let (number, version, correlation) = (frame.get_i16(), frame.get_i16(), frame.get_i32());
    let key = ApiKey::try_from(number).map_err(|()| format!("unknown request {number}"))?;
    let shape = shape::of(number).ok_or_else(|| format!("request {key:?} is not served"))?;
    let client_id = match frame.get_i16() {
        n if n < 0 => String::new(),
        n => {
            let n = usize::try_from(n).unwrap_or(0);
            if n > frame.len() {
                return Err("the client's name is cut off".to_owned());
            }
            let name = String::from_utf8_lossy(&frame.split_to(n)).into_owned();
            name.chars().take(LONGEST_CLIENT_ID).collect()
        }
    };
    let served = version >= shape.versions.0 && version <= shape.versions.1;
    // A newer client asks for versions in a version that we don't know: it gets an answer that it knows.
    if !served && key != ApiKey::ApiVersions {
        return Err(format!("version {version} of {key:?} is not served"));
    }
    if served && version >= shape.flexible {
        skip_tags(frame).ok_or("the head's tags are cut off")?;
    }
    if served && shape::walk(shape, version, frame).is_none() {
        return Err(format!("a {key:?} request that does not hold what it says"));
    }
    Ok((Head { key, version, correlation }, client_id))
}

fn skip_tags(frame: &mut Bytes) -> Option<()> {
    // Nobody sends tags in the head yet; ten are more than enough.
    let n = small_varint(frame)?;
    for _ in 0..n.min(10) {
        small_varint(frame)?;
        let size = small_varint(frame)?;
        if size > frame.len() {
            return None;
        }
        frame.advance(size);
    }
    (n <= 10).then_some(())
}

fn small_varint(frame: &mut Bytes) -> Option<usize> {
    let mut n = 0;
    for shift in [0, 7, 14, 21] {
        if !frame.has_remaining() {
            return None;
        }
        let b = frame.get_u8();
        n |= usize::from(b & 0x7f) << shift;
        if b & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

/// Answers one request. `Ok(None)` where the client wants no answer.
///
/// # Errors
/// Why the connection has to end.
pub async fn answer(session: &mut Session, mut frame: Bytes) -> Result<Option<Answer>, String> {
    if session.exchange.is_raw() {
        let answer = api::sasl::step(session, &frame).await?;
        let mut bytes = BytesMut::with_capacity(answer.len() + 4);
        bytes.put_u32(u32::try_from(answer.len()).unwrap_or(0));
        bytes.put_slice(&answer);
        return Ok(Some(Answer { bytes, lease: None }));
    }
    let (head, client_id) = head(&mut frame)?;
    session.client_id = client_id;
    let before_login =
        matches!(head.key, ApiKey::ApiVersions | ApiKey::SaslHandshake | ApiKey::SaslAuthenticate);
    if !session.is_let_in() && !before_login {
        return Err(format!("{:?} before the client has said who it is", head.key));
    }
    match head.key {
        ApiKey::ApiVersions => {
            let served = (0..=3).contains(&head.version);
            let error = if served { 0 } else { ResponseError::UnsupportedVersion.code() };
            let version = if served { head.version } else { 0 };
            let answer: ApiVersionsResponse = api::cluster::api_versions(error);
            // The head of this answer is always the old one, so that every client can read it.
            encode(head.correlation, 0, &answer, version, None).map(Some)
        }
        ApiKey::Produce => {
            let request = ProduceRequest::decode(&mut frame, head.version).map_err(|e| e.to_string())?;
            drop(frame);
            let silent = request.acks == 0;
            let response = api::produce::produce(session, request).await;
            if !silent {
                return respond(&head, &response, None).map(Some);
            }
            // Who wants no answer learns of a failure by the end of the connection, as in Kafka.
            let failed =
                response.responses.iter().flat_map(|t| &t.partition_responses).any(|p| p.error_code != 0);
            if failed { Err("a produce request without acknowledgement failed".to_owned()) } else { Ok(None) }
        }
        ApiKey::Fetch => {
            let request = FetchRequest::decode(&mut frame, head.version).map_err(|e| e.to_string())?;
            let (response, lease) = api::fetch::fetch(session, request).await;
            respond(&head, &response, lease).map(Some)
        }
        ApiKey::SaslAuthenticate => {
            let request =
                SaslAuthenticateRequest::decode(&mut frame, head.version).map_err(|e| e.to_string())?;
            let response = api::sasl::authenticate(session, request).await;
            respond(&head, &response, None).map(Some)
        }
        _ => Box::pin(rest(session, &head, frame)).await.map(Some),
    }
}

/// The many requests of which nothing special is to be said.
async fn rest(session: &mut Session, head: &Head, mut body: Bytes) -> Result<Answer, String> {
    macro_rules! call {
        ($request:ty, $f:path) => {{
            let request = <$request>::decode(&mut body, head.version).map_err(|e| e.to_string())?;
            let response = $f(session, request, head.version).await;
            respond(head, &response, None)
        }};
    }
    match head.key {
        ApiKey::SaslHandshake => call!(SaslHandshakeRequest, api::sasl::handshake),
        ApiKey::Metadata => call!(MetadataRequest, api::cluster::metadata),
        ApiKey::DescribeCluster => call!(DescribeClusterRequest, api::cluster::describe_cluster),
        ApiKey::FindCoordinator => call!(FindCoordinatorRequest, api::cluster::find_coordinator),
        ApiKey::DescribeLogDirs => call!(DescribeLogDirsRequest, api::cluster::describe_log_dirs),
        ApiKey::ListOffsets => call!(ListOffsetsRequest, api::positions::list_offsets),
        ApiKey::OffsetForLeaderEpoch => {
            call!(OffsetForLeaderEpochRequest, api::positions::offset_for_leader_epoch)
        }
        ApiKey::DeleteRecords => call!(DeleteRecordsRequest, api::positions::delete_records),
        ApiKey::CreateTopics => call!(CreateTopicsRequest, api::topics::create),
        ApiKey::DeleteTopics => call!(DeleteTopicsRequest, api::topics::delete),
        ApiKey::CreatePartitions => call!(CreatePartitionsRequest, api::topics::grow),
        ApiKey::DescribeConfigs => call!(DescribeConfigsRequest, api::configs::describe),
        ApiKey::AlterConfigs => call!(AlterConfigsRequest, api::configs::alter),
        ApiKey::IncrementalAlterConfigs => {
            call!(IncrementalAlterConfigsRequest, api::configs::alter_incrementally)
        }
        ApiKey::JoinGroup => call!(JoinGroupRequest, api::groups::join),
        ApiKey::SyncGroup => call!(SyncGroupRequest, api::groups::sync),
        ApiKey::Heartbeat => call!(HeartbeatRequest, api::groups::heartbeat),
        ApiKey::LeaveGroup => call!(LeaveGroupRequest, api::groups::leave),
        ApiKey::DescribeGroups => call!(DescribeGroupsRequest, api::groups::describe),
        ApiKey::ListGroups => call!(ListGroupsRequest, api::groups::list),
        ApiKey::DeleteGroups => call!(DeleteGroupsRequest, api::groups::delete),
        ApiKey::ConsumerGroupHeartbeat => {
            call!(ConsumerGroupHeartbeatRequest, api::consumer_groups::heartbeat)
        }
        ApiKey::ConsumerGroupDescribe => call!(ConsumerGroupDescribeRequest, api::consumer_groups::describe),
        ApiKey::OffsetCommit => call!(OffsetCommitRequest, api::offsets::commit),
        ApiKey::OffsetFetch => call!(OffsetFetchRequest, api::offsets::fetch),
        ApiKey::OffsetDelete => call!(OffsetDeleteRequest, api::offsets::delete),
        ApiKey::InitProducerId => call!(InitProducerIdRequest, api::txns::init_producer_id),
        ApiKey::AddPartitionsToTxn => call!(AddPartitionsToTxnRequest, api::txns::add_partitions),
        ApiKey::AddOffsetsToTxn => call!(AddOffsetsToTxnRequest, api::txns::add_offsets),
        ApiKey::TxnOffsetCommit => call!(TxnOffsetCommitRequest, api::txns::commit_offsets),
        ApiKey::EndTxn => call!(EndTxnRequest, api::txns::end),
        ApiKey::DescribeProducers => call!(DescribeProducersRequest, api::txns::describe_producers),
        ApiKey::DescribeTransactions => call!(DescribeTransactionsRequest, api::txns::describe),
        ApiKey::ListTransactions => call!(ListTransactionsRequest, api::txns::list),
        other => Err(format!("request {other:?} is not served")),
    }
}

fn respond(head: &Head, response: &impl Encodable, lease: Option<Lease>) -> Result<Answer, String> {
    encode(head.correlation, head.key.response_header_version(head.version), response, head.version, lease)
}

fn encode(
    correlation: i32,
    head_version: i16,
    response: &impl Encodable,
    version: i16,
    lease: Option<Lease>,
) -> Result<Answer, String> {
    let size = response.compute_size(version).map_err(|e| e.to_string())?;
    let mut bytes = BytesMut::with_capacity(size + 16);
    bytes.put_u32(0);
    let head = ResponseHeader::default().with_correlation_id(correlation);
    head.encode(&mut bytes, head_version).map_err(|e| e.to_string())?;
    response.encode(&mut bytes, version).map_err(|e| e.to_string())?;
    let length = u32::try_from(bytes.len() - 4).map_err(|_| "an answer that is too large".to_owned())?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(Answer { bytes, lease })
}
