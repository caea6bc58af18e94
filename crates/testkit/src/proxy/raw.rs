//! Copying bytes between two sockets, harming whole connections.

use super::script::Action;
use super::{FOREVER, Shared, reset};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(super) async fn serve(mut client: TcpStream, shared: Shared) -> std::io::Result<()> {
    let action = shared.decide("CONNECT");
    match action {
        Action::Reset | Action::Status(_) => {
            reset(&client);
            return Ok(());
        }
        Action::BlackHole => {
            tokio::time::sleep(FOREVER).await;
            return Ok(());
        }
        Action::Delay(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        _ => {}
    }
    let mut upstream = TcpStream::connect(shared.upstream).await?;
    upstream.set_nodelay(true)?;
    let rate = if let Action::Rate(rate) = action { Some(rate) } else { None };
    let (up, down) = match action {
        Action::CutRequest(n) => (n, u64::MAX),
        Action::CutResponse(n) => (u64::MAX, n),
        Action::DropResponse => (u64::MAX, 0),
        _ => (u64::MAX, u64::MAX),
    };
    let cut = {
        let (client_read, client_write) = client.split();
        let (upstream_read, upstream_write) = upstream.split();
        let to_upstream = copy(client_read, upstream_write, up, rate);
        let to_client = copy(upstream_read, client_write, down, rate);
        tokio::pin!(to_upstream, to_client);
        // A direction that was cut ends both; one that ended by itself lets the other finish.
        tokio::select! {
            cut = &mut to_upstream => cut? || to_client.await?,
            cut = &mut to_client => cut? || to_upstream.await?,
        }
    };
    if cut {
        reset(&client);
    }
    Ok(())
}

/// Copies until the end or `limit` bytes; says whether the limit ended it.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    limit: u64,
    rate: Option<u64>,
) -> std::io::Result<bool> {
    let (mut buffer, mut left) = (vec![0; 16 << 10], limit);
    while left > 0 {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            to.shutdown().await?;
            return Ok(false);
        }
        let n = n.min(usize::try_from(left).unwrap_or(usize::MAX));
        to.write_all(&buffer[..n]).await?;
        left -= n as u64;
        if let Some(rate) = rate {
            tokio::time::sleep(Duration::from_millis(n as u64 * 1000 / rate)).await;
        }
    }
    Ok(true)
}
