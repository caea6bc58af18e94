//! The demo's calls, as an SDK would make them.

use std::io::IsTerminal as _;
use std::path::Path;

use serde_json::{Value, json};

use super::{Keys, compare};
use crate::client::Client;
use crate::progress::Bar;
use crate::words;

/// The one bucket.
pub const BUCKET: &str = "wharf-demo-1250000000";
/// Version of the Tencent CFS API.
const CFS: &str = "2019-07-19";

/// Runs all steps; `false` when a tree differs or a receipt does not hold.
pub async fn run(client: &Client, folder: &Path, keys: &Keys) -> Result<bool, String> {
    let mut tasks = Vec::new();
    say!("Alibaba CPFS door: one data flow, export, import into a second directory");
    let flow = nas_flow(client).await?;
    tasks.push(("CPFS export /first/ → oss", nas_task(client, &flow, "Export", "/first/", "/tree/").await?));
    tasks
        .push(("CPFS import oss → /second/", nas_task(client, &flow, "Import", "/tree/", "/second/").await?));
    say!("\nTencent CFS door: archive a directory, restore it into another one");
    let work = cfs_flow(client, keys, "/cfs/work").await?;
    tasks.push(("CFS archive /cfs/work", cfs_task(client, &work, "archive", "/cfs/work").await?));
    let back = cfs_flow(client, keys, "/cfs/back").await?;
    tasks.push(("CFS restore → /cfs/back", cfs_task(client, &back, "restore", "/cfs/back").await?));

    let mut all_well = true;
    say!("\nLedgers: what was read equals what became of it");
    for (name, id) in &tasks {
        let task: api_admin::wire::TaskView = operator(client, "GetTask", id).await?;
        say!("\n{name}  ({id}, {})\n{}", task.status, words::ledger(&task.ledger));
        let receipt: api_admin::wire::VerificationView = operator(client, "VerifyReceipt", id).await?;
        say!(
            "receipt: {} items, {} of them read again ({}), {} known by size only: {}",
            words::count(receipt.items),
            words::count(receipt.by_content),
            words::size(receipt.bytes),
            words::count(receipt.by_size),
            if receipt.ok { "all as signed for" } else { "NOT as signed for" }
        );
        all_well &= receipt.ok && task.ledger.balanced && task.status == "completed";
    }
    say!("\nComparison, byte for byte");
    for (a, b) in [("lingjun/first", "lingjun/second"), ("turbo/work", "turbo/back")] {
        all_well &= compared(folder, a, b)?;
    }
    Ok(all_well)
}

fn compared(folder: &Path, a: &str, b: &str) -> Result<bool, String> {
    let c = compare::compare(&folder.join(a), &folder.join(b)).map_err(|e| format!("{a} and {b}: {e}"))?;
    let same = c.differences.is_empty();
    say!(
        "  {a} and {b}: {} items, {}: {}; {} times and {} modes differ",
        words::count(c.items),
        words::size(c.bytes),
        if same { "identical" } else { "DIFFERENT" },
        c.times,
        c.modes
    );
    for d in &c.differences {
        say!("    {d}");
    }
    Ok(same)
}

async fn operator<T: serde::de::DeserializeOwned>(
    client: &Client,
    action: &str,
    id: &str,
) -> Result<T, String> {
    let answer = client.operator(action, &json!({ "id": id })).await.map_err(|e| format!("{action}: {e}"))?;
    serde_json::from_value(answer).map_err(|e| format!("{action}: {e}"))
}

async fn nas_flow(client: &Client) -> Result<String, String> {
    let source = format!("oss://{BUCKET}");
    let params = [
        ("FileSystemId", "bmcpfs-demo"),
        ("SourceStorage", source.as_str()),
        ("SourceStoragePath", "/lingjun/"),
        ("FileSystemPath", "/"),
    ];
    let answer =
        client.alibaba("CreateDataFlow", &params).await.map_err(|e| format!("CreateDataFlow: {e}"))?;
    text(&answer, "DataFlowId")
}

async fn nas_task(client: &Client, flow: &str, action: &str, from: &str, to: &str) -> Result<String, String> {
    let params = [
        ("FileSystemId", "bmcpfs-demo"),
        ("DataFlowId", flow),
        ("TaskAction", action),
        ("DataType", "MetaAndData"),
        ("Directory", from),
        ("DstDirectory", to),
        ("ConflictPolicy", "OVERWRITE_EXISTING"),
        ("CreateDirIfNotExist", "true"),
    ];
    let params = if action == "Import" { &params[..] } else { &params[..7] };
    let answer =
        client.alibaba("CreateDataFlowTask", params).await.map_err(|e| format!("CreateDataFlowTask: {e}"))?;
    let id = text(&answer, "TaskId")?;
    let bar = Bar::new(false);
    bar.name(&format!("  {action} {}", &id[..id.len().min(13)]));
    loop {
        let filter =
            [("FileSystemId", "bmcpfs-demo"), ("Filters.1.Key", "TaskIds"), ("Filters.1.Value", id.as_str())];
        let answer = client
            .alibaba("DescribeDataFlowTasks", &filter)
            .await
            .map_err(|e| format!("DescribeDataFlowTasks: {e}"))?;
        let task = &answer["TaskInfo"]["Task"][0];
        let figure = |key: &str| task["ProgressStats"][key].as_u64().unwrap_or(0);
        bar.position(
            figure("FilesDone"),
            figure("FilesTotal"),
            figure("BytesDone"),
            figure("BytesTotal"),
            true,
        );
        match task["Status"].as_str() {
            Some("Completed") => {
                bar.leave();
                said(action, &id, figure("FilesDone"), figure("BytesDone"));
                return Ok(id);
            }
            Some("Failed" | "Canceled") => {
                return Err(format!("{action} {id} ended badly: {}", task["ErrorMsg"]));
            }
            _ => tokio::time::sleep(Bar::EVERY).await,
        }
    }
}

async fn cfs_flow(client: &Client, keys: &Keys, target: &str) -> Result<String, String> {
    let params = json!({
        "FileSystemId": "cfs-demo0001",
        "SourceStorageType": "S3_COS",
        "SourceStorageAddress": format!("https://{BUCKET}.cos.ap-guangzhou.myqcloud.com"),
        "SourcePath": "turbo",
        "TargetPath": target,
        "SecretId": keys.access_key,
        "SecretKey": keys.secret,
        "DataFlowName": target.trim_start_matches("/cfs/"),
    });
    let answer = client
        .tencent("cfs", CFS, "CreateDataFlow", &params)
        .await
        .map_err(|e| format!("CreateDataFlow: {e}"))?;
    text(&answer, "DataFlowId")
}

async fn cfs_task(client: &Client, flow: &str, kind: &str, path: &str) -> Result<String, String> {
    let params = json!({
        "FileSystemId": "cfs-demo0001", "Type": kind, "TaskName": kind, "TaskPath": path, "DataFlowId": flow,
        "IsOverwrite": true,
    });
    let answer = client
        .tencent("cfs", CFS, "CreateLifecycleDataTask", &params)
        .await
        .map_err(|e| format!("CreateLifecycleDataTask: {e}"))?;
    let id = text(&answer, "TaskId")?;
    let bar = Bar::new(false);
    bar.name(&format!("  {kind} {}", &id[..id.len().min(13)]));
    let now = runtime::Clock::system().now().seconds();
    let params = json!({ "StartTime": day(now - 86_400), "EndTime": day(now + 86_400), "TaskId": id });
    loop {
        let answer = client
            .tencent("cfs", CFS, "DescribeLifecycleDataTask", &params)
            .await
            .map_err(|e| format!("DescribeLifecycleDataTask: {e}"))?;
        let task = &answer["LifecycleDataTask"][0];
        let figure = |key: &str| task[key].as_u64().unwrap_or(0);
        bar.position(
            figure("FileSuccessedCount") + figure("FileFailedCount"),
            figure("FileTotalCount"),
            figure("FileSuccessedSize") + figure("FileFailedSize"),
            figure("FileTotalSize"),
            true,
        );
        match task["TaskStatus"].as_str() {
            Some("finished") => {
                bar.leave();
                said(kind, &id, figure("FileSuccessedCount"), figure("FileSuccessedSize"));
                return Ok(id);
            }
            Some("failed" | "stopped") => return Err(format!("{kind} {id} ended badly")),
            _ => tokio::time::sleep(Bar::EVERY).await,
        }
    }
}

/// Where no bar is drawn (a log, a pipe), a line says what it would have shown.
fn said(what: &str, id: &str, items: u64, bytes: u64) {
    if !std::io::stderr().is_terminal() {
        say!("  {what:<8} {id}  {} items, {}", words::count(items), words::size(bytes));
    }
}

/// `YYYY-MM-DD HH:MM:SS` in UTC.
fn day(seconds: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (h, m, s) = at.to_hms();
    format!("{} {h:02}:{m:02}:{s:02}", at.date())
}

fn text(answer: &Value, key: &str) -> Result<String, String> {
    answer[key].as_str().map(str::to_owned).ok_or_else(|| format!("the answer has no {key}: {answer}"))
}
