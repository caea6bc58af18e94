//! The starters of real peers: up, usable, gone afterwards.

use testkit::peers;
use testkit::s3::Request;

#[test]
fn seaweedfs_checks_signatures_and_keeps_objects() {
    let weed = match peers::seaweedfs() {
        Ok(weed) => weed,
        Err(reason) => return println!("SKIPPED: {reason}"),
    };
    weed.client.create_bucket("bucket").unwrap();
    for n in 0..30 {
        weed.client.put("bucket", &format!("a b/ü+{n:02}"), b"body").unwrap();
    }
    let keys = weed.client.keys("bucket", "a b/").unwrap();
    assert_eq!(keys, (0..30).map(|n| format!("a b/ü+{n:02}")).collect::<Vec<_>>());
    assert_eq!(weed.client.get("bucket", "a b/ü+07").unwrap(), b"body");
    let thief = testkit::s3::Client { secret_key: "wrong".to_owned(), ..weed.client.clone() };
    assert_eq!(
        thief.send(&Request { method: "GET", bucket: "bucket", ..Request::default() }).unwrap().status,
        403
    );
    let addr = weed.client.addr;
    drop(weed);
    assert!(!peers::listens(addr));
}

#[test]
fn postgres_gives_databases() {
    let postgres = match peers::postgres() {
        Ok(postgres) => postgres,
        Err(reason) => return println!("SKIPPED: {reason}"),
    };
    let url = postgres.database("one").unwrap();
    assert!(url.ends_with("/one"));
    assert!(postgres.database("one").is_err());
}
