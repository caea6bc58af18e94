//! Checks of the workspace itself, run as `cargo xtask tidy` and `cargo xtask licenses`.
//!
//! What the compiler and clippy can't see is checked here: which crate may know which, how long files
//! get, what may stand in a tracked file, and under which licences the linked crates come. Everything
//! is read from `cargo metadata` and from the files that git tracks. All problems are told at once.

mod edges;
mod expression;
mod licenses;
mod lines;
mod metadata;
mod source;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What a check found: problems fail it, warnings don't.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<String>,
    warnings: Vec<String>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some("tidy") => tidy(&root()),
        Some("licenses") => licenses::check(&root(), words.iter().any(|w| w == "--list")),
        _ => Err("usage: cargo xtask tidy | licenses [--list]".to_owned()),
    };
    match done {
        Ok(findings) => report(&findings),
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn report(findings: &Findings) -> ExitCode {
    findings.warnings.iter().for_each(|w| println!("warning: {w}"));
    findings.problems.iter().for_each(|p| println!("error: {p}"));
    let n = findings.problems.len();
    if n == 0 {
        println!("in order");
        return ExitCode::SUCCESS;
    }
    println!("{n} problem{}", if n == 1 { "" } else { "s" });
    ExitCode::FAILURE
}

/// The workspace's folder: two above this crate's, or the current one when the binary was moved.
fn root() -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned);
    above.filter(|p| p.join("Cargo.toml").is_file()).unwrap_or_else(|| PathBuf::from("."))
}

fn tidy(root: &Path) -> Result<Findings, String> {
    let mut findings = Findings::default();
    edges::check(&metadata::members(root)?, &mut findings);
    let read = |file: String| Some((String::from_utf8(std::fs::read(root.join(&file)).ok()?).ok()?, file));
    let texts: Vec<(String, String)> = tracked(root)?.into_iter().filter_map(read).collect();
    let rust = |file: &str| file.ends_with(".rs");
    let tests: Vec<String> =
        texts.iter().filter(|t| rust(&t.1)).flat_map(|t| source::test_modules(&t.1, &t.0)).collect();
    for (text, file) in &texts {
        lines::check_any(file, text, &mut findings);
        if rust(file) {
            lines::check_rust(file, text, tests.contains(file), &mut findings);
        }
    }
    Ok(findings)
}

/// Files that are in git or would be: what is ignored is nobody's business.
fn tracked(root: &Path) -> Result<Vec<String>, String> {
    let list = output(root, "git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    Ok(list.split('\0').filter(|f| !f.is_empty()).map(str::to_owned).collect())
}

/// What a program prints, or why it didn't.
fn output(dir: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let out = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output()
        .map_err(|e| format!("can't run {program}: {e}"))?;
    if !out.status.success() {
        return Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&out.stderr)));
    }
    String::from_utf8(out.stdout).map_err(|_| format!("{program} printed something that is no text"))
}
