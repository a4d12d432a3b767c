//! The read buffer that all connections of a thread share.

use std::cell::RefCell;
use std::io;

use super::Socket;

/// Bytes of one read: a few frames at most, a fraction of the CPU's cache.
pub(super) const SIZE: usize = 64 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SIZE]);
}

/// Reads once and hands over what came, nothing at the end of the stream. `Ok(None)` if nothing
/// was there to read.
pub(super) fn read<T>(socket: &Socket, take: impl FnOnce(&[u8]) -> T) -> io::Result<Option<T>> {
    read_by(|buffer| socket.try_read(buffer), take)
}

/// The same by another way of reading.
pub(super) fn read_by<T>(
    read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    take: impl FnOnce(&[u8]) -> T,
) -> io::Result<Option<T>> {
    BUFFER.with_borrow_mut(|buffer| match read(buffer) {
        Ok(count) => Ok(Some(take(buffer.get(..count).unwrap_or_default()))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    })
}
