//! What this door keeps on a flow in the product's words, and how it shows it.

use std::collections::BTreeMap;

use api::Fault;
use control::{FlowFilter, Page};
use model::{Door, Fileset, Flow, FlowStatus};
use serde_json::{Value, json};

use crate::family::Cpfs;
use crate::request::Request;
use crate::translate::{attribute, flow_status, time};
use crate::{fault, rules};

/// Paths that may be refreshed automatically on one flow.
pub const MOST_REFRESH_PATHS: usize = 5;
/// Minutes between refreshes when none are given.
pub const DEFAULT_INTERVAL: i64 = 10;

/// Auto refresh settings of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoRefresh {
    /// Paths, each `/…/`.
    pub paths: Vec<String>,
    /// `None` or `ImportChanged`.
    pub policy: String,
    /// Minutes.
    pub interval: i64,
}

impl Default for AutoRefresh {
    fn default() -> Self {
        Self { paths: Vec::new(), policy: "None".to_owned(), interval: DEFAULT_INTERVAL }
    }
}

impl AutoRefresh {
    /// As kept on the flow.
    #[must_use]
    pub fn of(flow: &Flow) -> Self {
        let mut out = Self::default();
        if let Ok(paths) = serde_json::from_str(attribute(flow, "AutoRefresh")) {
            out.paths = paths;
        }
        if let Some(policy) = flow.attributes.get("AutoRefreshPolicy") {
            out.policy.clone_from(policy);
        }
        if let Ok(interval) = attribute(flow, "AutoRefreshInterval").parse() {
            out.interval = interval;
        }
        out
    }

    /// The attributes to keep.
    #[must_use]
    pub fn attributes(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("AutoRefresh".to_owned(), Value::from(self.paths.clone()).to_string()),
            ("AutoRefreshPolicy".to_owned(), self.policy.clone()),
            ("AutoRefreshInterval".to_owned(), self.interval.to_string()),
        ])
    }

    /// Takes policy and interval of a request over; minutes from `least` to `most`.
    ///
    /// # Errors
    /// `InvalidAutoRefreshPolicy`, `InvalidAutoRefreshInterval`.
    pub fn take_settings(&mut self, r: &Request<'_>, least: i64, most: i64) -> Result<(), Fault> {
        match r.given("AutoRefreshPolicy") {
            None => {}
            Some(policy @ ("None" | "ImportChanged")) => policy.clone_into(&mut self.policy),
            Some(_) => return Err(fault::invalid("AutoRefreshPolicy", "it must be None or ImportChanged")),
        }
        if let Some(minutes) = r.p.i64("AutoRefreshInterval") {
            if !(least..=most).contains(&minutes) {
                return Err(fault::invalid(
                    "AutoRefreshInterval",
                    format_args!("it must be {least} to {most}"),
                ));
            }
            self.interval = minutes;
        }
        Ok(())
    }

    /// Adds the `AutoRefreshs` of a request: each must be a directory inside the fileset at `base`.
    ///
    /// # Errors
    /// `MissingRefreshPath`, `InvalidRefreshPath`, `InvalidRefreshPath.NotFound`,
    /// `OperationDenied.CountOverLimit`.
    pub async fn take_paths(&mut self, r: &Request<'_>, on: &Cpfs, base: &str) -> Result<(), Fault> {
        for entry in r.p.objects("AutoRefreshs") {
            let path = entry.text("RefreshPath");
            if path.is_empty() {
                return Err(fault::missing("RefreshPath"));
            }
            rules::directory("RefreshPath", path, 2, 1024)?;
            let whole = format!("{}{}", base, rules::relative(path));
            if !r.directory_there(on, "RefreshPath", &whole).await? {
                return Err(fault::not_found("RefreshPath", "directory"));
            }
            if !self.paths.iter().any(|p| p == path) {
                self.paths.push(path.to_owned());
            }
        }
        if self.paths.len() > MOST_REFRESH_PATHS {
            return Err(fault::over_limit(&format!(
                "a data flow has at most {MOST_REFRESH_PATHS} auto refresh paths"
            )));
        }
        Ok(())
    }
}

/// The directory of a flow in the product's form, `/…/`.
#[must_use]
pub fn directory_path(flow: &Flow) -> String {
    format!("/{}", rules::relative(&flow.directory.path))
}

/// All flows of the caller on a file system, oldest first. Their number is limited per file system.
///
/// # Errors
/// Internal errors.
pub async fn flows_of(r: &Request<'_>, on: &Cpfs) -> Result<Vec<Flow>, Fault> {
    let filter =
        FlowFilter { door: Some(Door::Nas), file_system: Some(on.fs.id.clone()), ..Default::default() };
    let limit = 500;
    let mut all = Vec::new();
    loop {
        let page = Page { offset: all.len() as u64, limit, newest_first: false };
        let (mut some, total) =
            r.control().flows(&r.caller, &filter, page).await.map_err(|e| fault::of(&e))?;
        let nothing = some.is_empty();
        all.append(&mut some);
        if nothing || all.len() as u64 >= total {
            return Ok(all);
        }
    }
}

/// A flow as `DescribeDataFlows` shows it.
#[must_use]
pub fn flow(f: &Flow, filesets: &[Fileset]) -> Value {
    let refresh = AutoRefresh::of(f);
    let paths: Vec<Value> = refresh.paths.iter().map(|p| json!({"RefreshPath": p})).collect();
    let fileset = f.fileset.as_ref().and_then(|id| filesets.iter().find(|s| s.id == *id));
    let throughput: i64 = attribute(f, "Throughput").parse().unwrap_or(0);
    json!({
        "AutoRefresh": {"AutoRefresh": paths},
        "AutoRefreshInterval": refresh.interval,
        "AutoRefreshPolicy": refresh.policy,
        "CreateTime": time(f.created),
        "DataFlowId": f.id.as_str(),
        "Description": f.description,
        "ErrorMessage": error_message(f),
        "FileSystemId": f.directory.file_system.as_str(),
        "FileSystemPath": directory_path(f),
        "FsetDescription": fileset.map(|s| s.description.as_str()).unwrap_or_default(),
        "FsetId": f.fileset.as_ref().map(|id| id.as_str()).unwrap_or_default(),
        "SourceSecurityType": attribute(f, "SourceSecurityType"),
        "SourceStorage": attribute(f, "SourceStorage"),
        "SourceStoragePath": attribute(f, "SourceStoragePath"),
        "Status": flow_status(f.status),
        "Throughput": throughput,
        "UpdateTime": time(f.updated),
    })
}

fn error_message(f: &Flow) -> &'static str {
    if f.status == FlowStatus::Misconfigured { "SourceStorageUnreachable" } else { "None" }
}
