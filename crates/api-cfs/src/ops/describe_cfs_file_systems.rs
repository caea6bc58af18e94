//! `DescribeCfsFileSystems`: the directories of the catalogue that are shown as CFS Turbo file systems.

use crate::fault::{self, refuse};
use crate::request::{Ask, FILTER, filters, given, page};
use crate::translate::ids;
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::Usage;
use model::{FileSystem, Product};
use serde::Serialize;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeCfsFileSystems",
    request: &[
        Field::new("FileSystemId", Ty::Str),
        Field::new("VpcId", Ty::Str).stored("file systems here are in no network: a value matches none"),
        Field::new("SubnetId", Ty::Str).stored("file systems here are in no network: a value matches none"),
        Field::new("Offset", Ty::Uint),
        Field::new("Limit", Ty::Uint),
        Field::new("CreationToken", Ty::Str),
        Field::new("Filters", Ty::List(&Ty::Object(FILTER))),
        Field::new("Tags", Ty::List(&Ty::Object(TAG_INFO))),
    ],
    response: &[
        Field::new("FileSystems", Ty::List(&Ty::Object(FILE_SYSTEM_INFO))),
        Field::new("TotalCount", Ty::Uint),
    ],
    note: "The catalogue is the operator's and the same for all accounts and regions. SizeByte is what is in \
           use on the disk behind the directory.",
};

const NOTHING: &str = "empty: this server has no such thing";
const ZERO: &str = "0: this server has no such thing";
const NULL: &str = "null: this server has no such thing";

const TAG_INFO: &[Field] = &[
    Field::new("TagKey", Ty::Str).required().stored("file systems here have no tags: a tag matches none"),
    Field::new("TagValue", Ty::Str).required().stored("file systems here have no tags: a tag matches none"),
];

const FILE_SYSTEM_INFO: &[Field] = &[
    Field::new("CreationTime", Ty::Str),
    Field::new("CreationToken", Ty::Str),
    Field::new("FileSystemId", Ty::Str),
    Field::new("LifeCycleState", Ty::Str),
    Field::new("SizeByte", Ty::Uint),
    Field::new("SizeLimit", Ty::Uint),
    Field::new("ZoneId", Ty::Uint).stored(ZERO),
    Field::new("Zone", Ty::Str),
    Field::new("Protocol", Ty::Str).stored("always TURBO: data flows exist on Turbo only"),
    Field::new("StorageType", Ty::Str).stored("always TB"),
    Field::new("StorageResourcePkg", Ty::Str).stored(NOTHING),
    Field::new("BandwidthResourcePkg", Ty::Str).stored(NOTHING),
    Field::new("PGroup", Ty::Object(P_GROUP))
        .stored("its two texts are empty: there are no permission groups"),
    Field::new("FsName", Ty::Str),
    Field::new("Encrypted", Ty::Bool).stored("always false: encryption at rest is the disk's matter"),
    Field::new("KmsKeyId", Ty::Str).stored(NOTHING),
    Field::new("AppId", Ty::Int),
    Field::new("BandwidthLimit", Ty::Float),
    Field::new("AutoSnapshotPolicyId", Ty::Str).stored(NOTHING),
    Field::new("SnapStatus", Ty::Str).stored("always normal: there are no snapshots"),
    Field::new("Capacity", Ty::Uint),
    Field::new("Tags", Ty::List(&Ty::Object(TAG_INFO))).stored("always empty"),
    Field::new("TieringState", Ty::Str).stored("always NotAvailable"),
    Field::new("TieringDetail", Ty::Object(TIERING_DETAIL)).stored("two zeros"),
    Field::new("AutoScaleUpRule", Ty::Object(AUTO_SCALE_UP_RULE)).stored(NULL),
    Field::new("Version", Ty::Str),
    Field::new("ExstraPerformanceInfo", Ty::List(&Ty::Object(EXSTRA_PERFORMANCE_INFO))).stored(NULL),
    Field::new("MetaType", Ty::Str).stored("always basic"),
    Field::new("Scenario", Ty::Str).stored(NOTHING),
    Field::new("FullDeleteCapacityUsage", Ty::Float).stored("0: off"),
    Field::new("FullDeleteMinTtl", Ty::Uint).stored("0: off"),
    Field::new("ExpireDeleteTtl", Ty::Uint).stored("0: off"),
];
const P_GROUP: &[Field] =
    &[Field::new("PGroupId", Ty::Str).stored(NOTHING), Field::new("Name", Ty::Str).stored(NOTHING)];
const TIERING_DETAIL: &[Field] = &[
    Field::new("TieringSizeInBytes", Ty::Int).stored(ZERO),
    Field::new("SecondaryTieringSizeInBytes", Ty::Int).stored(ZERO),
];
const AUTO_SCALE_UP_RULE: &[Field] = &[
    Field::new("Status", Ty::Str).stored(NULL),
    Field::new("ScaleThreshold", Ty::Uint).stored(NULL),
    Field::new("TargetThreshold", Ty::Uint).stored(NULL),
];
const EXSTRA_PERFORMANCE_INFO: &[Field] =
    &[Field::new("Type", Ty::Str).stored(NULL), Field::new("Performance", Ty::Int).stored(NULL)];

const PROTOCOL: &str = "TURBO";
const STORAGE_TYPE: &str = "TB";
/// Tags in one request at most.
const MAX_TAGS: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'f> {
    file_systems: Vec<FileSystemInfo<'f>>,
    total_count: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FileSystemInfo<'f> {
    creation_time: String,
    creation_token: &'f str,
    file_system_id: &'f str,
    life_cycle_state: &'static str,
    size_byte: u64,
    size_limit: u64,
    zone_id: u64,
    zone: &'f str,
    protocol: &'static str,
    storage_type: &'static str,
    storage_resource_pkg: &'static str,
    bandwidth_resource_pkg: &'static str,
    p_group: PGroup,
    fs_name: &'f str,
    encrypted: bool,
    kms_key_id: &'static str,
    app_id: i64,
    bandwidth_limit: f64,
    auto_snapshot_policy_id: &'static str,
    snap_status: &'static str,
    capacity: u64,
    tags: [(); 0],
    tiering_state: &'static str,
    tiering_detail: TieringDetail,
    auto_scale_up_rule: Option<()>,
    version: &'f str,
    exstra_performance_info: Option<()>,
    meta_type: &'static str,
    scenario: &'static str,
    full_delete_capacity_usage: f64,
    full_delete_min_ttl: u64,
    expire_delete_ttl: u64,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct PGroup {
    p_group_id: &'static str,
    name: &'static str,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct TieringDetail {
    tiering_size_in_bytes: i64,
    secondary_tiering_size_in_bytes: i64,
}

/// A file system with how full it is; `None` = its directory can't be looked at.
type Seen = (FileSystem, Option<Usage>);

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let page = page(&p, 10, 1_000)?;
    let filters = filters(&p)?;
    known(&filters)?;
    let mut found = Vec::new();
    for fs in matching(ask, &p).await? {
        let usage = ask.control.usage(&fs.id).await.ok();
        let seen = (fs, usage);
        if every(&filters, &seen) {
            found.push(seen);
        }
    }
    let total_count = found.len();
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let file_systems = found.iter().skip(offset).take(limit).map(|seen| info(ask, seen)).collect();
    Reply::from_serialize(&Answer { file_systems, total_count })
}

/// What the plain parameters leave, by identifier.
async fn matching(ask: &Ask<'_>, p: &Params<'_>) -> Result<Vec<FileSystem>, Fault> {
    let id = given(p, "FileSystemId");
    if id.is_some_and(|id| !ids::is_file_system_id(id)) {
        return Err(refuse(fault::FILE_SYSTEM_ID, "The FileSystemId must have the form cfs-xxxxxxxx."));
    }
    if p.list("Tags").len() > MAX_TAGS {
        return Err(refuse(
            "InvalidParameterValue.TagKeyFilterLimitExceeded",
            format!("There may be {MAX_TAGS} tags."),
        ));
    }
    let mut all = ask.control.file_systems().await.map_err(|e| ask.fault(&e))?;
    let nowhere = given(p, "VpcId").is_some() || given(p, "SubnetId").is_some() || !p.list("Tags").is_empty();
    let token = given(p, "CreationToken");
    all.retain(|fs| {
        !nowhere
            && fs.product == Product::Cfs
            && id.is_none_or(|id| fs.id.as_str() == id)
            && token.is_none_or(|token| name(fs) == token)
    });
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(all)
}

const FILTERS: [&str; 8] =
    ["Protocol", "StorageType", "LifeCycleState", "Zone", "IpAddress", "PGroupId", "PGroupName", "Scenario"];

fn known(filters: &[(&str, Vec<&str>)]) -> Result<(), Fault> {
    match filters.iter().find(|(name, _)| !FILTERS.contains(name)) {
        Some((name, _)) => Err(refuse("InvalidParameter", format!("There is no filter {name}."))),
        None => Ok(()),
    }
}

fn every(filters: &[(&str, Vec<&str>)], seen: &Seen) -> bool {
    filters.iter().all(|(filter, values)| {
        let is = match *filter {
            "Protocol" => PROTOCOL,
            "StorageType" => STORAGE_TYPE,
            "LifeCycleState" => state(seen),
            "Zone" => seen.0.zone.as_str(),
            // There are no mount addresses, permission groups or scenarios: no value matches.
            _ => return false,
        };
        values.contains(&is)
    })
}

fn state(seen: &Seen) -> &'static str {
    if seen.1.is_some() { "available" } else { "unserviced" }
}

/// The name that people gave it: the description in the catalogue, or else its identifier.
fn name(fs: &FileSystem) -> &str {
    if fs.description.is_empty() { fs.id.as_str() } else { &fs.description }
}

#[allow(clippy::cast_precision_loss, reason = "a bandwidth in MB/s is far below 2^52")]
fn info<'f>(ask: &Ask<'_>, seen: &'f Seen) -> FileSystemInfo<'f> {
    let (fs, usage) = seen;
    FileSystemInfo {
        creation_time: ask.time(fs.created),
        creation_token: name(fs),
        file_system_id: fs.id.as_str(),
        life_cycle_state: state(seen),
        size_byte: usage.map_or(0, |u| u.bytes_used),
        size_limit: fs.capacity_gib,
        zone_id: 0,
        zone: &fs.zone,
        protocol: PROTOCOL,
        storage_type: STORAGE_TYPE,
        storage_resource_pkg: "",
        bandwidth_resource_pkg: "",
        p_group: PGroup::default(),
        fs_name: name(fs),
        encrypted: false,
        kms_key_id: "",
        app_id: ask.call.caller.app_id.parse().unwrap_or_default(),
        bandwidth_limit: fs.bandwidth_mbps as f64,
        auto_snapshot_policy_id: "",
        snap_status: "normal",
        capacity: fs.capacity_gib,
        tags: [],
        tiering_state: "NotAvailable",
        tiering_detail: TieringDetail::default(),
        auto_scale_up_rule: None,
        version: &fs.version,
        exstra_performance_info: None,
        meta_type: "basic",
        scenario: "",
        full_delete_capacity_usage: 0.0,
        full_delete_min_ttl: 0,
        expire_delete_ttl: 0,
    }
}
