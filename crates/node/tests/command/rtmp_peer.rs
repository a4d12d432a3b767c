//! An RTMP client of a few lines: enough to ask for a stream and hear the answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use lockgate_rtmp::amf::{Value, amf0};
use lockgate_rtmp::chunk::{Limits, Message, Reader, kind, write_message};
use lockgate_rtmp::handshake::ClientHandshake;

use crate::process::PATIENCE;

/// A connected client.
pub(crate) struct RtmpPeer {
    socket: TcpStream,
    reader: Reader,
    unread: Vec<u8>,
}

impl RtmpPeer {
    /// Connects to an app that takes it.
    pub(crate) fn connect(address: SocketAddr, app: &str) -> Self {
        let (peer, command) = Self::ask(address, app);
        assert_eq!(text(&command, 0), "_result");
        peer
    }

    /// Connects to an app that refuses it: why.
    pub(crate) fn refused(address: SocketAddr, app: &str) -> String {
        let (mut peer, command) = Self::ask(address, app);
        assert_eq!(text(&command, 0), "_error");
        peer.until_closed();
        let description = command[3].get("description").and_then(Value::as_str);
        description.unwrap_or_default().to_owned()
    }

    fn ask(address: SocketAddr, app: &str) -> (Self, Vec<Value>) {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = Self {
            socket,
            reader: Reader::new(Limits::default()),
            unread: Vec::new(),
        };
        let mut handshake = ClientHandshake::new();
        let mut output = Vec::new();
        handshake.start(&mut output);
        loop {
            peer.socket.write_all(&output).unwrap();
            output.clear();
            let bytes = peer.read().expect("the node closed during the handshake");
            let mut input = bytes.as_slice();
            let done = handshake.feed(&mut input, &mut output).unwrap();
            if done {
                peer.unread.extend_from_slice(input);
                peer.socket.write_all(&output).unwrap();
                break;
            }
        }
        let arguments = Value::Object(vec![
            ("app".to_owned(), string(app)),
            (
                "tcUrl".to_owned(),
                string(&format!("rtmp://{address}/{app}")),
            ),
        ]);
        peer.send("connect", 1.0, &[arguments]);
        let answer = peer.until_command(|name| name == "_result" || name == "_error");
        (peer, answer)
    }

    /// Publishes: the code of the status that answers.
    pub(crate) fn publish(&mut self, name: &str) -> String {
        self.create_stream();
        self.send("publish", 0.0, &[Value::Null, string(name), string("live")]);
        self.until_status()
    }

    /// Plays: the code of the first status that answers.
    pub(crate) fn play(&mut self, name: &str) -> String {
        self.create_stream();
        self.send("play", 0.0, &[Value::Null, string(name)]);
        self.until_status()
    }

    /// The code of the next `onStatus`.
    pub(crate) fn until_status(&mut self) -> String {
        let command = self.until_command(|name| name == "onStatus");
        let code = command[3].get("code").and_then(Value::as_str);
        code.unwrap_or_default().to_owned()
    }

    /// Reads until the node has closed the connection.
    pub(crate) fn until_closed(&mut self) {
        while self.read().is_some() {}
    }

    /// Its own address, as the node sees it.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn create_stream(&mut self) {
        self.send("createStream", 2.0, &[Value::Null]);
        self.until_command(|name| name == "_result");
    }

    fn send(&mut self, name: &str, transaction: f64, arguments: &[Value]) {
        let mut payload = Vec::new();
        amf0::encode_str(name, &mut payload);
        amf0::encode_number(transaction, &mut payload);
        for argument in arguments {
            amf0::encode(argument, &mut payload);
        }
        let stream = u32::from(matches!(name, "publish" | "play"));
        let mut out = Vec::new();
        write_message(&mut out, 3, 0, kind::COMMAND, stream, &payload, 128);
        self.socket.write_all(&out).unwrap();
    }

    fn until_command(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<Value> {
        loop {
            let message = self.message();
            if message.kind == kind::COMMAND {
                let values = amf0::decode_all(&message.payload).unwrap();
                if wanted(&text(&values, 0)) {
                    return values;
                }
            }
        }
    }

    fn message(&mut self) -> Message {
        loop {
            let mut input = self.unread.as_slice();
            let message = self.reader.feed(&mut input).unwrap();
            self.unread = input.to_vec();
            if let Some(message) = message {
                return message;
            }
            let bytes = self.read().expect("the node closed before it answered");
            self.unread.extend(bytes);
        }
    }

    /// What the node sent; `None` once it has closed.
    fn read(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) => None,
            Ok(read) => Some(buffer[..read].to_vec()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("the node neither answers nor closes: {error}"),
        }
    }
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn text(values: &[Value], at: usize) -> String {
    values
        .get(at)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
