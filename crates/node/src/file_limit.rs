//! The limit on open files: raised as far as the system allows, because a connection is one.

use tracing::warn;

/// Files a node needs besides: listeners, the runtime, logs, HTTP.
const BESIDES: u64 = 200;

/// Raises the soft limit to the hard one, and says so in the log if that is too low for
/// `connections` of so many files each, and for `sessions` of one.
pub(crate) fn raise(connections: u32, files_each: u32, sessions: u32) {
    let wanted = wanted(connections, files_each, sessions);
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < wanted => warn!(
            limit,
            wanted,
            "too few open files for limits.connections and signalling.sessions: raise LimitNOFILE \
             (systemd), --ulimit nofile (docker) or ulimit -Hn (shell), or lower one of the two"
        ),
        Ok(_) => {}
        Err(error) => warn!(%error, wanted, "cannot read or raise the limit on open files"),
    }
}

fn wanted(connections: u32, files_each: u32, sessions: u32) -> u64 {
    u64::from(connections) * u64::from(files_each) + u64::from(sessions) + BESIDES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_sessions_are_files() {
        assert_eq!(wanted(16_000, 1, 20_000), 36_200);
        assert_eq!(wanted(16_000, 3, 20_000), 68_200);
    }
}
