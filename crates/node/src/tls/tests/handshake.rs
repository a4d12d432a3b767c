//! Which clients get in, and what becomes of the others.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::*;

#[tokio::test]
async fn both_versions_are_spoken() {
    let issued = Issued::new();
    let (tls, _) = issued.tls();
    for (offered, expected) in [
        (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&TLS13], ProtocolVersion::TLSv1_3),
        (&[&TLS12, &TLS13], ProtocolVersion::TLSv1_3),
    ] {
        let (client, server) = shaken(&issued.client(offered, &[]), &tls.https).await;
        client.unwrap();
        let version = server.unwrap().get_ref().1.protocol_version();
        assert_eq!(version, Some(expected));
    }
}

#[tokio::test]
async fn https_speaks_http_2_or_1_1_where_a_client_names_protocols_and_rtmps_does_not_ask() {
    let issued = Issued::new();
    let (tls, _) = issued.tls();
    for (offered, picked) in [
        (&["http/1.1", "h2"][..], Some(HTTP_2)),
        (&["h2"], Some(HTTP_2)),
        (&["http/1.1"], Some(HTTP_1_1)),
        (&[], None),
    ] {
        let (client, server) = shaken(&issued.client(ALL_VERSIONS, offered), &tls.https).await;
        client.unwrap();
        assert_eq!(server.unwrap().get_ref().1.alpn_protocol(), picked);
    }
    let other = issued.client(ALL_VERSIONS, &["spdy/3"]);
    let (client, server) = shaken(&other, &tls.https).await;
    let told = client.unwrap_err().to_string();
    assert!(told.contains("NoApplicationProtocol"), "{told}");
    assert_eq!(server.unwrap_err().label(), "tls");
    let (client, server) = shaken(&other, &tls.rtmps).await;
    client.unwrap();
    server.unwrap();
}

/// Gives the bytes of a client's hello.
async fn hello(issued: &Issued) -> Vec<u8> {
    let (near, mut far) = sockets().await;
    let connector = issued.client(ALL_VERSIONS, &[]);
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = tokio::spawn(async move { connector.connect(name, near).await.map(drop) });
    let mut head = [0; 5];
    far.read_exact(&mut head).await.unwrap();
    let mut hello = head.to_vec();
    let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
    hello.resize(5 + length, 0);
    far.read_exact(&mut hello[5..]).await.unwrap();
    connecting.abort();
    hello
}

#[tokio::test]
async fn a_hello_in_single_bytes_is_answered() {
    let issued = Issued::new();
    let (tls, _) = issued.tls();
    let hello = hello(&issued).await;
    let (mut near, far) = sockets().await;
    near.set_nodelay(true).unwrap();
    let client = async {
        for byte in &hello {
            near.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut head = [0; 6];
        near.read_exact(&mut head).await.unwrap();
        drop(near);
        head
    };
    let (head, server) = tokio::join!(client, tls.rtmps.accept(far, PATIENCE));
    // A handshake record that holds a server's hello (RFC 8446 §5.1 and §4).
    assert_eq!((head[0], head[5]), (22, 2));
    assert!(matches!(server.unwrap_err().label(), "closed" | "io"));
}

#[tokio::test]
async fn a_hello_that_does_not_end_meets_the_deadline() {
    let issued = Issued::new();
    let (tls, _) = issued.tls();
    let hello = hello(&issued).await;
    let (mut near, far) = sockets().await;
    near.write_all(&hello[..hello.len() - 1]).await.unwrap();
    let shaken = tls.rtmps.accept(far, Duration::from_millis(50)).await;
    assert_eq!(shaken.unwrap_err().label(), "timeout");
    assert_eq!(near.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_plain_client_is_refused_and_one_that_leaves_is_no_error_of_tls() {
    let issued = Issued::new();
    let (tls, _) = issued.tls();
    let mut rtmp = vec![3];
    rtmp.resize(1537, 0);
    for plain in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &rtmp] {
        let (mut near, far) = sockets().await;
        near.write_all(plain).await.unwrap();
        let error = tls.https.accept(far, PATIENCE).await.unwrap_err();
        assert_eq!(error.label(), "tls", "{error}");
    }
    let (near, far) = sockets().await;
    drop(near);
    let error = tls.rtmps.accept(far, PATIENCE).await.unwrap_err();
    assert_eq!(error.label(), "closed", "{error}");
}
