//! Round trips and nonsense, in every dialect.

use super::*;
use proptest::prelude::*;

fn map(m: &UserMetadata) -> HeaderMap {
    m.headers().iter().cloned().collect()
}

fn answer(of: &[(&'static str, &'static str)]) -> Meta {
    let mut h = HeaderMap::new();
    for (n, v) in of {
        h.insert(*n, HeaderValue::from_static(v));
    }
    read_metadata(&h)
}

fn some_meta() -> impl Strategy<Value = Meta> {
    let xattr = (prop::collection::vec(1_u8.., 1..20), prop::collection::vec(any::<u8>(), 0..30));
    let xattrs = prop::collection::btree_map(xattr.0, xattr.1, 0..5);
    let link =
        prop::option::of("[a-z äß文/]{1,40}".prop_filter_map("path", |p| TreePath::new(p.as_bytes()).ok()));
    let small = any::<(Option<i64>, Option<i64>, Option<u16>, Option<u32>, Option<u32>)>();
    (small, xattrs, link).prop_map(|((mtime_ns, atime_ns, mode, uid, gid), x, hard_link)| Meta {
        mtime_ns,
        atime_ns,
        mode: mode.map(|m| u32::from(m) & 0o7777),
        uid,
        gid,
        xattrs: x.into_iter().map(|(n, v)| Xattr { name: n.into(), value: v.into() }).collect(),
        symlink: None,
        hard_link,
        headers: Vec::new(),
    })
}

proptest! {
    #[test]
    fn native_keeps_everything(meta in some_meta(), dir: bool) {
        let kind = if dir { ObjectKind::Dir } else { ObjectKind::File };
        let out = MetadataDialect::Native.write(&meta, kind, None);
        prop_assert_eq!(out.dropped_xattrs, 0);
        let mut want = meta;
        want.symlink = None;
        prop_assert_eq!(read_metadata(&map(&out)), want);
    }

    #[test]
    fn the_others_keep_what_they_can(meta in some_meta()) {
        use MetadataDialect as D;
        for d in [D::Rclone, D::TencentCfs, D::AlibabaGp, D::AlibabaLingjun] {
            let back = read_metadata(&map(&d.write(&meta, ObjectKind::File, None)));
            prop_assert_eq!(back.mtime_ns, meta.mtime_ns);
            prop_assert_eq!((back.mode, back.uid, back.gid), (meta.mode, meta.uid, meta.gid));
            // All but rclone's carry our own words beside the vendor's, which keep the rest.
            if d != D::Rclone {
                prop_assert_eq!(&back.xattrs, &meta.xattrs);
                prop_assert_eq!(&back.hard_link, &meta.hard_link);
            }
        }
    }

    #[test]
    fn a_stamp_comes_back(run in "\\PC{0,20}", version in "\\PC{0,20}", size: u64) {
        let stamp = Stamp { run: run.into(), version: version.into(), size };
        let out = MetadataDialect::Rclone.write(&Meta::default(), ObjectKind::File, Some(&stamp));
        prop_assert_eq!(read_stamp(&map(&out)), Some(stamp));
    }

    #[test]
    fn nonsense_is_ignored(s in "[ -~]{0,30}") {
        let mut h = HeaderMap::new();
        for n in ["file-mtime", "afm-mtime", "alihbr-sync-mtime", "mtime", "mode", "uid", "wharf", "wharf-x-zz", "wharf-hardlink"] {
            let name = HeaderName::try_from(format!("x-oss-meta-{n}")).unwrap();
            h.insert(name, HeaderValue::try_from(&s).unwrap());
        }
        let _ = (read_metadata(&h), read_stamp(&h));
    }
}

#[test]
fn what_others_write_is_read() {
    let aws = answer(&[
        ("x-amz-meta-file-permissions", "0100644"),
        ("x-amz-meta-file-mtime", "1595002920000000001ns"),
        ("x-amz-meta-file-owner", "500"),
        ("x-amz-meta-mtime", "1"),
    ]);
    assert_eq!((aws.mode, aws.mtime_ns, aws.uid), (Some(0o644), Some(1_595_002_920_000_000_001), Some(500)));
    let rclone = answer(&[("x-amz-meta-mtime", "1700000000.123456789"), ("x-amz-meta-mode", "100664")]);
    assert_eq!((rclone.mtime_ns, rclone.mode), (Some(1_700_000_000_123_456_789), Some(0o664)));
    let fuse = answer(&[("x-cos-meta-mode", "33188"), ("x-cos-meta-mtime", "1700000000")]);
    assert_eq!((fuse.mode, fuse.mtime_ns), (Some(0o644), Some(1_700_000_000_000_000_000)));
    for unit in ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000"] {
        let mut h = HeaderMap::new();
        h.insert("x-oss-meta-alihbr-sync-mtime", HeaderValue::from_static(unit));
        assert_eq!(read_metadata(&h).mtime_ns, Some(1_700_000_000_000_000_000));
    }
}

#[test]
fn the_dialects_win_in_their_fixed_order() {
    let all = [
        ("x-obs-meta-mtime", "4"),
        ("x-oss-meta-alihbr-sync-mtime", "3"),
        ("x-oss-meta-afm-mtime", "2"),
        ("x-amz-meta-file-mtime", "1ns"),
    ];
    for (n, want) in [(1, 4_000_000_000), (2, 3_000_000_000), (3, 2_000_000_000), (4, 1)] {
        assert_eq!(answer(&all[..n]).mtime_ns, Some(want));
    }
}

#[test]
fn what_other_tools_said_of_an_object_goes_along() {
    let said = [
        ("x-oss-meta-mtime", "1700000000.5"),
        ("x-amz-meta-colour", "gr\u{fc}n"),
        ("x-amz-meta-file-mtime", "1ns"),
        ("x-amz-meta-wharf", "old;1;etag"),
        ("content-type", "text/css"),
        ("content-encoding", "aws-chunked, gzip"),
        ("cache-control", "max-age=60"),
        ("content-disposition", "attachment; filename=\"gr\u{fc}n\""),
        ("etag", "no"),
    ];
    let mut h = HeaderMap::new();
    for (n, v) in said {
        h.insert(n, HeaderValue::from_bytes(v.as_bytes()).unwrap());
    }
    let meta = read_metadata(&h);
    let stamp = Stamp { run: "r".into(), size: 5, version: "v".into() };
    let out = map(&MetadataDialect::Native.write(&meta, ObjectKind::File, Some(&stamp)));
    let text = |n: &str| out.get(n).map(|v| String::from_utf8(v.as_bytes().to_vec()).unwrap());
    for (name, value) in [
        ("x-amz-meta-mtime", "1700000000.5"),
        ("x-amz-meta-colour", "gr\u{fc}n"),
        ("x-amz-meta-file-mtime", "1ns"),
        ("x-amz-meta-wharf", "r;5;v"),
        ("content-type", "text/css"),
        ("content-encoding", "gzip"),
        ("cache-control", "max-age=60"),
        ("content-disposition", "attachment; filename=\"gr\u{fc}n\""),
    ] {
        assert_eq!(text(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(out.len(), 8);
    assert_eq!(read_metadata(&out), meta);
}

#[test]
fn full_user_metadata_of_others_stays_whole_and_our_mark_gives_way() {
    let mut h = HeaderMap::new();
    h.insert("x-amz-meta-all", HeaderValue::try_from("x".repeat(LIMIT - 3)).unwrap());
    let stamp = Stamp { run: "r".into(), size: 5, version: "v".into() };
    let out = map(&MetadataDialect::Native.write(&read_metadata(&h), ObjectKind::File, Some(&stamp)));
    assert_eq!(out, h);
}

#[test]
fn words_of_others_that_can_not_be_kept_are_told() {
    let lost = |headers: &[(&str, String)]| {
        let headers = headers.iter().map(|(n, v)| ((*n).into(), v.as_str().into())).collect();
        let meta = Meta { headers, ..Meta::default() };
        let out = MetadataDialect::Native.write(&meta, ObjectKind::File, None);
        out.lost().map(str::to_owned)
    };
    let long = || "x".repeat(LIMIT - 1);
    assert_eq!(lost(&[("x-amz-meta-a", long())]), None);
    assert_eq!(
        lost(&[("x-amz-meta-a", long()), ("x-amz-meta-b", "x".into())]).as_deref(),
        Some("x-amz-meta-b")
    );
    assert_eq!(lost(&[("content-type", "a\nb".into())]).as_deref(), Some("content-type"));
    assert_eq!(lost(&[("a b", "x".into())]).as_deref(), Some("a b"));
    assert_eq!(lost(&[("content-language", "gr\u{fc}n".into())]), None);
}

#[test]
fn a_symlink_is_told_by_its_mode() {
    let meta = Meta { symlink: Some(b"../x".as_slice().into()), ..Meta::default() };
    let out = MetadataDialect::Native.write(&meta, ObjectKind::File, None);
    let back = read_metadata(&map(&out));
    assert_eq!((back.symlink, back.mode), (Some(Box::default()), Some(0o777)));
}

#[test]
fn attributes_that_do_not_fit_are_counted() {
    let x = |n: u8, len| Xattr { name: vec![b'u', n].into(), value: vec![7; len].into() };
    let meta = Meta { mode: Some(0o600), xattrs: vec![x(1, 1000), x(2, 1000), x(3, 10)], ..Meta::default() };
    let out = MetadataDialect::Native.write(&meta, ObjectKind::File, None);
    assert_eq!(out.dropped_xattrs, 1);
    let back = read_metadata(&map(&out));
    assert_eq!(back.xattrs.iter().map(|x| x.name[1]).collect::<Vec<_>>(), [1, 3]);
}
