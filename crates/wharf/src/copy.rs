//! `wharf copy`: the engine without a server.
//!
//! There is no state beside the two trees: running it again continues, because what was written carries
//! our mark and unfinished uploads and files are found again by name.

mod location;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use connector::Tree;
use connector_object::{Addressing, Endpoint, MetadataDialect, ObjectTree, Site};
use connector_posix::{Durability, PosixTree};
use engine::transfer::{self, Compare, Ended, Job, Options, Outcome, Shared};
use model::ConflictPolicy;
use runtime::{Bandwidth, ByteBudget, Clock};

use crate::cli::{Conflict, CopyArgs, Fsync};
use crate::progress::Bar;
use crate::words;
use location::Location;

/// Runs it; the exit code says whether everything is where it should be.
pub fn run(args: &CopyArgs) -> ExitCode {
    match prepare(args) {
        Ok(job) => execute(args, job),
        Err(message) => {
            complain!("wharf copy: {message}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(args: &CopyArgs) -> Result<Job, String> {
    let (source, single) = Location::parse(&args.source)?.single_file();
    let destination = Location::parse(&args.destination)?;
    let lanes =
        if args.lanes == 0 { engine::Lanes::for_this_machine() } else { engine::Lanes::new(args.lanes) }
            .map_err(|e| format!("can't start lanes: {e}"))?;
    let compare = if matches!(destination, Location::Directory(_)) { Compare::Stat } else { Compare::Merge };
    let mut options = Options::new(conflict(args.conflict), compare);
    options.whole_up_to = args.part_size;
    options.part_size = args.part_size.max(5 << 20);
    options.directories = !args.no_metadata;
    options.xattrs = args.xattrs && !args.no_metadata;
    options.verify = args.verify;
    options.durable = args.fsync == Fsync::End;
    options.dry_run = args.dry_run;
    let site = site(args, &[&source, &destination])?;
    let source_tree = tree(args, &source, site.as_ref(), Missing::Complain)?;
    let missing = if args.dry_run { Missing::Imagine } else { Missing::Make };
    let destination_tree = tree(args, &destination, site.as_ref(), missing)?;
    let shared = Shared {
        lanes,
        budget: ByteBudget::new(args.memory.max(16 << 20)),
        bandwidth: Bandwidth::limited(args.bandwidth),
        clock: Clock::system(),
    };
    let mut job = Job::new(source_tree, destination_tree, options, shared);
    if let Some(name) = single {
        job.select = engine::Select::Entries(vec![name]);
    }
    job.reports = args.manifest.as_deref().map(reports_folder).transpose()?;
    Ok(job)
}

/// Reports are written into a folder of their own beside the wanted manifest and moved from there.
fn reports_folder(manifest: &Path) -> Result<PathBuf, String> {
    let mut name = manifest.file_name().ok_or("--manifest: must name a file")?.to_owned();
    name.push(format!(".{}", runtime::Random::system().base36(12)));
    let folder = manifest.with_file_name(name);
    // New and ours alone: it is removed afterwards.
    std::fs::create_dir(&folder).map_err(|e| format!("--manifest: {}: {e}", folder.display()))?;
    Ok(folder)
}

fn execute(args: &CopyArgs, job: Job) -> ExitCode {
    let runtime =
        match tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build() {
            Ok(r) => r,
            Err(e) => {
                complain!("wharf copy: can't start: {e}");
                return ExitCode::FAILURE;
            }
        };
    let started = Instant::now();
    let (live, steer, reports) = (job.live.clone(), job.steer.clone(), job.reports.clone());
    let outcome = runtime.block_on(async {
        let bar = Bar::new(args.quiet || args.json);
        let mut running = std::pin::pin!(transfer::run(job));
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(200));
        loop {
            tokio::select! {
                outcome = &mut running => {
                    bar.finish(&outcome.live);
                    break outcome;
                }
                _ = tick.tick() => bar.show(&live.snapshot()),
                _ = tokio::signal::ctrl_c() => steer.wish(engine::Wish::Pause),
            }
        }
    });
    if let (Some(folder), Some(manifest)) = (&reports, &args.manifest)
        && let Err(e) = keep_manifest(folder, manifest)
    {
        complain!("wharf copy: --manifest: {e}");
        return ExitCode::FAILURE;
    }
    report(args, &outcome, started.elapsed().as_secs_f64());
    if let Ok(Location::Bucket { prefix, .. }) = Location::parse(&args.source)
        && !prefix.is_empty()
        && outcome.ended == Ended::Done
        && outcome.ledger.items.read == 0
    {
        complain!(
            "wharf copy: there is nothing below {} (a single object is not a source; name its prefix)",
            args.source
        );
        return ExitCode::FAILURE;
    }
    if outcome.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn keep_manifest(folder: &Path, manifest: &Path) -> std::io::Result<()> {
    std::fs::rename(folder.join(transfer::MANIFEST), manifest)?;
    std::fs::remove_dir_all(folder)
}

fn report(args: &CopyArgs, outcome: &Outcome, seconds: f64) {
    for f in &outcome.failures {
        complain!("failed: {}: {}", f.path, f.reason);
    }
    match &outcome.ended {
        Ended::Failed(kind, message) => complain!("wharf copy: stopped ({}): {message}", kind.name()),
        Ended::Paused | Ended::Canceled => complain!("wharf copy: interrupted; run it again to continue"),
        Ended::Fenced | Ended::Done => {}
    }
    if args.json {
        let ledger = api_admin::wire::LedgerView::from(&outcome.ledger);
        let done = outcome.is_success();
        say!("{}", serde_json::json!({ "success": done, "seconds": seconds, "ledger": ledger }));
    } else if !args.quiet || !outcome.is_success() {
        let l = &outcome.ledger;
        if args.dry_run {
            say!(
                "would write {} items, {} ({} over what is there); {} unchanged, {} skipped, {} can't be moved",
                words::count(l.items.written),
                words::size(l.bytes.written),
                words::count(outcome.would.overwritten),
                words::count(l.items.unchanged),
                words::count(l.items.skipped),
                words::count(l.items.failed)
            );
        } else {
            say!("{}", words::ledger(&api_admin::wire::LedgerView::from(l)));
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "for people"
            )]
            let rate = (l.bytes.written as f64 / seconds.max(0.001)) as u64;
            say!("{seconds:.1} s, {}/s", words::size(rate));
        }
    }
}

fn conflict(c: Conflict) -> ConflictPolicy {
    match c {
        Conflict::IfChanged => ConflictPolicy::IfChanged,
        Conflict::Skip => ConflictPolicy::Skip,
        Conflict::Latest => ConflictPolicy::KeepLatest,
        Conflict::Overwrite => ConflictPolicy::Overwrite,
    }
}

/// One endpoint serves both ends.
fn site(args: &CopyArgs, ends: &[&Location]) -> Result<Option<Arc<Site>>, String> {
    if !ends.iter().any(|l| matches!(l, Location::Bucket { .. })) {
        return Ok(None);
    }
    let region = args.region.clone().or_else(|| location::first_env(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
    let region = region.unwrap_or_else(|| "us-east-1".to_owned());
    let url = args
        .endpoint_url
        .clone()
        .or_else(|| location::first_env(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL"]))
        .unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let mut endpoint = Endpoint::new(url, region, location::credentials(&args.profile)?);
    if args.virtual_host {
        endpoint.addressing = Addressing::VirtualHost;
    }
    endpoint.verify = args.verify;
    endpoint.check().map(Some).map_err(|problems| problems.join("; "))
}

/// What to do about a directory that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Complain,
    Make,
    /// A dry run makes nothing and goes on as if it were empty.
    Imagine,
}

fn tree(
    args: &CopyArgs,
    end: &Location,
    site: Option<&Arc<Site>>,
    missing: Missing,
) -> Result<Arc<dyn Tree>, String> {
    match (end, site) {
        (Location::Bucket { bucket, prefix }, Some(site)) => {
            let tree = ObjectTree::new(site, bucket, prefix).map_err(|e| e.to_string())?;
            Ok(Arc::new(tree.with_metadata(MetadataDialect::Native)))
        }
        (Location::Bucket { .. }, None) => Err("no endpoint".to_owned()),
        (Location::Directory(path), _) => {
            if missing == Missing::Make {
                std::fs::create_dir_all(path).map_err(|e| format!("{}: {e}", path.display()))?;
            }
            let durability = match args.fsync {
                Fsync::None => Durability::None,
                Fsync::End => Durability::Batch,
                Fsync::Each => Durability::Each,
            };
            let options = connector_posix::Options {
                durability,
                owner: !args.no_metadata,
                xattrs: args.xattrs && !args.no_metadata,
                ..connector_posix::Options::default()
            };
            match PosixTree::open(path, options) {
                Ok(tree) => Ok(Arc::new(tree)),
                Err(e) if e.kind() == connector::ErrorKind::NotFound && missing == Missing::Imagine => {
                    Ok(Arc::new(connector::Nowhere::new(path.display().to_string())))
                }
                Err(e) => Err(e.to_string()),
            }
        }
    }
}
