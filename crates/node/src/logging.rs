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

/// Sets the process's log up. A second call changes nothing. What waits to be written is written
/// when the guard drops.
pub(crate) fn start(log: &Log) -> WorkerGuard {
    // The filter was checked with the config.
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_default();
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
