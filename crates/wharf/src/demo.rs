//! `wharf demo`: the main job on a real tree, in one process, through the real signed HTTP APIs.
//!
//! An object store in the process, a server with everything embedded, a tree of some thousand files
//! that is on the machine anyway. Alibaba's door exports it and imports it into a second directory;
//! Tencent's door archives it and restores it into another one. At the end stand each task's ledger,
//! its receipt checked again, and a byte-for-byte comparison of the trees.

mod compare;
mod steps;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use crate::cli::DemoArgs;
use crate::client::Client;
use crate::{config, init, serve};

/// Keys of the demo's account and of its object store: made anew each time.
pub struct Keys {
    access_key: String,
    secret: String,
}

/// Runs it.
pub fn run(args: &DemoArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(r) => r.block_on(demo(args)),
        Err(e) => Err(format!("can't start: {e}")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            complain!("wharf demo: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(args: &DemoArgs) -> Result<bool, String> {
    let started = Instant::now();
    let folder = folder(args)?;
    say!("Working folder: {}", folder.display());
    let source = tree::choose(args.tree.clone())?;
    let taken = tree::take(&source, &[folder.join("lingjun/first"), folder.join("turbo/work")], args.files)?;
    say!(
        "Tree: {} ({} files, {}; links and empty directories included)\n",
        source.display(),
        crate::words::count(taken.files),
        crate::words::size(taken.bytes)
    );
    let random = runtime::Random::system();
    let keys =
        Keys { access_key: format!("AKIDdemo{}", random.alphanumeric(12)), secret: random.alphanumeric(32) };
    let stop = runtime::Shutdown::new();
    let s3 = embedded_s3::EmbeddedS3::start(
        &folder.join("object-store"),
        std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        &keys.access_key,
        &keys.secret,
        stop.clone(),
    )
    .await
    .map_err(|e| format!("the object store can't start: {e}"))?;
    s3.create_bucket(steps::BUCKET).await.map_err(|e| format!("the bucket can't be made: {e}"))?;
    let file = folder.join("wharf.toml");
    write_config(&file, &folder, &keys, s3.addr)?;
    let config = config::load(&file).map_err(|p| p.first().map(ToString::to_string).unwrap_or_default())?;
    let server = serve::start(&config).await?;
    let url = format!("http://{}", server.address);
    say!("Object store  http://{}   (embedded, signatures checked)", s3.addr);
    say!("wharf         {url}   (all doors on one port)\n");
    let client = Client::new(&url, &keys.access_key, &keys.secret)?;
    let all_well = steps::run(&client, &folder, &keys).await?;
    say!("\nAll of it took {:.1} s.", started.elapsed().as_secs_f64());
    what_next(&url, &file, &keys, &folder, args.keep);
    if args.keep {
        let _ = tokio::signal::ctrl_c().await;
    }
    server.stop().await?;
    stop.stop();
    if !args.keep && args.folder.is_none() && all_well {
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(all_well)
}

fn folder(args: &DemoArgs) -> Result<PathBuf, String> {
    let folder = match &args.folder {
        Some(f) => f.clone(),
        None => std::env::temp_dir().join(format!("wharf-demo-{}", runtime::Random::system().base36(8))),
    };
    for below in ["lingjun/first", "turbo/work", "object-store"] {
        let dir = folder.join(below);
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    folder.canonicalize().map_err(|e| format!("{}: {e}", folder.display()))
}

fn write_config(file: &Path, folder: &Path, keys: &Keys, store: std::net::SocketAddr) -> Result<(), String> {
    let Keys { access_key, secret } = keys;
    let folder = folder.display();
    let bucket = steps::BUCKET;
    let text = format!(
        r#"data_dir = "state"

[listen]
address = "127.0.0.1:0"

[log]
level = "warn"

[[account]]
name = "demo"
access_key_id = "{access_key}"
access_key_secret = "{secret}"
operator = true

[[filesystem]]
id = "bmcpfs-demo"
product = "cpfs-lingjun"
root = "{folder}/lingjun"

[[filesystem]]
id = "cfs-demo0001"
product = "cfs"
root = "{folder}/turbo"

[[object_store]]
id = "embedded"
url = "http://{store}"
access_key_id = "{access_key}"
access_key_secret = "{secret}"
buckets = ["{bucket}"]
hosts = ["*.cos.ap-guangzhou.myqcloud.com"]
"#
    );
    init::write_private(file, &text, true).map_err(|e| format!("{}: {e}", file.display()))
}

fn what_next(url: &str, file: &Path, keys: &Keys, folder: &Path, keep: bool) {
    if !keep {
        say!("\nRun it with --keep to leave the server running and try it with an SDK.");
        return;
    }
    let file = file.display();
    say!("\nThe server goes on until Ctrl-C. Try, in another terminal:");
    say!("  wharf flow list --config {file}");
    say!("  wharf task list --config {file}");
    say!("  wharf resource list --config {file}");
    say!("Or an unmodified SDK (Python, pip install tencentcloud-sdk-python-cfs):");
    say!("  endpoint {}, keys in {file} (access key {})", url.trim_start_matches("http://"), keys.access_key);
    say!("The trees are in {}.", folder.display());
}
