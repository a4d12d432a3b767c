//! The body of an answer that is a live stream.
//!
//! Over plain HTTP/1.1 it says what comes before the first tag, and nothing more: tags go straight to
//! the socket, each a chunk already. Elsewhere they come through a pair of sockets, because what
//! encrypts or multiplexes stands between a fan-out task and the wire; the pair is small, so a player
//! that takes nothing is seen as one.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use lockgate_egress::flv::Viewer;
use lockgate_media::tag::Framing;
use lockgate_rtmp::connection::Socket;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span};

use super::carrier::Carrier;
use super::plain::Handover;
use crate::seats::Seat;

/// Bytes of one read from a pair: two TLS records, two frames of HTTP/2.
const SIZE: usize = 32 << 10;

thread_local! {
    /// Shared by all bodies of a thread: none keeps bytes in it.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SIZE]);
}

/// A live stream as a body.
pub(super) struct StreamBody {
    header: Option<Bytes>,
    way: Way,
    /// Held for as long as the answer is under way.
    _seat: Seat,
}

enum Way {
    /// The future writes to the socket itself.
    Direct(Pin<Box<dyn Future<Output = io::Result<()>> + Send>>),
    /// The task writes to the other end.
    Pair {
        near: UnixStream,
        task: AbortOnDropHandle<io::Result<()>>,
    },
    Over,
}

impl StreamBody {
    /// Straight to the socket, once it is handed over.
    pub(super) fn direct(
        viewer: Viewer,
        handover: Handover,
        framing: Framing,
        carrier: &Carrier,
        seat: Seat,
    ) -> Self {
        let media = carrier.media();
        Self {
            header: Some(Bytes::copy_from_slice(&viewer.header())),
            way: Way::Direct(Box::pin(
                async move {
                    std::future::poll_fn(|cx| handover.poll_turn(cx)).await;
                    viewer.play(Arc::clone(&handover.socket), framing).await?;
                    handover.give_back();
                    drop(media);
                    Ok(())
                }
                .instrument(Span::current()),
            )),
            _seat: seat,
        }
    }

    /// Through a pair of sockets.
    ///
    /// # Errors
    /// The system has no more sockets.
    pub(super) fn through_pair(
        viewer: Viewer,
        carrier: &Carrier,
        is_alone: bool,
        seat: Seat,
    ) -> io::Result<Self> {
        let (near, far) = UnixStream::pair()?;
        let header = Some(Bytes::copy_from_slice(&viewer.header()));
        let (media, carrier) = (carrier.media(), carrier.clone());
        let play = async move {
            let played = viewer
                .play(Arc::new(Socket::from(far)), Framing::Bare)
                .await;
            // HTTP does not ask for more of a body that its peer does not take: it is told so.
            if played.is_err() && is_alone {
                carrier.cut();
            }
            drop(media);
            played.map(drop)
        };
        Ok(Self {
            header,
            way: Way::Pair {
                near,
                task: AbortOnDropHandle::new(tokio::spawn(play.instrument(Span::current()))),
            },
            _seat: seat,
        })
    }
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(header) = self.header.take() {
            return Poll::Ready(Some(Ok(Frame::data(header))));
        }
        let ended = match &mut self.way {
            Way::Over => return Poll::Ready(None),
            Way::Direct(play) => ready!(play.as_mut().poll(cx)),
            Way::Pair { near, task } => {
                let bytes = BUFFER.with_borrow_mut(|buffer| {
                    let mut buffer = ReadBuf::new(buffer);
                    let read = Pin::new(near).poll_read(cx, &mut buffer);
                    read.map_ok(|()| Bytes::copy_from_slice(buffer.filled()))
                });
                let bytes = ready!(bytes)?;
                if !bytes.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                ready!(Pin::new(task).poll(cx)).unwrap_or_else(|error| Err(error.into()))
            }
        };
        self.way = Way::Over;
        Poll::Ready(ended.err().map(Err))
    }
}
