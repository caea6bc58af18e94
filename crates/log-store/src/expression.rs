//! A query as people write it: `action=REJECT dstport>=1024 srcaddr^=10.0. "connection refused"`.
//!
//! Pieces are separated by spaces, and all have to hold. `field=value` with the signs `= != < <= > >= ^=` (begins with) is a condition on a field;
//! `field=*` asks whether it is there, `field!=*` whether it is not, `field=abc*` is `field^=abc`. Anything else is a text to look for.
//! Quotes keep spaces and signs together; inside them `\` goes before a quote or another `\`.

use crate::query::{Filter, Operator};
use crate::{Error, Result};

/// What an expression asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expression {
    /// Conditions on fields.
    pub filters: Vec<Filter>,
    /// Texts.
    pub phrases: Vec<String>,
}

/// The signs, the longer ones first.
const SIGNS: [&str; 7] = ["!=", "<=", ">=", "^=", "=", "<", ">"];

/// Reads an expression.
///
/// # Errors
/// `Invalid`.
pub fn parse(text: &str) -> Result<Expression> {
    let mut out = Expression::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = piece(rest, &mut out)?.trim_start();
    }
    Ok(out)
}

fn invalid<T>(words: impl Into<String>) -> Result<T> {
    Err(Error::Invalid(words.into()))
}

/// Reads one piece; what is left comes back.
fn piece<'t>(rest: &'t str, out: &mut Expression) -> Result<&'t str> {
    let (word, quoted, after) = value(rest, true)?;
    if quoted && !starts_with_sign(after) {
        out.phrases.push(word);
        return Ok(after);
    }
    let Some(sign) = SIGNS.into_iter().find(|s| after.starts_with(s)) else {
        match word.as_str() {
            "AND" => {}
            "OR" | "NOT" => return invalid(format!("{word} is not understood: all pieces have to hold")),
            _ => out.phrases.push(word),
        }
        return Ok(after);
    };
    if word.is_empty() {
        return invalid(format!("a field is missing before {sign}"));
    }
    let after = after.strip_prefix(sign).unwrap_or(after);
    let (value, quoted, after) = value(after, false)?;
    out.filters.push(filter(word, sign, value, quoted)?);
    Ok(after)
}

fn starts_with_sign(text: &str) -> bool {
    SIGNS.iter().any(|s| text.starts_with(s))
}

fn filter(field: String, sign: &str, value: String, quoted: bool) -> Result<Filter> {
    let operator = Operator::named(sign).unwrap_or(Operator::Equal);
    let star = if quoted { None } else { value.strip_suffix('*') };
    let (operator, value) = match (operator, star) {
        (Operator::Equal, Some("")) => (Operator::Exists, String::new()),
        (Operator::NotEqual, Some("")) => (Operator::Missing, String::new()),
        (Operator::Equal, Some(prefix)) => (Operator::Prefix, prefix.to_owned()),
        (Operator::Equal | Operator::NotEqual, None) if value.is_empty() && !quoted => {
            return invalid(format!("a value is missing after {field}{sign}"));
        }
        _ => (operator, value),
    };
    Ok(Filter { field, operator, value })
}

/// A word or a quoted text. A word that may be a field ends at a sign.
fn value(rest: &str, may_be_field: bool) -> Result<(String, bool, &str)> {
    let Some(inside) = rest.strip_prefix('"') else {
        let ends = |(at, c): (usize, char)| {
            c.is_whitespace() || (may_be_field && rest.get(at..).is_some_and(starts_with_sign))
        };
        let end = rest.char_indices().find(|p| ends(*p)).map_or(rest.len(), |(at, _)| at);
        let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        return Ok((word.to_owned(), false, after));
    };
    let mut out = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((out, true, inside.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => out.push(c),
                Some((_, c)) => out.extend(['\\', c]),
                None => break,
            },
            c => out.push(c),
        }
    }
    invalid("a quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_conditions_or_texts() {
        let e = parse(
            r#" action=REJECT dstport>=1024 a!="x \"y" AND srcaddr=10.0.* "connection refused" ip=* "f g"=1 no!=* fd00::1 "#,
        );
        let e = e.unwrap();
        let shown: Vec<_> = e
            .filters
            .iter()
            .map(|f| {
                let sign = Operator::ALL.iter().find(|(_, o)| *o == f.operator).unwrap().0;
                format!("{} {sign} {}", f.field, f.value)
            })
            .collect();
        let want = [
            "action = REJECT",
            "dstport >= 1024",
            "a != x \"y",
            "srcaddr ^= 10.0.",
            "ip exists ",
            "f g = 1",
            "no missing ",
        ];
        assert_eq!(shown, want);
        assert_eq!(e.phrases, ["connection refused", "fd00::1"]);
        assert_eq!(parse("").unwrap(), Expression::default());
        for bad in ["=x", "a=", "\"open", "a OR b", "NOT a"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
