//! The fault proxy as a program: `fault-proxy http|raw LISTEN UPSTREAM CONTROL`.
//! Prints "LISTEN CONTROL" with the real ports and runs until it is killed.

use std::net::SocketAddr;
use testkit::{Mode, Proxy};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mode, listen, upstream, control] = words.as_slice() else {
        return Err(std::io::Error::other("usage: fault-proxy http|raw LISTEN UPSTREAM CONTROL"));
    };
    let mode = match mode.as_str() {
        "http" => Mode::Http,
        "raw" => Mode::Raw,
        _ => return Err(std::io::Error::other("the mode is http or raw")),
    };
    let address = |text: &str| text.parse::<SocketAddr>().map_err(std::io::Error::other);
    let proxy = Proxy::start(address(listen)?, address(upstream)?, mode).await?;
    let control = proxy.control(address(control)?).await?;
    println!("{} {control}", proxy.addr);
    runtime::Shutdown::new().stopped().await;
    Ok(())
}
