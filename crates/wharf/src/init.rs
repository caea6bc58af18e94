//! `wharf init` and `wharf check`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::config;

/// Writes the commented template with a fresh key pair, readable by its owner only.
pub fn init(file: &Path, force: bool) -> ExitCode {
    let random = runtime::Random::system();
    let access_key = format!("AKID{}", random.alphanumeric(32));
    let text = config::template::text(&access_key, &random.alphanumeric(32));
    match write_private(file, &text, force) {
        Ok(()) => {
            say!("wrote {}", file.display());
            say!("next: add a [[filesystem]] and an [[object_store]], then");
            say!("  wharf check {0}\n  wharf serve --config {0}", file.display());
            ExitCode::SUCCESS
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            complain!("{} is there already (--force replaces it)", file.display());
            ExitCode::FAILURE
        }
        Err(e) => {
            complain!("can't write {}: {e}", file.display());
            ExitCode::FAILURE
        }
    }
}

/// Reports every problem of a configuration.
pub fn check(file: &Path) -> ExitCode {
    match config::load_and_look(file) {
        Ok(config) => {
            say!(
                "{}: in order; {} accounts, {} file systems, {} object stores, listening on {}{}",
                file.display(),
                config.accounts.len(),
                config.file_systems.len(),
                config.object_stores.len(),
                config.listen.address,
                config.broker.as_ref().map_or_else(String::new, |b| format!(", broker on {}", b.address))
            );
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for p in &problems {
                complain!("{}: {p}", file.display());
            }
            complain!("{} problem{}", problems.len(), if problems.len() == 1 { "" } else { "s" });
            ExitCode::FAILURE
        }
    }
}

/// Writes a file that only its owner can read (it holds a secret).
pub fn write_private(file: &Path, text: &str, replace: bool) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600);
    if replace {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut f = options.open(file)?;
    f.write_all(text.as_bytes())?;
    f.sync_all()
}
