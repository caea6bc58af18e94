//! `DescribeFileSystems`: the CPFS entries of the operator's catalogue.

use api::{Fault, Field, Operation, Outcome, Ty};
use control::Usage;
use serde_json::{Value, json};

use crate::family::{Cpfs, Family};
use crate::request::Request;
use crate::translate::time;
use crate::{fault, filters::any};

const NO_VPC: &str = "always empty: file systems here are in no VPC";
const NO_TAGS: &str = "always empty: file systems here have no tags";
const NO_SUCH: &str = "always empty: file systems here have no such thing";
const NO_MATCH: &str = "file systems here have none, so a condition on it finds nothing";

const KEY_VALUE: &[Field] = &[Field::new("Key", Ty::Str), Field::new("Value", Ty::Str)];
const EMPTY_TAG: &[Field] =
    &[Field::new("Key", Ty::Str).stored(NO_TAGS), Field::new("Value", Ty::Str).stored(NO_TAGS)];
const TAGS: &[Field] = &[Field::new("Tag", Ty::List(&Ty::Object(EMPTY_TAG))).stored(NO_TAGS)];

/// Table.
pub const OPERATION: Operation = Operation {
    action: "DescribeFileSystems",
    request: &[
        Field::new("FileSystemId", Ty::Str),
        Field::new("FileSystemType", Ty::Str),
        Field::new("StorageType", Ty::Str),
        Field::new("VpcId", Ty::Str).stored(NO_MATCH),
        Field::new("ResourceGroupId", Ty::Str).stored(NO_MATCH),
        Field::new("Tag", Ty::List(&Ty::Object(KEY_VALUE))).stored(NO_MATCH),
        Field::new("PageNumber", Ty::Int),
        Field::new("PageSize", Ty::Int),
    ],
    response: &[
        Field::new(
            "FileSystems",
            Ty::Object(&[Field::new("FileSystem", Ty::List(&Ty::Object(FILE_SYSTEM)))]),
        ),
        Field::new("PageNumber", Ty::Int),
        Field::new("PageSize", Ty::Int),
        Field::new("TotalCount", Ty::Int),
    ],
    note: "Shows the catalogue's CPFS entries to every account. MeteredSize is what the disk behind the entry \
           has in use.",
};

const CLIENT_MASTER_NODE: &[Field] = &[
    Field::new("DefaultPasswd", Ty::Str).stored(NO_SUCH),
    Field::new("EcsId", Ty::Str).stored(NO_SUCH),
    Field::new("EcsIp", Ty::Str).stored(NO_SUCH),
];
const CLIENT_MASTER_NODES: &[Field] =
    &[Field::new("ClientMasterNode", Ty::List(&Ty::Object(CLIENT_MASTER_NODE))).stored(NO_SUCH)];
const MOUNT_TARGET: &[Field] = &[
    Field::new("AccessGroupName", Ty::Str).stored(NO_SUCH),
    Field::new("ClientMasterNodes", Ty::Object(CLIENT_MASTER_NODES)).stored(NO_SUCH),
    Field::new("DualStackMountTargetDomain", Ty::Str).stored(NO_SUCH),
    Field::new("MountTargetDomain", Ty::Str).stored(NO_SUCH),
    Field::new("NetworkType", Ty::Str).stored(NO_SUCH),
    Field::new("Status", Ty::Str).stored(NO_SUCH),
    Field::new("Tags", Ty::Object(TAGS)).stored(NO_TAGS),
    Field::new("VpcId", Ty::Str).stored(NO_VPC),
    Field::new("VswId", Ty::Str).stored(NO_VPC),
];
const PACKAGE: &[Field] = &[
    Field::new("ExpiredTime", Ty::Str).stored(NO_SUCH),
    Field::new("PackageId", Ty::Str).stored(NO_SUCH),
    Field::new("PackageType", Ty::Str).stored(NO_SUCH),
    Field::new("Size", Ty::Int).stored(NO_SUCH),
    Field::new("StartTime", Ty::Str).stored(NO_SUCH),
];
const OPTIONS: &[Field] = &[
    Field::new("EnableABE", Ty::Bool),
    Field::new("EnableDataInsight", Ty::Bool),
    Field::new("EnableOplock", Ty::Bool),
    Field::new("VscAccessPointAccessOnly", Ty::Bool),
];
const LDAP: &[Field] = &[
    Field::new("BindDN", Ty::Str).stored(NO_SUCH),
    Field::new("SearchBase", Ty::Str).stored(NO_SUCH),
    Field::new("URI", Ty::Str).stored(NO_SUCH),
];
const AUTO_UPGRADE: &[Field] = &[
    Field::new("capacityUsedRatio", Ty::Int).stored("always 0: nothing is upgraded by itself"),
    Field::new("enabled", Ty::Bool),
    Field::new("step", Ty::Int).stored("always 0: nothing is upgraded by itself"),
    Field::new("time", Ty::Int).stored("always 0: nothing is upgraded by itself"),
];

const FILE_SYSTEM: &[Field] = &[
    Field::new("AccessPointCount", Ty::Str),
    Field::new("AutoSnapshotPolicyId", Ty::Str).stored(NO_SUCH),
    Field::new("AutoUpgradeConfig", Ty::Object(AUTO_UPGRADE)),
    Field::new("Bandwidth", Ty::Int),
    Field::new("Capacity", Ty::Int),
    Field::new("ChargeType", Ty::Str).stored("always PayAsYouGo: nothing is charged"),
    Field::new("CreateTime", Ty::Str),
    Field::new("Description", Ty::Str),
    Field::new("EncryptType", Ty::Int).stored("always 0: files here are not encrypted by the server"),
    Field::new("ExpiredTime", Ty::Str).stored(NO_SUCH),
    Field::new("FileSystemId", Ty::Str),
    Field::new("FileSystemType", Ty::Str),
    Field::new("KMSKeyId", Ty::Str).stored(NO_SUCH),
    Field::new("Ldap", Ty::Object(LDAP)).stored(NO_SUCH),
    Field::new("MeteredArchiveSize", Ty::Int).stored("always 0: there is no archive tier"),
    Field::new("MeteredIASize", Ty::Int).stored("always 0: there is no infrequent-access tier"),
    Field::new("MeteredSize", Ty::Int),
    Field::new(
        "MountTargets",
        Ty::Object(&[Field::new("MountTarget", Ty::List(&Ty::Object(MOUNT_TARGET))).stored(NO_SUCH)]),
    )
    .stored(NO_SUCH),
    Field::new("Options", Ty::Object(OPTIONS)),
    Field::new(
        "Packages",
        Ty::Object(&[Field::new("Package", Ty::List(&Ty::Object(PACKAGE))).stored(NO_SUCH)]),
    )
    .stored(NO_SUCH),
    Field::new("ProtocolType", Ty::Str),
    Field::new("QuorumVswId", Ty::Str).stored(NO_VPC),
    Field::new("RedundancyType", Ty::Str).stored("always LRS"),
    Field::new(
        "RedundancyVSwitchIds",
        Ty::Object(&[Field::new("RedundancyVSwitchId", Ty::List(&Ty::Str)).stored(NO_VPC)]),
    )
    .stored(NO_VPC),
    Field::new("RegionId", Ty::Str),
    Field::new("ResourceGroupId", Ty::Str).stored(NO_SUCH),
    Field::new("Status", Ty::Str).stored("always Running"),
    Field::new("StorageType", Ty::Str),
    Field::new(
        "SupportedFeatures",
        Ty::Object(&[Field::new("SupportedFeature", Ty::List(&Ty::Str))]),
    ),
    Field::new("Tags", Ty::Object(TAGS)).stored(NO_TAGS),
    Field::new("Version", Ty::Str),
    Field::new("VpcId", Ty::Str).stored(NO_VPC),
    Field::new("VscTarget", Ty::Str).stored(NO_SUCH),
    Field::new("VswIds", Ty::Object(&[Field::new("VswId", Ty::List(&Ty::Str)).stored(NO_VPC)])).stored(NO_VPC),
    Field::new("ZoneId", Ty::Str),
];

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    let (number, size) = (page_number(r)?, page_size(r)?);
    let kept = wanted(r).await?;
    let total = kept.len();
    let skip = (number - 1).saturating_mul(size);
    let mut shown: Vec<Value> = Vec::new();
    for on in kept.iter().skip(skip).take(size) {
        // A disk that can't be asked must not hide the other file systems.
        let usage = r.control().usage(&on.fs.id).await.unwrap_or_else(|e| {
            tracing::warn!(file_system = %on.fs.id, error = %e, "the use of a file system can't be told");
            Usage::default()
        });
        shown.push(view(on, usage));
    }
    Ok(json!({
        "FileSystems": {"FileSystem": shown},
        "PageNumber": number,
        "PageSize": size,
        "TotalCount": total,
    })
    .into())
}

async fn wanted(r: &Request<'_>) -> Result<Vec<Cpfs>, Fault> {
    let mut all: Vec<Cpfs> = match r.given("FileSystemId") {
        Some(_) => vec![r.file_system().await?],
        None => {
            let all = r.control().file_systems().await.map_err(|e| fault::of(&e))?;
            all.into_iter().filter_map(Cpfs::new).collect()
        }
    };
    let types = types(r)?;
    let storage = r.given("StorageType");
    let nothing = r.given("VpcId").is_some()
        || r.given("ResourceGroupId").is_some()
        || !r.p.list("Tag").is_empty();
    all.retain(|f| !nothing && any(&types, type_of(f)) && storage.is_none_or(|s| s == storage_type(f)));
    Ok(all)
}

/// `all` and none mean any type.
fn types<'a>(r: &Request<'a>) -> Result<Vec<&'a str>, Fault> {
    let Some(text) = r.given("FileSystemType") else { return Ok(Vec::new()) };
    let types: Vec<&str> = text.split(',').map(str::trim).collect();
    if types.iter().any(|t| !matches!(*t, "all" | "standard" | "extreme" | "cpfs" | "cpfsse" | "bmcpfs")) {
        return Err(fault::invalid(
            "FileSystemType",
            "it must be all, or of standard, extreme, cpfs, cpfsse and bmcpfs, separated by commas",
        ));
    }
    Ok(if types.contains(&"all") { Vec::new() } else { types })
}

fn type_of(f: &Cpfs) -> &'static str {
    match f.family {
        Family::General => "cpfs",
        Family::Lingjun => "bmcpfs",
    }
}

fn storage_type(f: &Cpfs) -> &'static str {
    match f.family {
        Family::General => "advance_100",
        Family::Lingjun => "bm_advance_100",
    }
}

fn page_number(r: &Request<'_>) -> Result<usize, Fault> {
    match r.p.i64("PageNumber") {
        None => Ok(1),
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| *n >= 1)
            .ok_or_else(|| fault::invalid("PageNumber", "it must be at least 1")),
    }
}

fn page_size(r: &Request<'_>) -> Result<usize, Fault> {
    match r.p.i64("PageSize") {
        None => Ok(10),
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| (1..=100).contains(n))
            .ok_or_else(|| fault::invalid("PageSize", "it must be 1 to 100")),
    }
}

fn view(on: &Cpfs, usage: Usage) -> Value {
    let fs = &on.fs;
    json!({
        "AccessPointCount": "0",
        "AutoSnapshotPolicyId": "",
        "AutoUpgradeConfig": {"capacityUsedRatio": 0, "enabled": false, "step": 0, "time": 0},
        "Bandwidth": fs.bandwidth_mbps,
        "Capacity": fs.capacity_gib,
        "ChargeType": "PayAsYouGo",
        "CreateTime": time(fs.created),
        "Description": fs.description,
        "EncryptType": 0,
        "ExpiredTime": "",
        "FileSystemId": fs.id.as_str(),
        "FileSystemType": type_of(on),
        "KMSKeyId": "",
        "Ldap": {"BindDN": "", "SearchBase": "", "URI": ""},
        "MeteredArchiveSize": 0,
        "MeteredIASize": 0,
        "MeteredSize": usage.bytes_used,
        "MountTargets": {"MountTarget": []},
        "Options": {"EnableABE": false, "EnableDataInsight": false, "EnableOplock": false,
                    "VscAccessPointAccessOnly": false},
        "Packages": {"Package": []},
        "ProtocolType": "cpfs",
        "QuorumVswId": "",
        "RedundancyType": "LRS",
        "RedundancyVSwitchIds": {"RedundancyVSwitchId": []},
        "RegionId": fs.region,
        "ResourceGroupId": "",
        "Status": "Running",
        "StorageType": storage_type(on),
        "SupportedFeatures": {"SupportedFeature": ["dataflow", "fileset"]},
        "Tags": {"Tag": []},
        "Version": fs.version,
        "VpcId": "",
        "VscTarget": "",
        "VswIds": {"VswId": []},
        "ZoneId": fs.zone,
    })
}
