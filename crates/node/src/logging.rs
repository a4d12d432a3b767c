//! Logging: tracing to stderr, for people on a terminal and as JSON elsewhere.
//!
//! Stdout stays free for what a command was asked to print.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Lines that may wait for a reader of stderr that does not read; more are dropped, for a log that
/// nobody reads must not stop the media.
const LINES_WAITING: usize = 16_384;

/// Libraries that warn of whatever a peer sends: any stranger could fill the log by them.
const LOUD: [&str; 4] = ["str0m", "is", "dimpl", "sctp_proto"];

/// The filter with loud libraries off, but for those that it names itself.
fn quiet(filter: &str) -> String {
    let named = |module: &str| {
        let directives = filter.split(',').map(str::trim);
        directives
            .filter_map(|directive| directive.strip_prefix(module))
            .any(|rest| rest.starts_with(['=', ':', '[']))
    };
    let loud = LOUD.into_iter().filter(|module| !named(module));
    let off = loud.map(|module| format!("{module}=off"));
    std::iter::once(filter.to_owned())
        .chain(off)
        .collect::<Vec<_>>()
        .join(",")
}

/// Sets the process's log up. A second call changes nothing. What waits to be written is written
/// when the guard drops.
pub(crate) fn start(log: &Log) -> WorkerGuard {
    // The filter was checked with the config.
    let filter = EnvFilter::try_new(quiet(&log.filter)).unwrap_or_default();
    let terminal = std::io::stderr().is_terminal();
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING)
        .lossy(true)
        .finish(std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    // A subscriber that someone else installed, such as a test, is as good.
    let _ = if json {
        let builder = builder.json().flatten_event(true).with_span_list(false);
        builder.try_init()
    } else {
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        builder.with_ansi(colour).try_init()
    };
    guard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loud_libraries_are_off_unless_they_are_named() {
        let all = "info,str0m=off,is=off,dimpl=off,sctp_proto=off";
        assert_eq!(quiet("info"), all);
        let named = quiet("info,str0m=debug");
        assert!(named.starts_with("info,str0m=debug,is=off"), "{named}");
        assert!(!named.contains("str0m=off"));
        assert!(EnvFilter::try_new(named).is_ok());
    }
}
