//! `CreateDataFlow`: binds a fileset to a bucket (general-purpose) or a directory to a prefix (Lingjun).
//!
//! The product wipes a fileset when a general-purpose flow is made on it. Here a fileset that holds
//! files is refused with the vendor's state error, unless the operator allows destruction on the file
//! system (`allow_destroy`): then it is emptied as the product does. When that takes longer than a request
//! may, or something can't be removed, the answer is the state error too and no flow is made; the same
//! request finds it empty later.
//!
//! A bucket that the catalogue or the store does not have is an error. One that can't be reached, or
//! that denies the catalogue's key, gives a flow that is `Misconfigured` with `SourceStorageUnreachable`,
//! as the product shows it; it runs when the source answers again.

use std::collections::BTreeMap;

use api::{Fault, Field, Operation, Outcome, Ty};
use control::{ErrorKind, NewFlow};
use model::{DirectoryEnd, Door, FilesetId, FilesetStatus, Flow, FlowId, ObjectEnd};

use crate::family::{Cpfs, Family, Feature};
use crate::fields::{
    AUTO_REFRESH_INTERVAL, AUTO_REFRESH_NOTE, AUTO_REFRESH_POLICY, CLIENT_TOKEN, DRY_RUN, FILE_SYSTEM_ID,
    THROUGHPUT_NOTE,
};
use crate::flow_view::{AutoRefresh, directory_path, flows_of};
use crate::request::Request;
use crate::translate::{self, attribute};
use crate::{fault, rules};

/// Table.
pub const OPERATION: Operation = Operation {
    action: "CreateDataFlow",
    request: &[
        FILE_SYSTEM_ID,
        Field::new("SourceStorage", Ty::Str).required(),
        Field::new("FsetId", Ty::Str),
        Field::new("Throughput", Ty::Int).stored(THROUGHPUT_NOTE),
        Field::new("FileSystemPath", Ty::Str),
        Field::new("SourceStoragePath", Ty::Str),
        Field::new("SourceSecurityType", Ty::Str),
        Field::new("Description", Ty::Str),
        Field::new(
            "AutoRefreshs",
            Ty::List(&Ty::Object(&[Field::new("RefreshPath", Ty::Str).stored(AUTO_REFRESH_NOTE)])),
        ),
        AUTO_REFRESH_POLICY,
        AUTO_REFRESH_INTERVAL,
        CLIENT_TOKEN,
        DRY_RUN,
    ],
    response: &[Field::new("DataFlowId", Ty::Str)],
    note: "General-purpose CPFS: FsetId and Throughput are required; a fileset that holds files is refused \
           (OperationDenied.InvalidState) unless the file system's configuration has `allow_destroy`: then it is \
           emptied, as in the product. CPFS for Lingjun: FileSystemPath and SourceStoragePath \
           are required. A source that can't be reached gives a Misconfigured flow.",
};

/// Answers.
pub async fn run(r: &Request<'_>) -> Outcome {
    r.change(Some("DataFlowId"), Box::pin(async {
        let on = r.file_system().await?;
        on.require(Feature::DataFlow)?;
        let mut new = ordered(r, &on).await?;
        let flows = flows_of(r, &on).await?;
        unbound(&flows, &new)?;
        if flows.len() as u64 >= u64::from(r.control().limits().flows_per_file_system) {
            return Err(fault::over_limit("the file system has the most data flows that it may have"));
        }
        new.probe = source_needs_probe(r, &new.object).await?;
        let id = new.id.0.clone();
        if !r.dry_run() {
            r.control().create_flow(&r.caller, new).await.map_err(|e| fault::of(&e))?;
        }
        Ok(id)
    }))
    .await
}

/// The flow that the request describes, its parameters checked.
async fn ordered(r: &Request<'_>, on: &Cpfs) -> Result<NewFlow, Fault> {
    let text = r.required("SourceStorage")?;
    let source = rules::source_storage(text)?;
    if source.uid.is_some() {
        on.lingjun_only()?;
        on.require(Feature::Streaming)?;
    }
    let description = r.given("Description");
    description.map_or(Ok(()), rules::description)?;
    let mut attributes = BTreeMap::from([("SourceStorage".to_owned(), text.to_owned())]);
    let (path, prefix, fileset) = match on.family {
        Family::General => general(r, on, &mut attributes).await?,
        Family::Lingjun => lingjun(r, on, &mut attributes).await?,
    };
    let store = r.control().resolve_bucket(source.bucket).await.map_err(|e| fault::of(&e))?;
    let security = match r.given("SourceSecurityType") {
        None => "None",
        Some(kind @ ("None" | "SSL")) => kind,
        Some(_) => return Err(fault::invalid("SourceSecurityType", "it must be None or SSL")),
    };
    if security == "SSL" && !store.url.starts_with("https://") {
        return Err(fault::invalid("SourceSecurityType", "the source storage's endpoint does not use TLS"));
    }
    attributes.insert("SourceSecurityType".to_owned(), security.to_owned());
    Ok(NewFlow {
        id: FlowId(translate::flow_id(r.control().random())),
        door: Door::Nas,
        directory: DirectoryEnd {
            file_system: on.fs.id.clone(),
            root: on.fs.root.clone(),
            path: rules::relative(&path),
        },
        empty_fileset: fileset.is_some(),
        fileset,
        object: ObjectEnd { store: store.id, bucket: source.bucket.to_owned(), prefix },
        credentials: None,
        name: String::new(),
        description: description.unwrap_or_default().to_owned(),
        attributes,
        sealed_attributes: BTreeMap::new(),
        probe: true,
    })
}

type Binding = (String, String, Option<FilesetId>);

async fn general(
    r: &Request<'_>,
    on: &Cpfs,
    attributes: &mut BTreeMap<String, String>,
) -> Result<Binding, Fault> {
    r.none_of(&["FileSystemPath", "SourceStoragePath"], "general-purpose CPFS")?;
    r.required("FsetId")?;
    let throughput = r.p.i64("Throughput").ok_or_else(|| fault::missing("Throughput"))?;
    rules::throughput(throughput, on.fs.bandwidth_mbps)?;
    let fileset = r.fileset(on).await?;
    if fileset.status != FilesetStatus::Created {
        return Err(fault::state("the fileset is not CREATED"));
    }
    let mut refresh = AutoRefresh::default();
    refresh.take_settings(r, 10, 525_600)?;
    refresh.take_paths(r, on, &fileset.path).await?;
    if !r.directory_empty(on, "FsetId", &fileset.path).await? && !on.fs.allow_destroy {
        return Err(fault::state(
            "the fileset holds files, which the product would destroy; the file system is not configured to allow that",
        ));
    }
    attributes.insert("Throughput".to_owned(), throughput.to_string());
    attributes.insert("SourceStoragePath".to_owned(), "/".to_owned());
    attributes.extend(refresh.attributes());
    Ok((fileset.path, String::new(), Some(fileset.id)))
}

async fn lingjun(
    r: &Request<'_>,
    on: &Cpfs,
    attributes: &mut BTreeMap<String, String>,
) -> Result<Binding, Fault> {
    r.none_of(
        &["FsetId", "Throughput", "AutoRefreshs", "AutoRefreshPolicy", "AutoRefreshInterval"],
        "CPFS for Lingjun",
    )?;
    let path = r.required("FileSystemPath")?;
    rules::directory("FileSystemPath", path, 1, rules::PATH_BYTES)?;
    let source_path = r.required("SourceStoragePath")?;
    rules::directory("SourceStoragePath", source_path, 1, rules::PATH_BYTES)?;
    if !r.directory_there(on, "FileSystemPath", path).await? {
        return Err(fault::not_found("FileSystemPath", "directory"));
    }
    attributes.insert("SourceStoragePath".to_owned(), source_path.to_owned());
    Ok((path.to_owned(), rules::relative(source_path), None))
}

/// A fileset has one flow; a Lingjun directory goes to one bucket, and to each prefix once.
fn unbound(flows: &[Flow], new: &NewFlow) -> Result<(), Fault> {
    let path = format!("/{}", new.directory.path);
    for f in flows {
        if new.fileset.is_some() && f.fileset == new.fileset {
            return Err(fault::dependency("the fileset has a data flow"));
        }
        let same_source =
            attribute(f, "SourceStorage") == new.attributes.get("SourceStorage").map_or("", String::as_str);
        if new.fileset.is_none()
            && directory_path(f) == path
            && (!same_source || f.object.prefix == new.object.prefix)
        {
            return Err(fault::dependency("the directory is bound by another data flow"));
        }
    }
    Ok(())
}

/// Asks the bucket. A bucket that isn't there is an error; one that doesn't answer is asked again by
/// the flow itself.
async fn source_needs_probe(r: &Request<'_>, end: &ObjectEnd) -> Result<bool, Fault> {
    match r.control().probe_source(end, None).await {
        Ok(()) => Ok(false),
        Err(e) if matches!(e.kind, ErrorKind::Unreachable | ErrorKind::BadCredentials) => Ok(true),
        Err(e) => Err(fault::of(&e)),
    }
}
