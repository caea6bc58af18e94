//! What may stand in a file: its length, its essay, and words that belong elsewhere.

use crate::Findings;
use crate::source::{self, Line};

/// Lines outside tests at which a file is too long, and at which one should think of splitting it.
const TOO_LONG: usize = 700;
const LONG: usize = 500;

/// Starts of paths that exist on one machine only. Put together here, or this file would be its own finding.
const MACHINE_PATHS: [&str; 3] = [concat!("/wor", "k/"), concat!("/roo", "t/"), concat!("/home", "/")];

/// Hosts of package registries: what is fetched, and from where, is the client's configuration.
const REGISTRY_HOSTS: [&str; 9] = [
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("proxy.golang", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("repo1.maven", ".org"),
    concat!("repo.maven.apache", ".org"),
    concat!("deb.debian", ".org"),
];

/// Checks that hold for any text file. Lock files name their registry; that is their job.
pub fn check_any(file: &str, text: &str, findings: &mut Findings) {
    if file.ends_with(".lock") || file.ends_with("go.sum") || file.ends_with("package-lock.json") {
        return;
    }
    for (n, line) in text.lines().enumerate() {
        let mut say = |what: &str| findings.problems.push(format!("{file}:{}: {what}", n + 1));
        if let Some(path) = MACHINE_PATHS.iter().find(|p| names_path(line, p)) {
            say(&format!("{path}… is a path of one machine"));
        }
        if let Some(host) = REGISTRY_HOSTS.iter().find(|h| line.contains(*h)) {
            say(&format!("{host} is a registry's host"));
        }
    }
}

/// Is `path` there as the start of an absolute path, not as the middle of another one?
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| {
            !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')' | '*' | '>' | '/'))
        })
    })
}

/// Checks that hold for our Rust files. `only_tests`: another file declares this one under `#[cfg(test)]`.
pub fn check_rust(file: &str, text: &str, only_tests: bool, findings: &mut Findings) {
    let (krate, place) = home(file);
    let first = text.lines().find(|l| !l.trim().is_empty() && !l.starts_with("#!"));
    if !first.is_some_and(|l| l.starts_with("//!")) {
        findings.problems.push(format!("{file}: no essay (//!) at the top"));
    }
    let in_tests = only_tests || place != "src" || file.ends_with("/tests.rs") || file.contains("/tests/");
    let lines = source::lines(text);
    let production = if in_tests { 0 } else { lines.iter().filter(|l| !l.test).count() };
    if production > TOO_LONG {
        findings.problems.push(format!("{file}: {production} lines outside tests, more than {TOO_LONG}"));
    } else if production > LONG {
        findings.warnings.push(format!("{file}: {production} lines outside tests, more than {LONG}"));
    }
    for (n, line) in lines.iter().enumerate() {
        for what in misplaced(krate, in_tests, line) {
            findings.problems.push(format!("{file}:{}: {what}", n + 1));
        }
    }
}

/// The crate that a file belongs to, and the folder in it (`src`, `tests`, …).
fn home(file: &str) -> (&str, &str) {
    let mut parts = file.strip_prefix("crates/").unwrap_or(file).split('/');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// What of a line belongs elsewhere.
fn misplaced(krate: &str, in_tests: bool, line: &Line) -> Vec<&'static str> {
    let mut found = Vec::new();
    let has = |words: &[&str]| words.iter().any(|w| line.code.contains(w));
    if krate != "runtime"
        && has(&["tokio::spawn(", "spawn_blocking", "tokio::task::spawn_local", "unbounded_channel("])
    {
        found.push("only runtime spawns: use runtime::spawn(TaskKind::…, …) or runtime::blocking(…)");
    }
    if in_tests || line.test {
        return found;
    }
    if !matches!(krate, "wharf" | "testkit" | "xtask") && has(&["std::env", "env::var"]) {
        found.push("only wharf reads the environment");
    }
    if has(&[".unwrap()"]) {
        found.push("unwrap() outside tests");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(file: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check_rust(file, text, false, &mut findings);
        findings.problems
    }

    #[test]
    fn each_rule_bites_where_it_should() {
        let bad = "//! a\nfn f() { tokio::spawn(x); std::env::var(y); z.unwrap(); }\n";
        assert_eq!(rust("crates/engine/src/lib.rs", bad).len(), 3);
        assert_eq!(rust("crates/wharf/src/main.rs", bad).len(), 2);
        assert_eq!(rust("crates/runtime/src/lib.rs", bad).len(), 2);
        assert_eq!(rust("crates/engine/tests/a.rs", bad).len(), 1);
        assert_eq!(rust("crates/engine/src/lib.rs", "fn f() {}\n").len(), 1);
        assert!(
            rust("crates/a/src/lib.rs", "//! x\n// .unwrap()\nfn f() { \"tokio::spawn(\"; unwrap_or(1); }")
                .is_empty()
        );
        let long = format!("//! x\n{}", "fn f() {}\n".repeat(TOO_LONG));
        assert_eq!(rust("crates/a/src/lib.rs", &long).len(), 1);
        assert!(rust("crates/a/tests/lib.rs", &long).is_empty());
    }

    #[test]
    fn machine_paths_and_hosts_are_found() {
        let mut findings = Findings::default();
        for path in MACHINE_PATHS {
            check_any("a.md", &format!("see {path}x\n"), &mut findings);
            check_any("a.md", &format!("bench{path}x and $X{path}\n"), &mut findings);
        }
        check_any("a.md", REGISTRY_HOSTS[0], &mut findings);
        check_any("Cargo.lock", REGISTRY_HOSTS[0], &mut findings);
        // "$X/…" counts as the middle of a path: X is a word.
        assert_eq!(findings.problems.len(), MACHINE_PATHS.len() + 1, "{:?}", findings.problems);
    }
}
