//! Nouns to wire types.

use control::{Control, Plan, TaskEvents, Verification};
use model::{
    Account, ConflictPolicy, Dialect, Direction, FileSystem, Flow, ObjectEnd, ObjectStore, Origin, Product,
    Receipt, Task, TaskEvent, TaskKind,
};

use crate::wire::{
    self, AccountView, EventView, FileSystemView, FlowView, ObjectStoreView, PlanView, ReceiptView,
    ReportView, TaskView, VerificationView,
};

/// `s3://bucket/prefix/`
pub fn bucket_url(end: &ObjectEnd) -> String {
    format!("s3://{}/{}", end.bucket, end.prefix)
}

/// A flow.
pub fn flow(f: &Flow) -> FlowView {
    FlowView {
        id: f.id.to_string(),
        door: f.door.name().to_owned(),
        account: f.account.to_string(),
        file_system: f.directory.file_system.to_string(),
        directory: format!("/{}", f.directory.path),
        bucket: bucket_url(&f.object),
        store: f.object.store.to_string(),
        status: f.status.name().to_owned(),
        error: f.error.clone(),
        name: f.name.clone(),
        created: f.created.0,
    }
}

/// A task.
pub fn task(control: &Control, t: &Task) -> TaskView {
    let bucket = bucket_url(&t.spec.object);
    let progress = control.progress(t);
    let directory = format!("{}:/{}", t.file_system, t.spec.directory.path);
    let (way, source, destination) = match t.spec.direction {
        Direction::Import => ("import", bucket, directory),
        Direction::Export => ("export", directory, bucket),
    };
    TaskView {
        id: t.id.to_string(),
        door: t.door.name().to_owned(),
        kind: match t.kind {
            TaskKind::Transfer => "transfer",
            TaskKind::Stream => "stream",
            TaskKind::StreamFile => "stream-file",
        }
        .to_owned(),
        account: t.account.to_string(),
        flow: t.flow.as_ref().map(ToString::to_string),
        way: way.to_owned(),
        source,
        destination,
        status: t.status.name().to_owned(),
        error: t.error.clone(),
        ledger: (&t.ledger).into(),
        items_found: progress.items_found,
        bytes_found: progress.bytes_found,
        scan_done: progress.scan_done,
        items_done: progress.items_done,
        bytes_done: progress.bytes_done,
        bytes_per_s: t.progress.bytes_per_s,
        remaining_s: t.progress.remaining_s,
        attempt: t.attempt,
        created: t.created.0,
        started: t.started.map(|s| s.0),
        ended: t.ended.map(|s| s.0),
        reports: reports(control, t),
    }
}

fn reports(control: &Control, t: &Task) -> Vec<ReportView> {
    let r = &t.reports;
    [("total", &r.total), ("successful", &r.successful), ("skipped", &r.skipped), ("failed", &r.failed)]
        .into_iter()
        .filter_map(|(name, file)| {
            let file = file.as_ref()?;
            Some(ReportView { name: name.to_owned(), path: report_path(control, t, file) })
        })
        .collect()
}

fn report_path(control: &Control, t: &Task, file: &str) -> String {
    format!("/reports/{}/{file}?token={}", t.id, control.report_token(&t.id, file))
}

/// A receipt.
pub fn receipt(control: &Control, r: &Receipt) -> ReceiptView {
    ReceiptView {
        task: r.task.to_string(),
        ledger: (&r.ledger).into(),
        manifest_sha256: r.manifest_sha256.clone(),
        manifest_path: format!(
            "/reports/{}/{}?token={}",
            r.task,
            r.manifest,
            control.report_token(&r.task, &r.manifest)
        ),
        made: r.made.0,
    }
}

/// A verification.
pub fn verification(v: &Verification) -> VerificationView {
    let named = |what: &str, list: &[String]| -> Vec<String> {
        list.iter().map(|x| format!("{what}: {x}")).collect()
    };
    let mut examples = named("missing", &v.missing);
    examples.extend(named("different", &v.different));
    examples.extend(named("unreadable", &v.unreadable));
    examples.truncate(100);
    VerificationView {
        manifest_intact: v.manifest_intact,
        items: v.checked,
        by_content: v.by_content,
        by_size: v.by_size,
        bytes: v.bytes,
        missing: v.missing.len() as u64,
        different: v.different.len() as u64,
        unreadable: v.unreadable.len() as u64,
        extra: v.extra.len() as u64,
        examples,
        ok: v.holds(),
    }
}

/// A plan.
pub fn plan(p: &Plan) -> PlanView {
    PlanView {
        ledger: (&p.ledger).into(),
        items: p.ledger.items.read,
        files_to_write: p.files,
        bytes_to_write: p.ledger.bytes.written,
        unchanged: p.ledger.items.unchanged,
        conflicts: p.conflicts(),
        overwritten: p.overwritten,
        skipped: p.kept,
        refused: p.ledger.items.failed + p.ledger.items.dead_lettered,
        problems: p.problems.clone(),
        requests: p.requests,
        estimated_s: p.estimated_s,
        complete: p.complete,
    }
}

/// Events; `after` is the cursor of the request.
pub fn events(found: &TaskEvents, after: u64) -> wire::TaskEvents {
    let view = |e: &TaskEvent| EventView {
        seq: e.seq,
        at: e.at.0,
        kind: e.kind.name().to_owned(),
        message: e.message.clone(),
    };
    let next = found.events.last().map_or(after, |e| e.seq);
    wire::TaskEvents {
        events: found.events.iter().map(view).collect(),
        next,
        more: next < found.total,
        total: found.total,
        dropped: found.dropped,
    }
}

/// A file system.
pub fn file_system(f: &FileSystem) -> FileSystemView {
    FileSystemView {
        id: f.id.to_string(),
        product: product_name(f.product).to_owned(),
        root: f.root.display().to_string(),
        version: f.version.clone(),
        description: f.description.clone(),
        origin: origin(f.origin).to_owned(),
    }
}

/// An object store, without its secret.
pub fn object_store(o: &ObjectStore) -> ObjectStoreView {
    ObjectStoreView {
        id: o.id.to_string(),
        url: o.url.clone(),
        region: o.region.clone(),
        dialect: dialect_name(o.dialect).to_owned(),
        path_style: o.path_style,
        access_key_id: o.access_key_id.clone(),
        access_key_secret: None,
        buckets: o.buckets.clone(),
        hosts: o.hosts.clone(),
        origin: origin(o.origin).to_owned(),
    }
}

/// An account, without its secret.
pub fn account(a: &Account) -> AccountView {
    AccountView {
        id: a.id.to_string(),
        name: a.name.clone(),
        access_key_id: a.access_key_id.clone(),
        app_id: a.app_id.clone(),
        operator: a.operator,
        active: a.active,
        tokens: a.tokens.len(),
    }
}

fn origin(o: Origin) -> &'static str {
    match o {
        Origin::Config => "config",
        Origin::Registered => "registered",
    }
}

/// Product names of this door and of `wharf.toml`.
fn product_name(p: Product) -> &'static str {
    match p {
        Product::Cfs => "cfs",
        Product::CpfsGeneral => "cpfs",
        Product::CpfsLingjun => "cpfs-lingjun",
    }
}

/// The product that an identifier's prefix tells, and its usual version.
pub fn product_of(id: &str) -> Option<(Product, &'static str)> {
    let known = [
        ("bmcpfs-", Product::CpfsLingjun, "2.7.0"),
        ("cpfs-", Product::CpfsGeneral, "2.4.0"),
        ("cfs-", Product::Cfs, "v4.0"),
    ];
    known.into_iter().find_map(|(prefix, product, version)| {
        let rest = id.strip_prefix(prefix)?;
        let fine = !rest.is_empty()
            && rest.len() <= 64
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        fine.then_some((product, version))
    })
}

fn dialect_name(d: Dialect) -> &'static str {
    match d {
        Dialect::S3 => "s3",
        Dialect::Cos => "cos",
        Dialect::Oss => "oss",
        Dialect::Obs => "obs",
    }
}

/// Back from its name.
pub fn dialect(name: &str) -> Option<Dialect> {
    [Dialect::S3, Dialect::Cos, Dialect::Oss, Dialect::Obs].into_iter().find(|d| dialect_name(*d) == name)
}

/// Conflict rules by their command-line names.
pub fn conflict(name: &str) -> Option<ConflictPolicy> {
    Some(match name {
        "if-changed" => ConflictPolicy::IfChanged,
        "skip" => ConflictPolicy::Skip,
        "latest" => ConflictPolicy::KeepLatest,
        "overwrite" => ConflictPolicy::Overwrite,
        _ => return None,
    })
}
