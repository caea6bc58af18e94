//! ListObjectsV2.

use connector::ErrorKind;
use http::Method;

use crate::civil;
use crate::client::{Call, Client};
use crate::escape::decode_listed;
use crate::fault::Fault;
use crate::xml::{self, Node};

/// What to list. Everything is optional but the bucket.
#[derive(Debug, Clone, Default)]
pub struct ListQuery<'a> {
    /// Only keys that start so.
    pub prefix: &'a str,
    /// Only keys greater than this one.
    pub start_after: Option<&'a str>,
    /// Where the last page ended.
    pub token: Option<&'a str>,
    /// Roll up keys that have this after the prefix.
    pub delimiter: Option<&'a str>,
    /// Page size; the server's own (1,000) when 0.
    pub max_keys: u32,
}

/// An object as a listing tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListedObject {
    /// The whole key.
    pub key: Vec<u8>,
    /// Bytes.
    pub size: u64,
    /// ETag without quotes.
    pub etag: Option<Box<str>>,
    /// `LastModified`, ns since the epoch; 0 when it can't be read.
    pub modified_ns: i64,
}

/// A page of a listing.
#[derive(Debug, Clone, Default)]
pub struct ListPage {
    /// Objects in the server's order.
    pub objects: Vec<ListedObject>,
    /// Common prefixes in the server's order.
    pub prefixes: Vec<Vec<u8>>,
    /// Token of the next page.
    pub next: Option<String>,
    /// The `Server` header.
    pub server: Option<Box<str>>,
}

impl Client {
    /// One page of a bucket's keys.
    ///
    /// # Errors
    /// `NotFound` no such bucket, `Denied`, `Unavailable`, `Other` an answer that can't be read.
    pub async fn list_objects(&self, bucket: &str, query: &ListQuery<'_>) -> Result<ListPage, Fault> {
        let max_keys = query.max_keys.to_string();
        let mut pairs = Vec::with_capacity(7);
        if let Some(t) = query.token {
            pairs.push(("continuation-token", t));
        }
        if let Some(d) = query.delimiter {
            pairs.push(("delimiter", d));
        }
        pairs.push(("encoding-type", "url"));
        pairs.push(("list-type", "2"));
        if query.max_keys > 0 {
            pairs.push(("max-keys", max_keys.as_str()));
        }
        pairs.push(("prefix", query.prefix));
        if let (Some(s), None) = (query.start_after, query.token) {
            pairs.push(("start-after", s));
        }
        let answer = self.call(Call::new(Method::GET, bucket, "").query(&pairs)).await?;
        let server = answer.text(&http::header::SERVER).map(Into::into);
        let body = answer.xml().await?;
        let page = parse(&body).map_err(|f| f.context(format_args!("listing {bucket}")))?;
        Ok(ListPage { server, ..page })
    }
}

fn parse(body: &[u8]) -> Result<ListPage, Fault> {
    let mut page = ListPage { objects: Vec::with_capacity(1000), ..ListPage::default() };
    let (mut truncated, mut encoded, mut root, mut bad_size) = (false, false, false, false);
    xml::walk(body, |depth, node| match (depth, node) {
        (1, Node::Open(name)) => root = name == "ListBucketResult",
        (2, Node::Open("Contents")) => page.objects.push(ListedObject::default()),
        (2, Node::Close("IsTruncated", t)) => truncated = t.trim() == "true",
        (2, Node::Close("NextContinuationToken", t)) => page.next = Some(t.to_owned()),
        (2, Node::Close("EncodingType", t)) => encoded = t.trim() == "url",
        (3, Node::Close("Prefix", t)) => page.prefixes.push(t.as_bytes().to_vec()),
        (3, Node::Close(name, t)) => {
            let Some(o) = page.objects.last_mut() else { return };
            match name {
                "Key" => o.key = t.as_bytes().to_vec(),
                "Size" => match t.trim().parse() {
                    Ok(n) => o.size = n,
                    Err(_) => bad_size = true,
                },
                "ETag" => o.etag = Some(xml::etag(t)).filter(|e| !e.is_empty()),
                "LastModified" => o.modified_ns = civil::parse_iso(t.trim()).unwrap_or(0),
                _ => {}
            }
        }
        _ => {}
    })?;
    if !root || bad_size || (truncated && page.next.is_none()) {
        return Err(Fault::new(ErrorKind::Other, "the server's answer is not a listing"));
    }
    if !truncated {
        page.next = None;
    }
    if encoded {
        decode(&mut page);
    }
    Ok(page)
}

fn decode(page: &mut ListPage) {
    for key in page.objects.iter_mut().map(|o| &mut o.key).chain(&mut page.prefixes) {
        if key.iter().any(|b| matches!(b, b'%' | b'+')) {
            *key = decode_listed(&String::from_utf8_lossy(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read() {
        let xml = br#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
<Prefix>p%2F</Prefix><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>
<Contents><Key>p/a+b%0A</Key><ETag>&#34;x-2&#34;</ETag><Size>5</Size><Owner><ID>i</ID></Owner><LastModified>2026-11-22T13:08:44.000Z</LastModified></Contents>
<CommonPrefixes><Prefix>p/q%2F</Prefix></CommonPrefixes><NextContinuationToken>t%2F</NextContinuationToken></ListBucketResult>"#;
        let page = parse(xml).unwrap();
        assert_eq!(page.objects[0].key, b"p/a b\n");
        assert_eq!(page.objects[0].etag.as_deref(), Some("x-2"));
        assert_eq!((page.objects[0].size, page.objects[0].modified_ns), (5, 1_795_352_924_000_000_000));
        assert_eq!(page.prefixes, [b"p/q/".to_vec()]);
        assert_eq!(page.next.as_deref(), Some("t%2F"));
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        for bad in [
            "<html></html>",
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
