//! Whole sessions with `rml_rtmp` as the client.

use std::collections::VecDeque;

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType,
};
use rml_rtmp::time::RtmpTimestamp;

use super::*;

/// `rml_rtmp`'s client on a socket.
struct RmlClient {
    socket: TcpStream,
    session: ClientSession,
    events: VecDeque<ClientSessionEvent>,
}

impl RmlClient {
    async fn new(mut socket: TcpStream) -> Self {
        let mut handshake = Handshake::new(PeerType::Client);
        let first = handshake.generate_outbound_p0_and_p1().expect("C0 and C1");
        socket.write_all(&first).await.expect("writes");
        let rest = loop {
            let mut input = [0; 4096];
            let count = socket.read(&mut input).await.expect("reads");
            match handshake
                .process_bytes(&input[..count])
                .expect("a handshake")
            {
                HandshakeProcessResult::InProgress { response_bytes } => {
                    socket.write_all(&response_bytes).await.expect("writes");
                }
                HandshakeProcessResult::Completed {
                    response_bytes,
                    remaining_bytes,
                } => {
                    socket.write_all(&response_bytes).await.expect("writes");
                    break remaining_bytes;
                }
            }
        };
        let (session, results) = ClientSession::new(ClientSessionConfig::new()).expect("a session");
        let mut client = Self {
            socket,
            session,
            events: VecDeque::new(),
        };
        client.take(results).await;
        let results = client.session.handle_input(&rest).expect("chunks");
        client.take(results).await;
        client
    }

    async fn take(&mut self, results: Vec<ClientSessionResult>) {
        for result in results {
            match result {
                ClientSessionResult::OutboundResponse(packet) => {
                    self.socket.write_all(&packet.bytes).await.expect("writes");
                }
                ClientSessionResult::RaisedEvent(event) => self.events.push_back(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
    }

    /// Reads until an event comes that `want`s to be it.
    async fn until(&mut self, want: impl Fn(&ClientSessionEvent) -> bool) {
        loop {
            while let Some(event) = self.events.pop_front() {
                if want(&event) {
                    return;
                }
            }
            let mut input = [0; 4096];
            let count = self.socket.read(&mut input).await.expect("reads");
            assert!(count > 0, "the server closed the connection");
            let results = self.session.handle_input(&input[..count]).expect("chunks");
            self.take(results).await;
        }
    }

    async fn connect(&mut self) {
        let result = self
            .session
            .request_connection("live".to_owned())
            .expect("connect");
        self.take(vec![result]).await;
        self.until(|event| *event == ClientSessionEvent::ConnectionRequestAccepted)
            .await;
    }
}

#[tokio::test]
async fn rml_rtmp_publishes() {
    let (client, server) = sockets().await;
    let client = async {
        let mut client = RmlClient::new(client).await;
        client.connect().await;
        let kind = PublishRequestType::Live;
        let result = client
            .session
            .request_publishing("a".to_owned(), kind)
            .expect("publish");
        client.take(vec![result]).await;
        client
            .until(|event| *event == ClientSessionEvent::PublishRequestAccepted)
            .await;
        for at in 0..100_u32 {
            let (time, frame) = (RtmpTimestamp::new(at * 20), vec![0x17; 2000].into());
            let result = client
                .session
                .publish_video_data(frame, time, false)
                .expect("video");
            client.take(vec![result]).await;
        }
        let results = client.session.stop_publishing().expect("stops");
        client.take(results).await;
        client
    };
    let config = ConnectionConfig::default();
    let server = async {
        let mut connection = Connection::accept(server, &config)
            .await
            .expect("a handshake");
        let mut times = Vec::new();
        loop {
            match next(&mut connection).await {
                Event::Connect(_) => connection.session().accept_connect(),
                Event::Publish(request) => {
                    assert_eq!(request.name, "a");
                    connection.session().accept_publish();
                }
                Event::Media {
                    timestamp, payload, ..
                } => {
                    assert_eq!(payload[..], [0x17; 2000]);
                    times.push(timestamp);
                }
                Event::Ended => return times,
                event => panic!("{event:?}"),
            }
        }
    };
    let (_client, times) = tokio::join!(client, server);
    assert_eq!(times, (0..100).map(|at| at * 20).collect::<Vec<_>>());
}

#[tokio::test]
async fn rml_rtmp_plays() {
    let (client, server) = sockets().await;
    let client = async {
        let mut client = RmlClient::new(client).await;
        client.connect().await;
        let result = client
            .session
            .request_playback("a".to_owned())
            .expect("play");
        client.take(vec![result]).await;
        client
            .until(|event| *event == ClientSessionEvent::PlaybackRequestAccepted)
            .await;
        let (timestamp, data) = (RtmpTimestamp::new(17_000_000), vec![0x27; 70_000].into());
        let video = ClientSessionEvent::VideoDataReceived { timestamp, data };
        client.until(|event| *event == video).await;
        client
    };
    let config = ConnectionConfig::default();
    let server = async {
        let mut connection = Connection::accept(server, &config)
            .await
            .expect("a handshake");
        loop {
            match next(&mut connection).await {
                Event::Connect(_) => connection.session().accept_connect(),
                Event::Play(_) => break connection.session().accept_play(),
                event => panic!("{event:?}"),
            }
        }
        connection.flush().await.expect("flushes");
        let mut output = Vec::new();
        let chunk_size = crate::OUT_CHUNK_SIZE;
        write_message(
            &mut output,
            6,
            17_000_000,
            kind::VIDEO,
            1,
            &[0x27; 70_000],
            chunk_size,
        );
        let mut output = &output[..];
        while !output.is_empty() {
            connection.socket().writable().await.expect("writable");
            if let Ok(count) = connection.socket().try_write(output) {
                output = &output[count..];
            }
        }
        connection
    };
    tokio::join!(client, server);
}
