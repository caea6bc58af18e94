//! Configuration: raw text → checked values. Checking does no I/O and reports every problem at once;
//! what it gives can be built without asking again.
//!
//! The file is read with spans, so that each problem names its line. Unknown keys are problems: a
//! misspelt setting must not be silently without effect.

mod broker;
mod connections;
mod dis;
mod networks;
mod reader;
mod sections;
mod size;
pub mod template;

use std::fmt;
use std::path::{Path, PathBuf};

pub use broker::BrokerConfig;
pub use connections::ConnectionConfig;
pub use sections::{AccountConfig, Config, LogFormat, ObjectStoreConfig, SecretSource};
pub use size::{Age, parse_age, parse_size};

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// 1-based line, 0 where no line can be named.
    pub line: usize,
    /// Which key.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if self.key.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.key, self.message)
        }
    }
}

/// Parses and checks the text of a configuration. Relative paths are taken from `base` (the folder of
/// the file).
///
/// # Errors
/// Every problem, in the order of the file.
pub fn check(text: &str, base: &Path) -> Result<Config, Vec<Problem>> {
    match inspect(text, base) {
        (Some(config), problems) if problems.is_empty() => Ok(config),
        (_, problems) => Err(problems),
    }
}

/// As [`check`], and what could be read in spite of the problems.
pub fn inspect(text: &str, base: &Path) -> (Option<Config>, Vec<Problem>) {
    let table = match toml::de::DeTable::parse(text) {
        Ok(t) => t,
        Err(e) => {
            let line = e.span().map_or(0, |s| reader::line_of(text, s.start));
            return (None, vec![Problem { line, key: String::new(), message: e.message().to_owned() }]);
        }
    };
    let mut problems = Vec::new();
    let config = {
        let mut root = reader::Section::root(table.get_ref(), text, &mut problems);
        let config = sections::read(&mut root, base);
        root.finish();
        config
    };
    problems.sort_by_key(|p| p.line);
    (Some(config), problems)
}

/// What a checked configuration names on this machine and is not there: directories, secrets,
/// certificates. The only part of checking that looks outside the file.
pub fn missing_on_this_machine(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |key: String, message: String| problems.push(Problem { line: 0, key, message });
    for f in config.file_systems.iter().filter(|f| f.root.is_absolute()) {
        match std::fs::metadata(&f.root) {
            Ok(m) if m.is_dir() => {}
            Ok(_) => add(format!("filesystem {}", f.id), format!("{} is not a directory", f.root.display())),
            Err(e) => add(format!("filesystem {}", f.id), format!("{}: {e}", f.root.display())),
        }
    }
    let secrets =
        (config.accounts.iter().map(|a| (format!("account {}", a.name), Some(&a.secret))))
            .chain(
                config
                    .object_stores
                    .iter()
                    .map(|o| (format!("object_store {}", o.id), o.key.as_ref().map(|k| &k.1))),
            )
            .chain(config.broker.iter().flat_map(|b| {
                b.users.iter().map(|(name, secret)| (format!("broker.user {name}"), Some(secret)))
            }))
            .chain(config.connections.iter().map(|c| (format!("connection {}", c.id), c.secret.as_ref())))
            .chain(
                config
                    .accounts
                    .iter()
                    .flat_map(|a| a.tokens.iter().map(|token| (format!("account {}", a.name), Some(token)))),
            )
            .chain([("state.database_url".to_owned(), config.state.url.as_ref())]);
    for (key, secret) in secrets {
        if let Some(Err(message)) = secret.map(crate::serve::reveal) {
            add(key, message);
        }
    }
    let tls = config.listen.tls.iter().chain(config.broker.iter().filter_map(|b| b.tls.as_ref()));
    let tls = tls.flat_map(|(certificate, key)| [certificate, key]);
    let authorities = (config.object_stores.iter().filter_map(|o| o.ca_file.as_ref()))
        .chain(config.connections.iter().filter_map(|c| c.ca_file.as_ref()));
    for file in tls.chain(authorities) {
        if let Err(e) = std::fs::File::open(file) {
            add(file.display().to_string(), e.to_string());
        }
    }
    problems
}

/// Reads and checks a file.
///
/// # Errors
/// Every problem; one without a line when the file can't be read.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let (text, base) = read(path)?;
    check(&text, &base)
}

/// Reads a file and tells everything that is wrong with it, here and in the file.
///
/// # Errors
/// Every problem, those of the file first.
pub fn load_and_look(path: &Path) -> Result<Config, Vec<Problem>> {
    let (text, base) = read(path)?;
    let (config, mut problems) = inspect(&text, &base);
    problems.extend(config.iter().flat_map(missing_on_this_machine));
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

fn read(path: &Path) -> Result<(String, PathBuf), Vec<Problem>> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        vec![Problem { line: 0, key: String::new(), message: format!("can't read {}: {e}", path.display()) }]
    })?;
    Ok((text, path.parent().map_or_else(PathBuf::new, Path::to_path_buf)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_named_with_its_line() {
        let text = "data_dir = 5\ncolour = 'red'\n[listen]\naddress = 'nowhere'\nport = 1\n\
                    [[filesystem]]\nid = 'xyz-1'\nproduct = 'cfs'\nroot = 'relative'\n\
                    [[object_store]]\nid = 'a'\nurl = 'ftp://x'\nmemory = 1\n[limits]\nmemory = '12 parsecs'\n";
        let problems = check(text, Path::new("/etc")).unwrap_err();
        let lines: Vec<(usize, &str)> = problems.iter().map(|p| (p.line, p.key.as_str())).collect();
        for want in [
            (1, "data_dir"),
            (2, "colour"),
            (4, "listen.address"),
            (5, "listen.port"),
            (7, "filesystem[0].id"),
            (12, "object_store[0].url"),
            (13, "object_store[0].memory"),
            (15, "limits.memory"),
        ] {
            assert!(lines.contains(&want), "{want:?} not in {lines:?}");
        }
    }

    #[test]
    fn the_template_is_a_valid_configuration() {
        let text = template::text("AKIDexample", "secret-example");
        let config = check(&text, Path::new("/etc/wharf")).unwrap_or_else(|p| panic!("{p:?}"));
        assert_eq!(config.data_dir, Path::new("/etc/wharf/wharf-data"));
        assert_eq!(config.accounts.len(), 1);
    }

    #[test]
    fn secrets_do_not_print() {
        let text = template::text("AKIDexample", "secret-example");
        let config = check(&text, Path::new("/etc/wharf")).unwrap_or_else(|p| panic!("{p:?}"));
        assert!(!format!("{config:?}").contains("secret-example"));
    }
}
