//! The tree that the demo moves: part of what is on the machine anyway.

use std::path::{Path, PathBuf};

/// How much was taken.
#[derive(Default)]
pub struct Taken {
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The given folder, else cargo's registry sources, else documentation.
pub fn choose(given: Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(folder) = given {
        return if folder.is_dir() {
            Ok(folder)
        } else {
            Err(format!("{} is not a directory", folder.display()))
        };
    }
    let cargo = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cargo")));
    let registry = cargo.map(|c| c.join("registry/src")).filter(|r| has_entries(r));
    let places = registry.into_iter().chain(["/usr/share/doc", "/usr/share", "/usr/lib"].map(PathBuf::from));
    places
        .into_iter()
        .find(|p| has_entries(p))
        .ok_or_else(|| "no tree found; name one with --tree".to_owned())
}

fn has_entries(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut d| d.next().is_some())
}

/// Copies up to `limit` files of `source`, with links, modes and times, into every one of `places`.
pub fn take(source: &Path, places: &[PathBuf], limit: u64) -> Result<Taken, String> {
    let mut taken = Taken::default();
    folder(source, places, limit, &mut taken).map_err(|e| format!("{}: {e}", source.display()))?;
    // One of each kind that a naive copy gets wrong.
    for place in places {
        let odd = place.join("odd names");
        let made = std::fs::create_dir_all(odd.join("empty directory"))
            .and_then(|()| std::fs::write(odd.join("a+b %20 ünïcode \u{1f4e6}"), "odd\n"))
            .and_then(|()| std::fs::write(odd.join("empty file"), ""))
            .and_then(|()| std::os::unix::fs::symlink("../odd names/empty file", odd.join("a link")));
        match made {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(format!("{}: {e}", odd.display()));
            }
            _ => {}
        }
    }
    taken.files += 2;
    Ok(taken)
}

fn folder(source: &Path, places: &[PathBuf], limit: u64, taken: &mut Taken) -> std::io::Result<()> {
    let mut names: Vec<_> = std::fs::read_dir(source)?.collect::<Result<Vec<_>, _>>()?;
    names.sort_by_key(std::fs::DirEntry::file_name);
    for entry in names {
        if taken.files >= limit {
            break;
        }
        let from = entry.path();
        let to: Vec<PathBuf> = places.iter().map(|p| p.join(entry.file_name())).collect();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            for place in &to {
                std::fs::create_dir_all(place)?;
            }
            folder(&from, &to, limit, taken)?;
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&from)?;
            for place in &to {
                std::os::unix::fs::symlink(&target, place)?;
            }
        } else if kind.is_file() {
            let Ok(meta) = entry.metadata() else { continue };
            let Ok(content) = std::fs::read(&from) else { continue };
            for place in &to {
                std::fs::write(place, &content)?;
                std::fs::set_permissions(place, meta.permissions())?;
                let f = std::fs::File::open(place)?;
                f.set_modified(meta.modified()?)?;
            }
            taken.files += 1;
            taken.bytes += meta.len();
        }
    }
    Ok(())
}
