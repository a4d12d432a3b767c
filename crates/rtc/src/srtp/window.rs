//! What came before, so that it does not come again (RFC 3711 §3.3.2).

/// Which of the newest 64 packets came; older ones count as come.
#[derive(Debug)]
pub(super) struct Window {
    newest: u32,
    /// Bit n: the packet n before the newest came.
    came: u64,
}

impl Window {
    pub(super) fn at(index: u32) -> Self {
        Self {
            newest: index,
            came: 1,
        }
    }

    pub(super) fn has(&self, index: u32) -> bool {
        let Some(back) = self.newest.checked_sub(index) else {
            return false;
        };
        back >= u64::BITS || self.came >> back & 1 == 1
    }

    pub(super) fn note(&mut self, index: u32) {
        if let Some(back) = self.newest.checked_sub(index) {
            self.came |= 1_u64.checked_shl(back).unwrap_or(0);
        } else {
            let ahead = index - self.newest;
            self.came = self.came.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = index;
        }
    }
}
