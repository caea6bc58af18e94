//! Listings.

use super::{Profile, Verdict, key, list_all, put, target};
use crate::{EntryKind, ListRequest, Tree};

/// Sorted by key, complete, and continued at any point; a prefix is a prefix of bytes.
///
/// # Errors
/// The broken promise.
pub async fn listing(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let mut names: Vec<String> =
        (0..profile.items).map(|i| format!("listing/n{:04}/x{}", i / 7, i)).collect();
    for odd in [
        "a b",
        "a-b",
        "a/b",
        "a0",
        "a/b c/d",
        "-dash",
        "\u{6587}\u{4ef6}",
        "+%2F&?#",
        "dots..",
        "...",
        "a.b/c",
    ] {
        names.push(format!("listing/{odd}"));
    }
    for name in &names {
        put(&*lane, &target(name, 1)?, b"x").await?;
    }
    let all = list_all(tree, ListRequest { prefix: b"listing/".to_vec(), ..ListRequest::default() }).await?;
    let keys: Vec<Vec<u8>> = all.iter().map(key).collect();
    ensure!(keys.is_sorted_by(|a, b| a < b), "the listing is not in strict key order");
    let mut want: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    want.sort_unstable();
    let got: Vec<&[u8]> =
        all.iter().filter(|e| e.kind != EntryKind::Dir).map(|e| e.path.as_bytes()).collect();
    ensure!(got == want, "the listing has {} items, {} were put", got.len(), want.len());
    for (i, after) in keys.iter().enumerate() {
        let request = ListRequest {
            prefix: b"listing/".to_vec(),
            after: Some(after.clone()),
            ..ListRequest::default()
        };
        let rest: Vec<_> = list_all(tree, request).await?.iter().map(key).collect();
        ensure!(rest == keys[i + 1..], "a listing after {:?} is wrong", String::from_utf8_lossy(after));
    }
    for prefix in
        [&b"listing/a"[..], b"listing/n0001", b"listing/n0001/", b"listing/a/b c/d", b"listing/zz", b"../"]
    {
        let request = ListRequest { prefix: prefix.to_vec(), ..ListRequest::default() };
        let got: Vec<_> = list_all(tree, request).await?.iter().map(key).collect();
        let want: Vec<_> = all.iter().filter(|e| e.path.as_bytes().starts_with(prefix)).map(key).collect();
        ensure!(got == want, "the prefix {:?} gives {} entries", String::from_utf8_lossy(prefix), got.len());
    }
    Ok(())
}
