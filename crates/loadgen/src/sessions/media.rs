//! The media of members: a synthetic stream to a push URL, and players of pull URLs that read all
//! they get and look at none of it.

use std::time::Instant;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::member::{Desk, News};
use crate::client::{Client, Role, Said};
use crate::clock::Clock;
use crate::source::{Shape, Sound, Source};
use crate::target::{Protocol, Target};

/// Bytes of one read.
const SCRATCH: usize = 16 << 10;

/// Publishes to `url` until it is dropped, and tells when its first media is sent.
///
/// # Errors
/// When it may not publish, or may no longer.
pub(crate) async fn publish(
    place: usize,
    url: &str,
    shape: Shape,
    desk: &Desk,
) -> anyhow::Result<()> {
    let (mut socket, mut client) = start(Role::Publish, url).await?;
    let clock = Clock::new();
    let mut source = Source::new(shape, Sound::Aac, None, Instant::now());
    for (kind, header) in source.headers() {
        client.send(kind, 0, &header);
    }
    let _ = desk.send((place, News::Sent(Instant::now())));
    let (mut payload, mut scratch) = (Vec::new(), vec![0; 1024]);
    loop {
        let now = Instant::now();
        while source.due().at <= now {
            let due = source.due();
            payload.clear();
            source.write(&mut payload, clock.nanos(), clock.mark());
            client.send(due.kind, due.timestamp, &payload);
        }
        flush(&mut socket, &mut client).await?;
        tokio::select! {
            () = tokio::time::sleep_until(source.due().at.into()) => {}
            read = socket.read(&mut scratch) => hear(&mut client, scratch.get(..read?))?,
        }
    }
}

/// Plays `url` until it is dropped, and tells when the first media has come.
///
/// # Errors
/// When it may not play, or may no longer.
pub(crate) async fn play(place: usize, url: &str, desk: &Desk) -> anyhow::Result<()> {
    let (mut socket, mut client) = start(Role::Play, url).await?;
    let mut scratch = vec![0; SCRATCH];
    client.stop_reading();
    let mut playing = false;
    loop {
        let read = socket.read(&mut scratch).await?;
        anyhow::ensure!(read > 0, "the node closed a player");
        if !playing {
            playing = true;
            let _ = desk.send((place, News::Playing));
        }
        client.count(read);
        flush(&mut socket, &mut client).await?;
    }
}

/// Connects and asks, up to the answer that it has started.
async fn start(role: Role, url: &str) -> anyhow::Result<(TcpStream, Client)> {
    let target: Target = url.parse()?;
    anyhow::ensure!(
        target.protocol() == Protocol::Rtmp,
        "no URL of RTMP: {target}"
    );
    let mut socket = TcpStream::connect(target.address)
        .await
        .with_context(|| format!("connecting to {}", target.address))?;
    socket.set_nodelay(true)?;
    let mut client = Client::new(role, &target, &target.stream(0, 1));
    let mut scratch = vec![0; SCRATCH];
    loop {
        flush(&mut socket, &mut client).await?;
        let read = socket.read(&mut scratch).await?;
        anyhow::ensure!(read > 0, "the node closed the connection");
        client.count(read);
        let mut input = scratch.get(..read).unwrap_or_default();
        while let Some(said) = client.feed(&mut input)? {
            if said == Said::Started {
                return Ok((socket, client));
            }
        }
    }
}

async fn flush(socket: &mut TcpStream, client: &mut Client) -> std::io::Result<()> {
    if !client.output.is_empty() {
        socket.write_all(&client.output).await?;
        client.output.clear();
    }
    Ok(())
}

/// What a node says to a publisher.
fn hear(client: &mut Client, input: Option<&[u8]>) -> anyhow::Result<()> {
    let mut input = input.unwrap_or_default();
    anyhow::ensure!(!input.is_empty(), "the node closed a publisher");
    client.count(input.len());
    while let Some(said) = client.feed(&mut input)? {
        anyhow::ensure!(said != Said::Over, "the node ended a stream");
    }
    Ok(())
}
