//! One CSV record's fields (RFC 4180), in one pass.

use crate::drift::Reject;
use crate::value::Taken;

/// A field, and whether it had quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) quoted: bool,
}

/// Splits one record into `cells`; what they hold lies in `text`. At most `most` fields.
pub(crate) fn split(
    line: &str,
    delimiter: u8,
    most: usize,
    text: &mut String,
    cells: &mut Vec<Cell>,
) -> Taken<()> {
    text.clear();
    cells.clear();
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let mut rest = line;
    let delimiter = char::from(delimiter);
    loop {
        if cells.len() >= most {
            return Err(Reject::bad(format!("has more than {most} fields")));
        }
        let start = text.len();
        let quoted = rest.starts_with('"');
        rest = if quoted { quoted_field(rest, text)? } else { plain_field(rest, delimiter, text) };
        cells.push(Cell { start, end: text.len(), quoted });
        match rest.strip_prefix(delimiter) {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(()),
            None => return Err(Reject::bad("has text after a closing quote")),
        }
    }
}

fn plain_field<'a>(rest: &'a str, delimiter: char, text: &mut String) -> &'a str {
    let end = rest.find(delimiter).unwrap_or(rest.len());
    let (field, rest) = rest.split_at(end);
    text.push_str(field);
    rest
}

fn quoted_field<'a>(rest: &'a str, text: &mut String) -> Taken<&'a str> {
    let mut rest = rest.strip_prefix('"').unwrap_or(rest);
    loop {
        let Some((piece, more)) = rest.split_once('"') else {
            return Err(Reject::bad("has a quote that is not closed"));
        };
        text.push_str(piece);
        match more.strip_prefix('"') {
            Some(more) => {
                text.push('"');
                rest = more;
            }
            None => return Ok(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Result<Vec<(String, bool)>, String> {
        let (mut text, mut cells) = (String::new(), Vec::new());
        split(line, b',', 4, &mut text, &mut cells).map_err(|e| format!("{e:?}"))?;
        Ok(cells.iter().map(|c| (text[c.start..c.end].to_owned(), c.quoted)).collect())
    }

    #[test]
    fn fields_are_told_apart() {
        let of = |line: &str| fields(line).unwrap();
        assert_eq!(of("a,,\"b \"\"c\"\",\nd\"\r\n").len(), 3);
        assert_eq!(of("a,,\"b \"\"c\"\",\nd\"\r\n")[2], ("b \"c\",\nd".to_owned(), true));
        assert_eq!(of(""), [(String::new(), false)]);
        assert_eq!(of("x,"), [("x".to_owned(), false), (String::new(), false)]);
        for bad in ["\"a", "\"a\"b", "1,2,3,4,5"] {
            assert!(fields(bad).is_err(), "{bad}");
        }
    }
}
