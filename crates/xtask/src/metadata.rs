//! What `cargo metadata` says, cut down to what the checks need.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A package.
#[derive(Debug, Clone, Deserialize)]
pub struct Package {
    /// Identity in the resolved graph.
    pub id: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SPDX expression, if it has one.
    pub license: Option<String>,
    /// What its manifest asks for.
    pub dependencies: Vec<Dependency>,
}

/// A line of a manifest's dependency table.
#[derive(Debug, Clone, Deserialize)]
pub struct Dependency {
    /// Name of the package asked for.
    pub name: String,
    /// `None` for normal, else `dev` or `build`.
    pub kind: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Option<Resolve>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<NodeKind>,
}

#[derive(Deserialize)]
struct NodeKind {
    kind: Option<String>,
}

fn read(root: &Path, more: &[&str]) -> Result<Metadata, String> {
    let mut arguments = vec!["metadata", "--format-version", "1", "--locked"];
    arguments.extend(more);
    let text = crate::output(root, "cargo", &arguments)?;
    serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))
}

/// The workspace's own packages.
///
/// # Errors
/// When cargo can't tell.
pub fn members(root: &Path) -> Result<Vec<Package>, String> {
    Ok(read(root, &["--no-deps"])?.packages)
}

/// Every foreign package that is linked into or builds ours on Linux; those only for tests are left out.
///
/// # Errors
/// When cargo can't tell.
pub fn linked(root: &Path) -> Result<Vec<Package>, String> {
    let all = read(root, &["--filter-platform", "x86_64-unknown-linux-gnu"])?;
    let nodes = all.resolve.ok_or("cargo metadata: no resolved graph")?.nodes;
    let nodes: BTreeMap<_, _> = nodes.into_iter().map(|n| (n.id, n.deps)).collect();
    let mut seen: BTreeSet<String> = all.workspace_members.iter().cloned().collect();
    let mut open = all.workspace_members.clone();
    while let Some(id) = open.pop() {
        for dependency in nodes.get(&id).into_iter().flatten() {
            let counts = dependency.dep_kinds.iter().any(|k| k.kind.as_deref() != Some("dev"));
            if counts && seen.insert(dependency.pkg.clone()) {
                open.push(dependency.pkg.clone());
            }
        }
    }
    let ours: BTreeSet<_> = all.workspace_members.into_iter().collect();
    Ok(all.packages.into_iter().filter(|p| seen.contains(&p.id) && !ours.contains(&p.id)).collect())
}
