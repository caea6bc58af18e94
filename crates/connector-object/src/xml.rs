//! Reading the XML that S3 servers answer with.
//!
//! A pull parser walks the text once and tells a visitor of every element that ends, with its depth and
//! its text; nothing is built. Depth is bounded, unknown entities and unbalanced tags are errors, and the
//! size is bounded by whoever read the body.

use connector::{Error, ErrorKind, Result};
use quick_xml::Reader;
use quick_xml::events::Event;

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 16;

/// What the visitor hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    /// An element begins.
    Open(&'a str),
    /// An element without child elements, or the rest of one with them, ends with this text.
    Close(&'a str, &'a str),
}

/// Walks `body`; depth 1 is the root element.
pub(crate) fn walk(body: &[u8], mut visit: impl FnMut(usize, Node<'_>)) -> Result<()> {
    let bad = |why: String| Error::new(ErrorKind::Other, format!("the server's XML can't be read: {why}"));
    let text = std::str::from_utf8(body).map_err(|e| bad(e.to_string()))?;
    let mut reader = Reader::from_str(text);
    let mut gathered = String::new();
    let (mut depth, mut roots) = (0_usize, 0_usize);
    loop {
        match reader.read_event().map_err(|e| bad(e.to_string()))? {
            Event::Start(e) => {
                depth += 1;
                roots += usize::from(depth == 1);
                if depth > MAX_DEPTH || roots > 1 {
                    return Err(bad("nested too deep, or more than one root".to_owned()));
                }
                gathered.clear();
                visit(depth, Node::Open(e.local_name().as_ref()));
            }
            Event::Empty(e) => {
                roots += usize::from(depth == 0);
                visit(depth + 1, Node::Open(e.local_name().as_ref()));
                visit(depth + 1, Node::Close(e.local_name().as_ref(), ""));
            }
            Event::End(e) => {
                visit(depth, Node::Close(e.local_name().as_ref(), &gathered));
                gathered.clear();
                depth = depth.saturating_sub(1);
            }
            Event::Text(t) => gathered.push_str(&t),
            Event::CData(t) => gathered.push_str(&t),
            Event::GeneralRef(r) => match r.resolve_char_ref().map_err(|e| bad(e.to_string()))? {
                Some(c) => gathered.push(c),
                None => gathered.push(named(&r).ok_or_else(|| bad(format!("unknown entity {}", &*r)))?),
            },
            Event::Eof if depth == 0 && roots == 1 => return Ok(()),
            Event::Eof => return Err(bad("it ends early".to_owned())),
            _ => {}
        }
    }
}

fn named(entity: &str) -> Option<char> {
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

/// Code and message of an error document.
pub(crate) fn parse_error(body: &[u8]) -> Option<(String, String)> {
    let (mut code, mut message, mut root) = (String::new(), String::new(), false);
    let walked = walk(body, |depth, node| match node {
        Node::Open("Error") if depth == 1 => root = true,
        Node::Close("Code", t) if depth == 2 => code = t.trim().to_owned(),
        Node::Close("Message", t) if depth == 2 => message = t.trim().to_owned(),
        _ => {}
    });
    (walked.is_ok() && root).then_some((code, message))
}

/// ETag text without its quotes.
pub(crate) fn etag(text: &str) -> Box<str> {
    text.trim().trim_start_matches("W/").trim_matches('"').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_and_markup_inside_text_are_put_together() {
        let mut seen = Vec::new();
        let xml = b"<a xmlns=\"x\"><b>&#34;x&amp;y&#x0A;</b><c/><d><![CDATA[<z>]]></d></a>";
        walk(xml, |d, n| {
            if let Node::Close(name, t) = n {
                seen.push((d, name.to_owned(), t.to_owned()));
            }
        })
        .unwrap();
        let want = [(2, "b", "\"x&y\n"), (2, "c", ""), (2, "d", "<z>"), (1, "a", "")];
        assert_eq!(seen, want.map(|(d, n, t)| (d, n.to_owned(), t.to_owned())));
    }

    #[test]
    fn broken_documents_are_errors() {
        for bad in
            [&b""[..], b"<a>", b"<a></b>", b"<a>&nope;</a>", b"<a/><b/>x</c>", b"\xff", b"<a></a><b></b>"]
        {
            assert!(walk(bad, |_, _| {}).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(walk("<x>".repeat(99).as_bytes(), |_, _| {}).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(b: Vec<u8>) {
            let _ = walk(&b, |_, _| {});
            let _ = parse_error(&b);
        }

        #[test]
        fn no_near_xml_makes_it_panic(s in "(<[a-c]>|</[a-c]>|&[a-z#0-9]{0,4};?|[<>&!\\[\\]?/a-c \"'-]){0,30}") {
            let _ = walk(s.as_bytes(), |_, _| {});
        }
    }
}
