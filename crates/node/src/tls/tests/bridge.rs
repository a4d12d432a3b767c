//! Bytes, ends and breaks, from one side of the bridge to the other.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::*;

/// A client, the end that is served, and the bridge between them.
async fn bridged() -> (client::TlsStream<TcpStream>, UnixStream, Bridge) {
    let issued = Issued::new();
    let (tls, _) = issued.tls();
    let (client, server) = shaken(&issued.client(ALL_VERSIONS, &[]), &tls.rtmps).await;
    let (served, bridge) = Bridge::start(server.unwrap()).unwrap();
    (client.unwrap(), served, bridge)
}

fn pattern(length: usize) -> Vec<u8> {
    (0u8..=250).cycle().take(length).collect()
}

#[tokio::test]
async fn megabytes_cross_in_both_directions_at_once() {
    let (client, served, bridge) = bridged().await;
    let sent = pattern(5 << 20);
    let (mut client_in, mut client_out) = tokio::io::split(client);
    let (mut served_in, mut served_out) = served.into_split();
    let (mut down, mut up) = (Vec::new(), Vec::new());
    let all = async {
        tokio::join!(
            async {
                client_out.write_all(&sent).await.unwrap();
                client_out.shutdown().await.unwrap();
            },
            async {
                served_out.write_all(&sent).await.unwrap();
                served_out.shutdown().await.unwrap();
            },
            async { client_in.read_to_end(&mut down).await.unwrap() },
            async { served_in.read_to_end(&mut up).await.unwrap() },
        )
    };
    timeout(PATIENCE, all).await.unwrap();
    assert!(down == sent && up == sent);
    timeout(PATIENCE, bridge.finish()).await.unwrap();
}

#[tokio::test]
async fn the_end_of_one_direction_leaves_the_other_open() {
    let (mut client, mut served, _bridge) = bridged().await;
    client.write_all(b"last").await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    served.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"last");
    served.write_all(b"answer").await.unwrap();
    served.shutdown().await.unwrap();
    got.clear();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"answer");
}

#[tokio::test]
async fn what_was_written_before_the_served_end_dropped_still_arrives() {
    let (mut client, mut served, bridge) = bridged().await;
    // More than the client reads at first, and bytes that nobody will ever read.
    client.write_all(b"unread").await.unwrap();
    let sent = pattern(100_000);
    served.write_all(&sent).await.unwrap();
    drop(served);
    let read = async {
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        drop(client);
        got
    };
    let (got, ()) = tokio::join!(timeout(PATIENCE, read), bridge.finish());
    assert!(got.unwrap() == sent);
}

#[tokio::test]
async fn a_peer_that_vanishes_is_the_end_of_the_stream() {
    let (client, mut served, _bridge) = bridged().await;
    // No goodbye of TLS: the socket is gone.
    let (socket, _) = client.into_inner();
    drop(socket);
    let read = timeout(PATIENCE, served.read(&mut [0])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_read_for() {
    let (_client, served, bridge) = bridged().await;
    let chunk = pattern(64 << 10);
    let mut taken = 0;
    // Until a whole second passes in which nothing moves.
    while let Ok(writable) = timeout(Duration::from_secs(1), served.writable()).await {
        writable.unwrap();
        taken += served.try_write(&chunk).unwrap_or(0);
        assert!(taken < 64 << 20, "it takes everything");
    }
    drop(served);
    // The last bytes cannot go out; that is not waited for longer than a moment.
    timeout(PATIENCE, bridge.finish()).await.unwrap();
}

#[tokio::test]
async fn a_dropped_bridge_ends_both_sides() {
    let (mut client, mut served, bridge) = bridged().await;
    drop(bridge);
    let (mut from_client, mut from_served) = ([0], [0]);
    let both = async { tokio::join!(client.read(&mut from_client), served.read(&mut from_served)) };
    let (client, served) = timeout(PATIENCE, both).await.unwrap();
    assert!(matches!(client, Ok(0) | Err(_)));
    assert!(matches!(served, Ok(0) | Err(_)));
}
