//! Which crate may depend on which. Dev-dependencies are free: a test may wire what the crate must not know.

use crate::Findings;
use crate::metadata::Package;

/// Crates that put the others together, or check them.
const WIRING: [&str; 3] = ["wharf", "testkit", "xtask"];

/// A connector that stands on another: tables lie in buckets, and one S3 client is enough (ADR 8).
const STANDS_ON: [(&str, &str); 1] = [("connector-iceberg", "connector-object")];

/// Says what breaks the rules.
pub fn check(members: &[Package], findings: &mut Findings) {
    for package in members {
        for dependency in package.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev")) {
            if let Some(reason) = forbidden(&package.name, &dependency.name) {
                findings.problems.push(format!("{} depends on {}: {reason}", package.name, dependency.name));
            }
        }
    }
}

/// Why `from` must not depend on `to`, if it must not.
fn forbidden(from: &str, to: &str) -> Option<&'static str> {
    let door = |name: &str| name.starts_with("api-") || name == "console";
    let concrete = |name: &str| name.starts_with("connector-");
    if WIRING.contains(&from) || STANDS_ON.contains(&(from, to)) {
        return None;
    }
    if concrete(to) {
        return Some("only wharf, testkit and xtask name concrete connectors");
    }
    if door(from) || from == "api" {
        if matches!(to, "connector" | "engine" | "store" | "wharf") {
            return Some("a door knows control and model, not what is behind them");
        }
        if door(to) {
            return Some("a door doesn't know another door");
        }
    }
    if (from == "connector" || concrete(from))
        && (matches!(to, "model" | "store" | "control" | "engine" | "api" | "wharf") || door(to))
    {
        return Some("a connector knows no flow, task, store or door");
    }
    if from == "engine"
        && (matches!(to, "http" | "hyper" | "hyper-util" | "axum" | "sqlx" | "api") || door(to))
    {
        return Some("the engine knows no HTTP, no SQL and no door");
    }
    if let Some(reason) = of_a_part(from, to, door(to)) {
        return Some(reason);
    }
    match to {
        "wharf" => Some("nothing depends on the binary"),
        "testkit" | "xtask" => Some("that crate is for tests and checks only"),
        _ => None,
    }
}

/// The rules of crates that are parts by themselves and know little of the rest.
fn of_a_part(from: &str, to: &str, is_door: bool) -> Option<&'static str> {
    if from == "broker"
        && (matches!(to, "model" | "store" | "control" | "engine" | "api" | "connector") || is_door)
    {
        return Some("the broker is a log: it knows no flow, task, store or door");
    }
    if from == "log-store"
        && (matches!(to, "tokio" | "model" | "store" | "control" | "engine" | "api" | "connector") || is_door)
    {
        return Some("the log store knows no flow, task, state or door");
    }
    if from == "transform"
        && (matches!(
            to,
            "tokio" | "runtime" | "model" | "store" | "control" | "engine" | "api" | "connector"
        ) || is_door)
    {
        return Some("the transform chain is pure: a record in, values out");
    }
    if from.starts_with("flow-")
        && (matches!(to, "tokio" | "model" | "store" | "control" | "engine" | "api" | "connector")
            || matches!((from, to), ("flow-record", "runtime") | (_, "flow-capture" | "flow-collector"))
            || is_door)
    {
        return Some(
            "observers of traffic make records: they know no flow log, task, store or door, and not each other",
        );
    }
    if from == "columnar"
        && (matches!(
            to,
            "tokio" | "runtime" | "model" | "store" | "control" | "engine" | "api" | "connector" | "iceberg"
        ) || is_door)
    {
        return Some("records to columns is pure: no I/O, and nothing of ours");
    }
    if from == "model"
        && matches!(to, "tokio" | "serde" | "serde_json" | "runtime" | "store" | "control" | "engine")
    {
        return Some("the model is pure");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::forbidden;

    #[test]
    fn the_rules_hold() {
        for (from, to) in [
            ("api-cfs", "connector"),
            ("api-cfs", "connector-posix"),
            ("api-nas", "engine"),
            ("api-nas", "store"),
            ("api-nas", "api-cfs"),
            ("api", "api-cfs"),
            ("connector", "model"),
            ("connector-object", "control"),
            ("connector-object", "api"),
            ("connector-object", "connector-posix"),
            ("engine", "hyper"),
            ("engine", "sqlx"),
            ("engine", "connector-posix"),
            ("control", "connector-posix"),
            ("store", "testkit"),
            ("model", "tokio"),
            ("broker", "store"),
            ("broker", "connector"),
            ("transform", "tokio"),
            ("transform", "runtime"),
            ("flow-capture", "engine"),
            ("flow-collector", "flow-capture"),
            ("flow-record", "runtime"),
            ("log-store", "store"),
            ("columnar", "tokio"),
            ("columnar", "connector"),
            ("connector-object", "connector-iceberg"),
            ("connector-iceberg", "store"),
            ("connector-iceberg", "connector-posix"),
        ] {
            assert!(forbidden(from, to).is_some(), "{from} → {to}");
        }
        for (from, to) in [
            ("wharf", "connector-posix"),
            ("wharf", "api-cfs"),
            ("testkit", "connector-object"),
            ("api-cfs", "api"),
            ("api-cfs", "control"),
            ("engine", "connector"),
            ("connector-object", "connector"),
            ("connector-object", "hyper"),
            ("control", "model"),
            ("broker", "runtime"),
            ("wharf", "broker"),
            ("engine", "transform"),
            ("api-cfs", "transform"),
            ("flow-capture", "flow-record"),
            ("flow-collector", "runtime"),
            ("engine", "flow-capture"),
            ("connector-iceberg", "connector-object"),
            ("connector-iceberg", "columnar"),
            ("api-cfs", "columnar"),
        ] {
            assert!(forbidden(from, to).is_none(), "{from} → {to}");
        }
    }
}
