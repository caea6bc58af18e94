//! Under which licences the crates come that we link or build with, and crates that must not be there.
//! What is accepted stands in `licenses.txt` beside this crate's manifest.

use crate::{Findings, expression, metadata};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const ACCEPTED: &str = include_str!("../licenses.txt");

/// Crates that must not be linked: ring is the one source of cryptography, and rustls panics at the
/// first handshake when two providers are in and none was chosen. (librdkafka brings OpenSSL for itself, as it has no
/// other TLS; so `openssl-sys` may be there, and its users in Rust may not. The `iceberg` crate names reqwest for one conversion of errors: it comes without TLS and is not
/// called.)
const BANNED: [&str; 5] = ["aws-lc-sys", "aws-lc-rs", "openssl", "native-tls", "hyper-tls"];

#[derive(Debug, Default)]
struct Accepted<'a> {
    licenses: BTreeSet<&'a str>,
    /// Licence by crate that alone may come under it.
    exceptions: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

/// Lines are `LICENCE` or `crate: LICENCE`; `#` starts a comment.
fn accepted(text: &str) -> Accepted<'_> {
    let mut all = Accepted::default();
    for line in text.lines().map(|l| l.split('#').next().unwrap_or_default().trim()).filter(|l| !l.is_empty())
    {
        match line.split_once(':') {
            Some((krate, license)) => {
                all.exceptions.entry(krate.trim()).or_default().insert(license.trim());
            }
            None => {
                all.licenses.insert(line);
            }
        }
    }
    all
}

/// Checks every linked crate; with `list` also prints how many come under what.
///
/// # Errors
/// When cargo can't tell.
pub fn check(root: &Path, list: bool) -> Result<Findings, String> {
    let packages = metadata::linked(root)?;
    let accepted = accepted(ACCEPTED);
    let mut findings = Findings::default();
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for p in &packages {
        let name = format!("{} {}", p.name, p.version);
        if BANNED.contains(&p.name.as_str()) {
            findings.problems.push(format!("{name} must not be in the tree"));
        }
        let Some(license) = &p.license else {
            findings.problems.push(format!("{name} names no licence"));
            continue;
        };
        let own = accepted.exceptions.get(p.name.as_str());
        let may = |l: &str| accepted.licenses.contains(l) || own.is_some_and(|own| own.contains(l));
        match expression::allows(license, &may) {
            Ok(true) => {}
            Ok(false) => findings.problems.push(format!("{name} comes under {license}")),
            Err(e) => findings.problems.push(format!("{name}: {e}")),
        }
        kinds.entry(license.clone()).or_default().push(name);
    }
    if list {
        kinds
            .iter()
            .for_each(|(license, names)| println!("{:4}  {license}: {}", names.len(), names.join(", ")));
    }
    println!("{} crates linked or built with", packages.len());
    Ok(findings)
}
