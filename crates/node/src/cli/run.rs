//! `lockgate run`: a runtime, the signals, and a node between them.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{banner, fail, say};
use crate::config::Config;
use crate::{Node, logging};

/// How long blocking calls of the runtime may take once the node has stopped.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(1);

pub(super) fn run(config: Config) -> ExitCode {
    let _log = logging::start(&config.log);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, format_args!("cannot start the runtime: {error}")),
    };
    let code = runtime.block_on(serve(config));
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    code
}

async fn serve(config: Config) -> ExitCode {
    let stop = CancellationToken::new();
    // Before anything binds: from the first open port on, a signal finds someone listening.
    let signals = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let (terminate, interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => return fail(1, format_args!("cannot listen for signals: {error}")),
    };
    let apps = config.apps.clone();
    let node = match Node::load(config).await {
        Ok(node) => node,
        Err(error) => return fail(error.exit_code(), error),
    };
    tokio::spawn(stop_on_signal(terminate, interrupt, stop.clone()));
    say(banner::banner(&apps, &node.addresses()));
    match node.run(stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, format_args!("{error:#}")),
    }
}

/// The first signal stops the node, the second ends the process.
async fn stop_on_signal(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => ("SIGTERM", 143),
            _ = interrupt.recv() => ("SIGINT", 130),
        }
    };
    let (name, _) = next().await;
    info!("{name}: stopping; a second signal ends at once");
    stop.cancel();
    let (_, code) = next().await;
    std::process::exit(code);
}
