//! Real sockets: order, cancelling, peers that do not read, closing.

mod rml;

use std::time::Duration;

use lockgate_media::Track;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;
use crate::amf::{Value, amf0};
use crate::chunk::{kind, write_message};
use crate::handshake::ClientHandshake;

/// Both ends of a connection over loopback.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.expect("connects"), server.expect("accepts").0)
}

async fn accept(config: ConnectionConfig) -> (TcpStream, Connection) {
    let (client, server) = sockets().await;
    accept_on(client, server, config).await
}

async fn accept_on<C: AsyncRead + AsyncWrite + Unpin>(
    mut client: C,
    server: impl Into<Socket>,
    config: ConnectionConfig,
) -> (C, Connection) {
    let shake = async {
        let (mut handshake, mut output) = (ClientHandshake::new(), Vec::new());
        handshake.start(&mut output);
        client.write_all(&output).await.expect("C0 and C1");
        let mut input = [0; 3073];
        client.read_exact(&mut input).await.expect("S0, S1 and S2");
        output.clear();
        assert_eq!(handshake.feed(&mut &input[..], &mut output), Ok(true));
        client.write_all(&output).await.expect("C2");
    };
    let (connection, ()) = tokio::join!(Connection::accept(server, &config), shake);
    (client, connection.expect("a handshake"))
}

fn command(name: &str, transaction: f64, arguments: &[Value]) -> Vec<u8> {
    let mut payload = Vec::new();
    amf0::encode_str(name, &mut payload);
    amf0::encode_number(transaction, &mut payload);
    for argument in arguments {
        amf0::encode(argument, &mut payload);
    }
    let mut output = Vec::new();
    write_message(&mut output, 3, 0, kind::COMMAND, 1, &payload, 128);
    output
}

fn connect() -> Vec<u8> {
    let app = ("app".to_owned(), Value::String("live".to_owned()));
    command("connect", 1.0, &[Value::Object(vec![app])])
}

fn publish() -> Vec<u8> {
    command(
        "publish",
        0.0,
        &[Value::Null, Value::String("a".to_owned())],
    )
}

fn play() -> Vec<u8> {
    command("play", 0.0, &[Value::Null, Value::String("a".to_owned())])
}

fn audio() -> Vec<u8> {
    let mut output = Vec::new();
    write_message(&mut output, 4, 9, kind::AUDIO, 1, &[0xaf, 1, 5], 128);
    output
}

async fn next(connection: &mut Connection) -> Event {
    connection
        .next()
        .await
        .expect("no error")
        .expect("an event")
}

/// A client that has got past `connect` and `play`.
async fn player() -> (TcpStream, Connection) {
    let (mut client, mut connection) = accept(ConnectionConfig::default()).await;
    client
        .write_all(&[connect(), play()].concat())
        .await
        .expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
    connection.session().accept_connect();
    assert!(matches!(next(&mut connection).await, Event::Play(_)));
    connection.session().accept_play();
    connection.flush().await.expect("flushes");
    (client, connection)
}

#[tokio::test]
async fn a_client_that_does_not_wait_is_answered_in_order() {
    let (mut client, mut connection) = accept(ConnectionConfig::default()).await;
    let create = command("createStream", 2.0, &[Value::Null]);
    let all = [connect(), create, publish(), audio(), audio()].concat();
    client.write_all(&all).await.expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
    assert!(connection.has_queued());
    connection.session().accept_connect();
    assert!(matches!(next(&mut connection).await, Event::Publish(_)));
    connection.session().accept_publish();
    for left in [true, false] {
        let event = next(&mut connection).await;
        assert!(matches!(
            event,
            Event::Media {
                track: Track::Audio,
                timestamp: 9,
                ..
            }
        ));
        assert_eq!(connection.has_queued(), left);
    }
    connection.flush().await.expect("flushes");
    let mut reader = Reader::new(Limits::default());
    let mut names = Vec::new();
    while names.len() < 3 {
        let mut input = [0; 4096];
        let count = client.read(&mut input).await.expect("reads");
        let mut input = &input[..count];
        while let Some(message) = reader.feed(&mut input).expect("chunks") {
            if message.kind == kind::COMMAND {
                let values = amf0::decode_all(&message.payload).expect("AMF0");
                names.push((values[0].as_str().map(str::to_owned), values[1].as_number()));
            }
        }
    }
    let name = |name: &str, transaction| (Some(name.to_owned()), Some(transaction));
    assert_eq!(
        names,
        [
            name("_result", 1.0),
            name("_result", 2.0),
            name("onStatus", 0.0)
        ]
    );
    let handshake = 3073;
    assert_eq!(connection.bytes_in(), handshake + all.len() as u64);
}

#[tokio::test]
async fn events_come_before_the_error_behind_them() {
    let (mut client, mut connection) = accept(ConnectionConfig::default()).await;
    let no_header = [0xc9];
    let all = [&connect()[..], &publish(), &audio(), &no_header, &audio()].concat();
    client.write_all(&all).await.expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
    connection.session().accept_connect();
    assert!(matches!(next(&mut connection).await, Event::Publish(_)));
    connection.session().accept_publish();
    assert!(matches!(next(&mut connection).await, Event::Media { .. }));
    let error = connection.next().await.expect_err("a broken chunk stream");
    assert!(matches!(error, ConnectionError::Chunk(_)), "{error}");
    assert_eq!(error.label(), "chunk");
    assert!(matches!(connection.next().await, Ok(None)));
}

#[tokio::test]
async fn the_end_of_the_stream_is_no_event() {
    let (client, mut connection) = accept(ConnectionConfig::default()).await;
    drop(client);
    assert!(matches!(connection.next().await, Ok(None)));
    assert!(matches!(connection.next().await, Ok(None)));
}

#[tokio::test]
async fn a_reset_is_the_end_of_the_stream_too() {
    let (mut client, mut connection) = accept(ConnectionConfig::default()).await;
    client.write_all(&connect()).await.expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
    connection.session().accept_connect();
    connection.flush().await.expect("flushes");
    // Closing with unread bytes in the socket resets.
    client.readable().await.expect("replies");
    drop(client);
    assert!(matches!(connection.next().await, Ok(None)));
}

#[tokio::test]
async fn chunks_that_come_with_the_handshake_are_kept() {
    let (mut client, server) = sockets().await;
    let all = [&[3], &[0; 3072][..], &connect()].concat();
    client.write_all(&all).await.expect("writes");
    let config = ConnectionConfig::default();
    let mut connection = Connection::accept(server, &config)
        .await
        .expect("a handshake");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
}

#[tokio::test]
async fn failed_handshakes_have_names() {
    let config = ConnectionConfig {
        handshake_timeout: Duration::from_millis(1),
        ..Default::default()
    };
    let (_client, server) = sockets().await;
    let error = Connection::accept(server, &config)
        .await
        .expect_err("silence");
    assert_eq!(error.label(), "timeout");
    let config = ConnectionConfig::default();
    let (mut client, server) = sockets().await;
    client
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("writes");
    let error = Connection::accept(server, &config).await.expect_err("HTTP");
    assert_eq!(error.label(), "not_rtmp");
    let (mut client, server) = sockets().await;
    client.write_all(&[3; 700]).await.expect("writes");
    drop(client);
    let error = Connection::accept(server, &config)
        .await
        .expect_err("half a handshake");
    assert_eq!(error.label(), "closed");
}

#[tokio::test]
async fn waiting_for_an_event_may_be_cancelled() {
    let (mut client, mut connection) = accept(ConnectionConfig::default()).await;
    let bytes = connect();
    let mut event = None;
    // One byte at a time, and the future is dropped after each.
    for byte in bytes {
        client.write_all(&[byte]).await.expect("writes");
        connection.socket().readable().await.expect("readable");
        tokio::select! {
            biased;
            next = connection.next() => event = next.expect("no error"),
            () = tokio::task::yield_now() => {}
        }
    }
    if event.is_none() {
        event = Some(next(&mut connection).await);
    }
    assert!(matches!(event, Some(Event::Connect(_))), "{event:?}");
}

#[tokio::test]
async fn lent_replies_are_announced_and_left() {
    let (mut client, mut connection) = player().await;
    connection.lend_writes(true);
    let mut ping = Vec::new();
    write_message(
        &mut ping,
        2,
        0,
        kind::USER_CONTROL,
        0,
        &[0, 6, 1, 2, 3, 4],
        128,
    );
    for _ in 0..2 {
        client.write_all(&ping).await.expect("writes");
        assert_eq!(next(&mut connection).await, Event::Output);
        let output = connection.session().take_output();
        assert_eq!(output[output.len() - 6..], [0, 7, 1, 2, 3, 4]);
    }
    connection.lend_writes(false);
    client.write_all(&ping).await.expect("writes");
    let mut last = Vec::new();
    tokio::select! {
        event = connection.next() => panic!("{event:?}"),
        () = async {
            while !last.ends_with(&[0, 7, 1, 2, 3, 4]) {
                let mut input = [0; 4096];
                let count = client.read(&mut input).await.expect("reads");
                last.extend_from_slice(&input[..count]);
            }
        } => {}
    }
}

#[tokio::test]
async fn a_peer_that_asks_and_never_reads_is_cut() {
    let config = ConnectionConfig {
        write_timeout: Duration::from_millis(50),
        ..Default::default()
    };
    let (mut client, mut connection) = accept(config).await;
    client.write_all(&connect()).await.expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
    connection.session().accept_connect();
    let asking = command("createStream", 2.0, &[Value::Null]).repeat(1000);
    let flood = async {
        loop {
            if client.write_all(&asking).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        event = connection.next() => {
            assert!(matches!(event, Err(ConnectionError::WriteTimeout)), "{event:?}");
        }
        () = flood => {}
    }
}

#[tokio::test]
async fn a_lent_peer_that_asks_and_never_reads_is_cut() {
    let (mut client, mut connection) = player().await;
    connection.lend_writes(true);
    let asking = command("whatIsThis", 2.0, &[Value::Null]).repeat(10_000);
    let flood = async {
        let _ = client.write_all(&asking).await;
        std::future::pending::<()>().await;
    };
    let until_cut = async {
        loop {
            match connection.next().await {
                Ok(Some(Event::Output)) => {}
                other => return other,
            }
        }
    };
    tokio::select! {
        end = until_cut => assert!(matches!(end, Err(ConnectionError::Unread)), "{end:?}"),
        () = flood => {}
    }
}

/// The start of a message of 8 MB, with `bytes` of it.
fn start_of_video(bytes: usize) -> Vec<u8> {
    let mut output = Vec::new();
    write_message(
        &mut output,
        2,
        0,
        kind::SET_CHUNK_SIZE,
        0,
        &[0x7f, 0xff, 0xff, 0xff],
        128,
    );
    output.extend_from_slice(&[6, 0, 0, 0, 0x7f, 0xff, 0xff, 9, 1, 0, 0, 0]);
    output.resize(output.len() + bytes, 0x17);
    output
}

#[tokio::test]
async fn only_publishers_may_send_large_messages() {
    let (mut client, mut connection) = accept(ConnectionConfig::default()).await;
    let start = start_of_video(1 << 20);
    tokio::select! {
        event = connection.next() => {
            assert!(matches!(event, Err(ConnectionError::Chunk(_))), "{event:?}");
        }
        () = async {
            let _ = client.write_all(&start).await;
            std::future::pending::<()>().await;
        } => {}
    }

    let (mut client, mut connection) = accept(ConnectionConfig::default()).await;
    client
        .write_all(&[connect(), publish()].concat())
        .await
        .expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
    connection.session().accept_connect();
    assert!(matches!(next(&mut connection).await, Event::Publish(_)));
    connection.session().accept_publish();
    let rest = vec![0x17; 0x7f_ffff - (1 << 20)];
    let all = [start_of_video(1 << 20), rest].concat();
    let (sent, event) = tokio::join!(client.write_all(&all), connection.next());
    sent.expect("writes");
    assert!(matches!(event, Ok(Some(Event::Media { payload, .. })) if payload.len() == 0x7f_ffff));
}

#[tokio::test]
async fn closing_lets_the_peer_read_why() {
    let (mut client, mut connection) = accept(ConnectionConfig::default()).await;
    client
        .write_all(&[connect(), audio(), audio()].concat())
        .await
        .expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
    connection.session().reject_connect("The app is closed.");
    client
        .write_all(&audio().repeat(100))
        .await
        .expect("writes");
    let read = async {
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.expect("no reset");
        drop(client);
        all
    };
    let (all, closed) = tokio::join!(read, connection.close());
    closed.expect("closes");
    let text = b"NetConnection.Connect.Rejected";
    assert!(all.windows(text.len()).any(|window| window == text));
}

#[tokio::test]
async fn an_idle_player_holds_no_buffers() {
    let (_client, mut connection) = player().await;
    tokio::select! {
        biased;
        event = connection.next() => panic!("{event:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(connection.reader.partial_bytes(), 0);
    assert!(!connection.session.has_output());
    assert!(connection.events.capacity() <= KEPT_EVENTS);
    assert_eq!(connection.backlog.capacity(), 0);
    let queue = connection.events.capacity() * size_of::<Event>();
    assert!(
        size_of::<Connection>() + queue < 1024,
        "{} + {queue}",
        size_of::<Connection>()
    );
}

#[tokio::test]
async fn one_end_of_a_local_pair_is_served_like_tcp() {
    let (client, server) = UnixStream::pair().expect("a pair");
    let (mut client, mut connection) = accept_on(client, server, ConnectionConfig::default()).await;
    connection.socket().bound_unsent(64 << 10).expect("bounds");
    let all = [connect(), publish(), audio()].concat();
    client.write_all(&all).await.expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
    connection.session().accept_connect();
    assert!(matches!(next(&mut connection).await, Event::Publish(_)));
    connection.session().accept_publish();
    assert!(matches!(next(&mut connection).await, Event::Media { .. }));
    let read = async {
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.expect("the end");
        drop(client);
        all
    };
    let (all, closed) = tokio::join!(read, connection.close());
    closed.expect("closes");
    let text = b"NetStream.Publish.Start";
    assert!(all.windows(text.len()).any(|window| window == text));
}

/// A connection that publishes.
async fn publishing() -> (TcpStream, Connection) {
    let (client, server) = sockets().await;
    // What is not read may not be acknowledged: Nagle's algorithm would wait for that.
    client.set_nodelay(true).expect("sets");
    let (mut client, mut connection) = accept_on(client, server, ConnectionConfig::default()).await;
    client
        .write_all(&[connect(), publish()].concat())
        .await
        .expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
    connection.session().accept_connect();
    assert!(matches!(next(&mut connection).await, Event::Publish(_)));
    connection.session().accept_publish();
    connection.flush().await.expect("flushes");
    (client, connection)
}

const LONG: Duration = Duration::from_secs(3600);

/// Goes through the runtime's events a few times: whatever it knows by then, it has told.
async fn round_trips() {
    let (mut here, mut there) = sockets().await;
    for _ in 0..5 {
        here.write_all(b"?").await.expect("writes");
        there.read_exact(&mut [0]).await.expect("reads");
    }
}

#[tokio::test]
async fn small_messages_are_read_along_with_what_they_are_gathered_for() {
    let (mut client, mut connection) = publishing().await;
    let size = audio().len();
    assert!(connection.gather(3 * size, LONG).expect("gathers"));
    let send = async {
        for _ in 0..3 {
            round_trips().await;
            client.write_all(&audio()).await.expect("writes");
        }
    };
    let (first, ()) = tokio::join!(next(&mut connection), send);
    assert!(matches!(first, Event::Media { .. }));
    assert!(connection.has_queued(), "the first waited for the last");
    let arrived = connection.arrived();
    assert!(!arrived.early && arrived.since < arrived.read);
    for _ in 0..2 {
        assert!(matches!(next(&mut connection).await, Event::Media { .. }));
    }

    let gathers = connection.gather(1, LONG);
    assert!(!gathers.expect("gathers no more"));
    client.write_all(&audio()).await.expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Media { .. }));
    let arrived = connection.arrived();
    assert_eq!(arrived.since, arrived.read);
}

#[tokio::test]
async fn what_is_gathered_waits_no_longer_than_it_may_and_the_end_not_at_all() {
    let (mut client, mut connection) = publishing().await;
    // From here on time passes when nothing else happens.
    tokio::time::pause();
    for _ in 0..2 {
        connection.gather(1 << 14, LONG).expect("gathers");
        client.write_all(&audio()).await.expect("writes");
        assert!(matches!(next(&mut connection).await, Event::Media { .. }));
        assert!(connection.arrived().early);
    }
    // Once nothing came for as long as it may wait, what comes then is read at once.
    let seldom = async {
        tokio::time::sleep(2 * LONG).await;
        client.write_all(&audio()).await.expect("writes");
    };
    let (first, ()) = tokio::join!(next(&mut connection), seldom);
    assert!(matches!(first, Event::Media { .. }));
    assert!(!connection.arrived().early);

    connection.gather(1 << 14, LONG).expect("gathers");
    let last = async {
        client.write_all(&audio()).await.expect("writes");
        client.shutdown().await.expect("shuts down");
    };
    let (first, ()) = tokio::join!(next(&mut connection), last);
    assert!(matches!(first, Event::Media { .. }));
    assert!(!connection.arrived().early);
    assert!(connection.next().await.expect("no error").is_none());
}

#[tokio::test]
async fn a_socket_that_cannot_gather_is_read_as_it_comes() {
    let (client, server) = UnixStream::pair().expect("a pair");
    let (mut client, mut connection) = accept_on(client, server, ConnectionConfig::default()).await;
    let gathers = connection.gather(1 << 14, LONG);
    assert!(!gathers.expect("does nothing"));
    client.write_all(&connect()).await.expect("writes");
    assert!(matches!(next(&mut connection).await, Event::Connect(_)));
    assert!(!connection.arrived().early);
}
