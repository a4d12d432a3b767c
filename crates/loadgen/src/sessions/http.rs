//! One HTTP request a connection, as a client asks the gateway before it joins.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The body of a POST's answer.
///
/// # Errors
/// When there is no answer, or its status is not 200.
pub(crate) async fn post(node: SocketAddr, path: &str, body: &str) -> anyhow::Result<String> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {node}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    exchange(node, &head).await
}

/// The body of a GET's answer.
///
/// # Errors
/// When there is no answer, or its status is not 200.
pub(crate) async fn get(node: SocketAddr, path: &str) -> anyhow::Result<String> {
    // 1.0, because its answers never come in chunks.
    exchange(
        node,
        &format!("GET {path} HTTP/1.0\r\nhost: {node}\r\n\r\n"),
    )
    .await
}

async fn exchange(node: SocketAddr, request: &str) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect(node)
        .await
        .with_context(|| format!("connecting to {node}"))?;
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.lines().next().unwrap_or_default();
    anyhow::ensure!(status.contains(" 200 "), "HTTP answered {status}");
    Ok(body.to_owned())
}
