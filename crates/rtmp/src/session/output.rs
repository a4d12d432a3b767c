//! Replies on their way out. Keeps no memory once all of them are written.

/// Bytes to be written, of which some may have been.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    /// The bytes that are still to be written.
    pub(crate) fn pending(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// True when everything is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Notes that the first `count` pending bytes are written.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.bytes.len() {
            *self = Self::default();
        }
    }

    /// Takes what is still to be written.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..std::mem::take(&mut self.written));
        bytes
    }

    /// Where replies are appended.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}
