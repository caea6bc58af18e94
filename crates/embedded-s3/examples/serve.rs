//! Serves a directory as S3 for tests: `serve ROOT ADDRESS`, keys `test` / `test-secret`. Prints the
//! address and runs until it is killed.

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [root, address] = words.as_slice() else {
        return Err(std::io::Error::other("usage: serve ROOT ADDRESS"));
    };
    let address = address.parse().map_err(std::io::Error::other)?;
    let stop = runtime::Shutdown::new();
    let running =
        embedded_s3::EmbeddedS3::start(root.as_ref(), address, "test", "test-secret", stop.clone()).await?;
    println!("{}", running.addr);
    stop.stopped().await;
    Ok(())
}
