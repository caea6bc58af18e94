//! Reading of a JSONPath expression.

use super::{Expression, Path, Pick, Piece, Step};

/// Letters of an expression at most.
const MAX_TEXT: usize = 1024;
/// Functions inside functions at most.
const MAX_DEPTH: usize = 8;

/// Reads a whole expression.
pub fn expression(text: &str) -> Result<Expression, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("a JSONPath is longer than {MAX_TEXT} bytes"));
    }
    let mut reader = Reader { text, at: 0 };
    let read = reader.expression(0)?;
    // The vendor's own example of concat closes one bracket more than it opens.
    if matches!(read, Expression::Concat(_)) {
        reader.white();
        reader.take(')');
    }
    reader.white();
    if reader.rest().is_empty() {
        Ok(read)
    } else {
        Err(format!("not JSONPath at byte {}: {:?}", reader.at, reader.rest()))
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.at += wanted.len_utf8();
        }
        there
    }

    fn white(&mut self) {
        while self.take(' ') {}
    }

    fn wrong(&self, what: &str) -> String {
        format!("{what} at byte {} of the JSONPath {:?}", self.at, self.text)
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("functions nested too deep"));
        }
        self.white();
        if !self.take('$') {
            return Err(self.wrong("a JSONPath begins with $:"));
        }
        let mut path = Path::default();
        loop {
            if self.rest().starts_with("..") {
                self.at += 2;
                let pick = if self.take('[') { self.bracket()? } else { self.name()? };
                path.steps.push(Step { deep: true, pick });
            } else if self.take('.') {
                if let Some(name) = self.function() {
                    return self.call(name, path, depth);
                }
                let pick = self.name()?;
                path.steps.push(Step { deep: false, pick });
            } else if self.take('[') {
                let pick = self.bracket()?;
                path.steps.push(Step { deep: false, pick });
            } else {
                return Ok(Expression::Path(path));
            }
        }
    }

    /// The name before an opening bracket, if that is what comes.
    fn function(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric())?;
        let name = rest.get(..end)?;
        if name.is_empty() || !rest.get(end..)?.starts_with('(') {
            return None;
        }
        self.at += end + 1;
        Some(name)
    }

    fn call(&mut self, name: &str, path: Path, depth: usize) -> Result<Expression, String> {
        match name {
            "length" | "size" => {
                self.white();
                if !self.take(')') || !path.definite() {
                    return Err(self.wrong("length() takes nothing and follows the path of one value:"));
                }
                Ok(Expression::Length(path))
            }
            "concat" if path.steps.is_empty() => {
                let mut pieces = Vec::new();
                loop {
                    self.white();
                    pieces.push(match self.peek() {
                        Some(quote @ ('"' | '\'')) => Piece::Text(self.quoted(quote)?),
                        _ => Piece::Of(self.expression(depth + 1)?),
                    });
                    self.white();
                    if self.take(')') {
                        return Ok(Expression::Concat(pieces));
                    }
                    if !self.take(',') {
                        return Err(self.wrong("a comma or ) is expected"));
                    }
                }
            }
            other => {
                Err(self.wrong(&format!("the function {other}() isn't supported here (concat, length are)")))
            }
        }
    }

    fn name(&mut self) -> Result<Pick, String> {
        if self.take('*') {
            return Ok(Pick::Any);
        }
        let rest = self.rest();
        let end = rest.find(['.', '[', ']', '(', ')', ',', ' ', '\'', '"']).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.wrong("a name is expected"));
        }
        self.at += end;
        Ok(Pick::Name(rest.get(..end).unwrap_or_default().to_owned()))
    }

    /// What stands between brackets, and the closing one.
    fn bracket(&mut self) -> Result<Pick, String> {
        self.white();
        let pick = match self.peek() {
            Some('*') => {
                self.at += 1;
                Pick::Any
            }
            Some('?' | '(') => return Err(self.wrong("filters and scripts aren't supported")),
            Some('"' | '\'') => self.names()?,
            _ => self.indexes()?,
        };
        self.white();
        if self.take(']') { Ok(pick) } else { Err(self.wrong("] is expected")) }
    }

    fn names(&mut self) -> Result<Pick, String> {
        let mut names = Vec::new();
        loop {
            self.white();
            match self.peek() {
                Some(quote @ ('"' | '\'')) => names.push(self.quoted(quote)?),
                _ => return Err(self.wrong("a name in quotes is expected")),
            }
            self.white();
            if !self.take(',') {
                break;
            }
        }
        Ok(match <[String; 1]>::try_from(names) {
            Ok([name]) => Pick::Name(name),
            Err(names) => Pick::Names(names),
        })
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, escaped)) => out.push(escaped),
                    None => break,
                },
                c if c == quote => {
                    self.at += i + 1;
                    return Ok(out);
                }
                c => out.push(c),
            }
        }
        Err(self.wrong("the quotes have no end"))
    }

    fn indexes(&mut self) -> Result<Pick, String> {
        let first = self.number()?;
        self.white();
        if self.take(':') {
            self.white();
            let to = self.number()?;
            self.white();
            let by = if self.take(':') { self.number()?.unwrap_or(1) } else { 1 };
            if by < 1 {
                return Err(self.wrong("the step of a slice is less than 1"));
            }
            return Ok(Pick::Slice { from: first, to, by });
        }
        let Some(first) = first else { return Err(self.wrong("an index is expected")) };
        let mut indexes = vec![first];
        while self.take(',') {
            self.white();
            match self.number()? {
                Some(index) => indexes.push(index),
                None => return Err(self.wrong("an index is expected")),
            }
            self.white();
        }
        Ok(if indexes.len() == 1 { Pick::Index(first) } else { Pick::Indexes(indexes) })
    }

    fn number(&mut self) -> Result<Option<i64>, String> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(rest.len());
        let digits = rest.get(..end).unwrap_or_default();
        if digits.is_empty() {
            return Ok(None);
        }
        // A place beyond 32 bits can't be there, and sums of such stay in 64.
        let number = digits.parse::<i32>().map_err(|_| self.wrong("a number is malformed"))?;
        self.at += end;
        Ok(Some(i64::from(number)))
    }
}
