//! The limit on open files: raised as far as the system allows, because a connection is one.

use tracing::warn;

/// Files a node needs besides its connections: listeners, the runtime, logs, HTTP.
const BESIDES: u64 = 200;

/// Raises the soft limit to the hard one, and says so in the log if that is too low for
/// `connections` of so many files each.
pub(crate) fn raise(connections: u32, files_each: u32) {
    let wanted = u64::from(connections) * u64::from(files_each) + BESIDES;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < wanted => warn!(
            limit,
            wanted,
            "too few open files for limits.connections: raise LimitNOFILE (systemd), --ulimit \
             nofile (docker) or ulimit -Hn (shell), or lower limits.connections"
        ),
        Ok(_) => {}
        Err(error) => warn!(%error, wanted, "cannot read or raise the limit on open files"),
    }
}
