//! One page of a sorted listing.

use crate::index::Object;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// What a page asks for.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub prefix: &'a str,
    pub delimiter: Option<&'a str>,
    /// Only keys and common prefixes after this one.
    pub after: &'a str,
    pub max: usize,
}

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub objects: Vec<(String, Arc<Object>)>,
    pub prefixes: Vec<String>,
    /// The last key or common prefix of this page, when there is more.
    pub next: Option<String>,
}

/// Answers from the index; work is in proportion to the page, not to the bucket.
pub(crate) fn page(index: &BTreeMap<String, Arc<Object>>, question: &Question<'_>) -> Page {
    let mut page = Page::default();
    let mut last = String::new();
    let mut from = if question.after >= question.prefix && !question.after.is_empty() {
        Bound::Excluded(question.after.to_owned())
    } else {
        Bound::Included(question.prefix.to_owned())
    };
    while let Some((key, object)) =
        index.range::<str, _>((from.as_ref().map(String::as_str), Bound::Unbounded)).next()
    {
        let Some(rest) = key.strip_prefix(question.prefix) else { break };
        let group = question
            .delimiter
            .filter(|d| !d.is_empty())
            .and_then(|d| rest.find(d).map(|at| &key[..question.prefix.len() + at + d.len()]));
        // A common prefix at or before the start was on an earlier page.
        if let Some(group) = group.filter(|g| *g <= question.after) {
            from = beyond(group);
            continue;
        }
        if page.objects.len() + page.prefixes.len() >= question.max {
            page.next = (question.max > 0).then_some(last);
            break;
        }
        match group {
            Some(group) => {
                last = group.to_owned();
                from = beyond(group);
                page.prefixes.push(group.to_owned());
            }
            None => {
                last.clone_from(key);
                from = Bound::Excluded(key.clone());
                page.objects.push((key.clone(), object.clone()));
            }
        }
    }
    page
}

/// The first place after everything that starts with `group`.
fn beyond(group: &str) -> Bound<String> {
    let mut text = group.to_owned();
    while let Some(last) = text.pop() {
        // 0xD800..0xE000 are no characters.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            text.push(next);
            return Bound::Included(text);
        }
    }
    Bound::Excluded(group.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(keys: &[&str]) -> BTreeMap<String, Arc<Object>> {
        let object = |_| Object {
            size: 0,
            modified_ns: 0,
            etag: String::new(),
            sums: <_>::default(),
            attributes: <_>::default(),
            side: None,
        };
        keys.iter().map(|k| ((*k).to_owned(), Arc::new(object(k)))).collect()
    }

    fn walk(keys: &[&str], prefix: &str, delimiter: Option<&str>, max: usize) -> Vec<String> {
        let (index, mut after, mut all) = (index(keys), String::new(), vec![]);
        loop {
            let page = page(&index, &Question { prefix, delimiter, after: &after, max });
            let mut names: Vec<_> = page.objects.into_iter().map(|o| o.0).chain(page.prefixes).collect();
            assert!(names.len() <= max);
            names.sort();
            all.extend(names);
            match page.next {
                Some(next) => after = next,
                None => return all,
            }
        }
    }

    #[test]
    fn groups_are_counted_once_whatever_the_page_size() {
        let keys = ["a", "a/", "a/b", "a/c/d", "a0", "b/x", "b/y", "c\u{d7ff}x", "c\u{d7ff}y", "d"];
        for max in 1..12 {
            assert_eq!(
                walk(&keys, "", Some("/"), max),
                ["a", "a/", "a0", "b/", "c\u{d7ff}x", "c\u{d7ff}y", "d"]
            );
            assert_eq!(walk(&keys, "a/", Some("/"), max), ["a/", "a/b", "a/c/"]);
            assert_eq!(walk(&keys, "c", Some("\u{d7ff}"), max), ["c\u{d7ff}"]);
            assert_eq!(walk(&keys, "", None, max), keys);
        }
        assert!(walk(&keys, "", None, usize::MAX).len() == keys.len());
        assert!(
            page(&index(&keys), &Question { prefix: "", delimiter: None, after: "", max: 0 }).next.is_none()
        );
    }
}
