//! The node's clock as reports and packets tell it.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// The time of NTP at an instant (RFC 3550 §4), by the node's clock.
pub(crate) fn ntp(now: Instant) -> u64 {
    /// Between 1900 and 1970.
    const EPOCH: Duration = Duration::from_secs(2_208_988_800);
    /// Read once: reports of one peer must not jump when somebody sets the clock.
    static START: LazyLock<(Instant, Duration)> = LazyLock::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        (Instant::now(), since.unwrap_or_default() + EPOCH)
    });
    let (start, at) = *START;
    let passed = match now.checked_duration_since(start) {
        Some(after) => at + after,
        None => at.saturating_sub(start - now),
    };
    let fraction = (u64::from(passed.subsec_nanos()) << 32) / 1_000_000_000;
    passed.as_secs() << 32 | fraction
}

/// Seconds modulo 64 with 18 bits of fraction, as abs-send-time has it.
pub(crate) fn stamp(ntp: u64) -> u32 {
    u32::try_from(ntp >> 14 & 0xff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_a_second_in_either_form() {
        let now = Instant::now();
        let (one, two) = (ntp(now), ntp(now + Duration::from_millis(1500)));
        let passed = two - one;
        assert!(passed.abs_diff(3 << 31) < 16, "{passed:x}");
        let passed = stamp(two).wrapping_sub(stamp(one)) & 0xff_ffff;
        assert!(passed.abs_diff(3 << 17) < 2, "{passed:x}");
    }
}
