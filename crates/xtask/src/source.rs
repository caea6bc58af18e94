//! Rust source as far as the checks need it: code without comments and literals, and which of its
//! lines are tests. A scanner, not a parser: it knows the tokens that hide text, and braces.

use std::iter::Peekable;
use std::str::Chars;

/// One line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line's code; comments and the insides of literals are left out.
    pub code: String,
    /// Is it within a `#[cfg(test)]` item?
    pub test: bool,
}

/// Splits a file into its lines.
#[must_use]
pub fn lines(text: &str) -> Vec<Line> {
    let stripped = strip(text);
    let mut out: Vec<Line> = Vec::new();
    // Depth of braces, and the depth at which the test item that we are in began.
    let (mut depth, mut within) = (0_usize, None);
    let mut announced = false;
    for code in stripped.split('\n') {
        announced |= within.is_none() && code.contains("#[cfg(test)]");
        let mut test = announced || within.is_some();
        for c in code.chars() {
            match c {
                '{' => {
                    if announced && within.is_none() {
                        (within, announced, test) = (Some(depth), false, true);
                    }
                    depth += 1;
                }
                '}' => {
                    depth = depth.saturating_sub(1);
                    if within == Some(depth) {
                        within = None;
                    }
                }
                // `#[cfg(test)] mod tests;` and `#[cfg(test)] use …;` end here.
                ';' if announced && within.is_none() => announced = false,
                _ => {}
            }
        }
        test |= within.is_some();
        out.push(Line { code: code.to_owned(), test });
    }
    out
}

/// Files that `file` declares as modules of tests (`#[cfg(test)] mod golden;`), with their folder.
#[must_use]
pub fn test_modules(file: &str, text: &str) -> Vec<String> {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let folder = match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        name => format!("{folder}/{}", name.trim_end_matches(".rs")),
    };
    let declared = |l: &Line| {
        let code = l.code.trim_start_matches("#[cfg(test)]").trim();
        let module = code.strip_prefix("mod ")?.strip_suffix(';')?.trim();
        l.test.then(|| format!("{folder}/{module}.rs"))
    };
    lines(text).iter().filter_map(declared).collect()
}

/// The text without comments and without what is inside literals; lines stay lines.
fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let word = before.is_alphanumeric() || before == '_';
        before = c;
        match c {
            '/' if chars.peek() == Some(&'/') => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
            }
            '/' if chars.peek() == Some(&'*') => skip_comment(&mut chars, &mut out),
            '"' => quoted(&mut chars, &mut out),
            'r' if !word => raw(&mut chars, &mut out),
            'b' if !word && matches!(chars.peek(), Some('r')) => {
                chars.next();
                out.push('b');
                raw(&mut chars, &mut out);
            }
            '\'' => character(&mut chars, &mut out),
            c => out.push(c),
        }
    }
    out
}

fn skip_comment(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let (mut depth, mut before) = (0, '/');
    for c in chars.by_ref() {
        match (before, c) {
            ('/', '*') => (depth, before) = (depth + 1, ' '),
            ('*', '/') => (depth, before) = (depth - 1, ' '),
            (_, c) => before = c,
        }
        if c == '\n' {
            out.push('\n');
        }
        if depth == 0 {
            return;
        }
    }
}

fn quoted(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('"');
    while let Some(c) = chars.next() {
        match c {
            // An escaped line end is still a line end.
            '\\' if chars.next() != Some('\n') => {}
            '\\' | '\n' => out.push('\n'),
            '"' => break,
            _ => {}
        }
    }
    out.push('"');
}

/// After an `r`: a raw string, a raw name or just a letter.
fn raw(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('r');
    let mut ahead = chars.clone();
    let mut hashes = 0;
    while ahead.peek() == Some(&'#') {
        ahead.next();
        hashes += 1;
    }
    if ahead.next() != Some('"') {
        return;
    }
    *chars = ahead;
    out.push('"');
    while let Some(c) = chars.next() {
        if c == '\n' {
            out.push('\n');
        }
        if c == '"' {
            let mut end = chars.clone();
            if (0..hashes).all(|_| end.next() == Some('#')) {
                *chars = end;
                break;
            }
        }
    }
    out.push('"');
}

/// After a `'`: a character or a lifetime.
fn character(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('\'');
    let mut ahead = chars.clone();
    match (ahead.next(), ahead.next()) {
        (Some('\\'), _) => {
            chars.next();
            chars.next();
            for c in chars.by_ref() {
                if c == '\'' {
                    break;
                }
            }
            out.push('\'');
        }
        (Some(_), Some('\'')) => {
            chars.next();
            chars.next();
            out.push('\'');
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        lines(text).into_iter().map(|l| l.code).collect()
    }

    #[test]
    fn what_is_no_code_is_left_out() {
        let text = "a(\"x.unwrap()\\\"{\"); // .unwrap()\nb /* { /* } */ */ c\nr#\"}\n\"\"#;d('{', '\\'', 'x: &'a str)";
        assert_eq!(code(text), ["a(\"\"); ", "b  c", "r\"", "\";d('', '', 'x: &'a str)"]);
        assert_eq!(code("br\"{\" for raw in r#type"), ["br\"\" for raw in r#type"]);
    }

    #[test]
    fn test_modules_are_found() {
        let text = "mod a;\n#[cfg(test)]\nmod golden;\nmod b;\n#[cfg(test)] mod c;\n";
        assert_eq!(
            test_modules("crates/x/src/lib.rs", text),
            ["crates/x/src/golden.rs", "crates/x/src/c.rs"]
        );
        assert_eq!(test_modules("crates/x/src/y.rs", text)[0], "crates/x/src/y/golden.rs");
    }

    #[test]
    fn test_items_end_with_their_brace() {
        let text = "fn a() {}\n#[cfg(test)]\nmod t {\n fn b() { \"}\" }\n}\nfn c() {}\n#[cfg(test)]\nmod u;\nfn d() {}";
        let tests: Vec<bool> = lines(text).into_iter().map(|l| l.test).collect();
        assert_eq!(tests, [false, true, true, true, true, false, true, true, false]);
    }
}
