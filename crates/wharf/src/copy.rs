//! `wharf copy`: the engine without a server.
//!
//! There is no state beside the two trees: running it again continues, because what was written carries
//! our mark and unfinished uploads and files are found again by name.

mod ends;
mod location;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use engine::transfer::{self, Compare, Ended, Job, Options, Outcome, Shared};
use model::ConflictPolicy;
use runtime::{Bandwidth, ByteBudget, Clock};

use crate::cli::{Conflict, CopyArgs, Fsync};
use crate::progress::Bar;
use crate::words;
use location::Location;

/// Runs it; the exit code says whether everything is where it should be.
pub fn run(args: &CopyArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let job = prepare(args).await?;
            Ok(execute(args, job).await)
        }),
        Err(e) => Err(format!("can't start: {e}")),
    };
    match done {
        Ok(code) => code,
        Err(message) => {
            complain!("wharf copy: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn prepare(args: &CopyArgs) -> Result<Job, String> {
    let ends = ends::open(args).await?;
    let lanes =
        if args.lanes == 0 { engine::Lanes::for_this_machine() } else { engine::Lanes::new(args.lanes) }
            .map_err(|e| format!("can't start lanes: {e}"))?;
    let compare = if ends.to_directory { Compare::Stat } else { Compare::Merge };
    let mut options = Options::new(conflict(args.conflict), compare);
    options.whole_up_to = args.part_size;
    options.part_size = args.part_size.max(5 << 20);
    options.directories = !args.no_metadata;
    options.xattrs = args.xattrs && !args.no_metadata;
    options.verify = args.verify;
    options.durable = args.fsync == Fsync::End;
    options.dry_run = args.dry_run;
    let shared = Shared {
        lanes,
        budget: ByteBudget::new(args.memory.max(16 << 20)),
        bandwidth: Bandwidth::limited(args.bandwidth),
        clock: Clock::system(),
    };
    let mut job = Job::new(ends.source, ends.destination, options, shared);
    job.select = ends.select;
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

async fn execute(args: &CopyArgs, job: Job) -> ExitCode {
    let started = Instant::now();
    // Of a single file's place the rest is none of our business.
    let swept = args.sweep_after.0.filter(|_| !args.dry_run && matches!(job.select, engine::Select::All));
    let destination = job.destination.clone();
    let (live, steer, reports) = (job.live.clone(), job.steer.clone(), job.reports.clone());
    let bar = Bar::new(args.quiet || args.json);
    let mut running = std::pin::pin!(transfer::run(job));
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(200));
    let outcome = loop {
        tokio::select! {
            outcome = &mut running => {
                bar.finish(&outcome.live);
                break outcome;
            }
            _ = tick.tick() => bar.show(&live.snapshot()),
            _ = tokio::signal::ctrl_c() => steer.wish(engine::Wish::Pause),
        }
    };
    if let (Some(age), true) = (swept, outcome.is_success()) {
        sweep(args, &*destination, age).await;
    }
    if let (Some(folder), Some(manifest)) = (&reports, &args.manifest)
        && let Err(e) = keep_manifest(folder, manifest)
    {
        complain!("wharf copy: --manifest: {e}");
        return ExitCode::FAILURE;
    }
    report(args, &outcome, started.elapsed().as_secs_f64());
    if matches!(Location::parse(&args.source), Ok(Location::Bucket { key, .. }) if !key.is_empty())
        && outcome.ended == Ended::Done
        && outcome.ledger.items.read == 0
    {
        complain!("wharf copy: there is no object {} and nothing below it", args.source);
        return ExitCode::FAILURE;
    }
    if outcome.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes away what earlier runs left. The copy is done whatever becomes of it, so Ctrl-C ends only this.
async fn sweep(args: &CopyArgs, destination: &dyn connector::Tree, age: u64) {
    let what = connector::Sweep::idle(age);
    let swept = tokio::select! {
        swept = destination.sweep(&what) => swept,
        _ = tokio::signal::ctrl_c() => {
            complain!("wharf copy: all is copied; leftovers of earlier runs may stay");
            return;
        }
    };
    // Who may not list uploads has none of ours there, or can't help it.
    if let Ok(n @ 1..) = swept
        && !args.quiet
    {
        complain!("removed {n} unfinished uploads and temporary files that earlier runs had left");
    }
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
