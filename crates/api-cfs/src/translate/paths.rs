//! Paths as requests write them, and as the model keeps them.
//!
//! The product writes `/cfs/a/b` for the directory `a/b` of a file system, whatever is mounted where.
//! The model keeps `a/b/`: relative to the root, empty for the root itself. Nothing that could climb
//! or alias passes: `.`, `..`, empty components, NUL.

/// Longest path in bytes (S3's key limit, which the other end has).
const MAX_PATH: usize = 1024;
/// Longest component in bytes.
const MAX_NAME: usize = 255;

/// Why a path can't be taken. Words for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It does not start with `/cfs` as it must.
    Prefix,
    /// It starts with `/cfs` and must not.
    HasPrefix,
    /// `.` or `..`.
    Climbs,
    /// `//`.
    EmptyComponent,
    /// NUL or another control character.
    Control,
    /// More than 1024 bytes, or more than 255 in one component.
    TooLong,
}

impl Wrong {
    /// Words for people.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Prefix => "it must start with /cfs/",
            Self::HasPrefix => "it is written without the /cfs prefix",
            Self::Climbs => "it must not have . or .. components",
            Self::EmptyComponent => "it must not have empty components",
            Self::Control => "it must not have control characters",
            Self::TooLong => "it may have 1024 bytes, and 255 in one component",
        }
    }
}

/// A path below a file system's root, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// Without leading and trailing `/`; empty for the root.
    pub path: String,
    /// It was written with a trailing `/` (or is the root): a directory is meant.
    pub directory: bool,
}

impl Inside {
    /// As the model keeps directories: empty, or with a trailing `/`.
    #[must_use]
    pub fn as_directory(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("{}/", self.path) }
    }

    /// The part below `base` (a directory as the model keeps it), if it is `base` or inside it.
    #[must_use]
    pub fn below(&self, base: &str) -> Option<&str> {
        let base = base.trim_end_matches('/');
        if base.is_empty() {
            return Some(&self.path);
        }
        match self.path.strip_prefix(base)? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }
}

/// A flow's `TargetPath`: starts with `/cfs/`.
///
/// # Errors
/// Why not.
pub fn target(s: &str) -> Result<Inside, Wrong> {
    inside(s.strip_prefix("/cfs/").ok_or(Wrong::Prefix)?)
}

/// A `TaskPath`, a `ListPath` or a line of a list: starts with `/cfs/`, or is `/cfs` itself.
///
/// # Errors
/// Why not.
pub fn task(s: &str) -> Result<Inside, Wrong> {
    if s == "/cfs" { inside("") } else { target(s) }
}

/// A migration's `FsPath`: `/a/b` or `a/b`, without `/cfs`. With it, it is refused: taken literally it
/// would put files into a directory `cfs` that nobody meant.
///
/// # Errors
/// Why not.
pub fn migration(s: &str) -> Result<Inside, Wrong> {
    let rest = s.strip_prefix('/').unwrap_or(s);
    let found = inside(rest)?;
    if found.path == "cfs" || found.path.starts_with("cfs/") { Err(Wrong::HasPrefix) } else { Ok(found) }
}

/// A path in a bucket (`test3`, `/cos/test`, `/`) as the model keeps prefixes: `test3/`, `cos/test/`, ``.
///
/// # Errors
/// Why not.
pub fn prefix(s: &str) -> Result<String, Wrong> {
    Ok(inside(s.strip_prefix('/').unwrap_or(s))?.as_directory())
}

fn inside(s: &str) -> Result<Inside, Wrong> {
    let path = s.strip_suffix('/').unwrap_or(s);
    if path.len() > MAX_PATH {
        return Err(Wrong::TooLong);
    }
    if path.is_empty() {
        // `/cfs/` is the root; `/cfs//` is a slip of the pen.
        return if s.is_empty() { Ok(root()) } else { Err(Wrong::EmptyComponent) };
    }
    for name in path.split('/') {
        match name {
            "" => return Err(Wrong::EmptyComponent),
            "." | ".." => return Err(Wrong::Climbs),
            n if n.len() > MAX_NAME => return Err(Wrong::TooLong),
            n if n.chars().any(char::is_control) => return Err(Wrong::Control),
            _ => {}
        }
    }
    Ok(Inside { path: path.to_owned(), directory: s.ends_with('/') })
}

fn root() -> Inside {
    Inside { path: String::new(), directory: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_a_source_path_are_one() {
        for (given, want) in [
            ("test3", "test3/"),
            ("/test3", "test3/"),
            ("/cos/test", "cos/test/"),
            ("cos/test/", "cos/test/"),
            ("/", ""),
        ] {
            assert_eq!(prefix(given).as_deref(), Ok(want), "{given}");
        }
    }

    #[test]
    fn target_paths() {
        assert_eq!(target("/cfs/test11").map(|p| p.as_directory()), Ok("test11/".into()));
        assert_eq!(target("/cfs/subdir/test1/").map(|p| p.as_directory()), Ok("subdir/test1/".into()));
        assert_eq!(target("/cfs/").map(|p| p.as_directory()), Ok(String::new()));
        for (bad, why) in [
            ("/cfs", Wrong::Prefix),
            ("cfs/a", Wrong::Prefix),
            ("/cfsx/a", Wrong::Prefix),
            ("/data/a", Wrong::Prefix),
            ("", Wrong::Prefix),
            ("/cfs/../etc", Wrong::Climbs),
            ("/cfs/a/..", Wrong::Climbs),
            ("/cfs/./a", Wrong::Climbs),
            ("/cfs//a", Wrong::EmptyComponent),
            ("/cfs/a//", Wrong::EmptyComponent),
            ("/cfs//", Wrong::EmptyComponent),
            ("/cfs/a\0b", Wrong::Control),
        ] {
            assert_eq!(target(bad), Err(why), "{bad:?}");
        }
        assert_eq!(target(&format!("/cfs/{}", "x".repeat(256))), Err(Wrong::TooLong));
        assert_eq!(target(&format!("/cfs/{}", "x/".repeat(600))), Err(Wrong::TooLong));
    }

    #[test]
    fn migration_paths_have_no_prefix() {
        assert_eq!(migration("/a/b").map(|p| p.path), Ok("a/b".into()));
        assert_eq!(migration("a").map(|p| p.path), Ok("a".into()));
        assert_eq!(migration("/").map(|p| p.path), Ok(String::new()));
        assert_eq!(migration("/cfs/a"), Err(Wrong::HasPrefix));
        assert_eq!(migration("/cfsa").map(|p| p.path), Ok("cfsa".into()));
    }

    #[test]
    fn below_respects_components() {
        let p = task("/cfs/a/bc/d").unwrap();
        assert_eq!(p.below("a/bc/"), Some("d"));
        assert_eq!(p.below("a/b/"), None);
        assert_eq!(p.below(""), Some("a/bc/d"));
        assert_eq!(task("/cfs/a").unwrap().below("a/"), Some(""));
        assert_eq!(task("/cfs").unwrap().below("a/"), None);
    }
}
