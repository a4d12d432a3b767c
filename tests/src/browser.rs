//! Headless Chromium, driven by scenarios in JavaScript: `tests/browser/run.mjs` says what one is.

use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::child::{self, Finished, Running};
use crate::node::PATIENCE;
use crate::tools;

/// What a scenario came to.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// What it returned.
    pub result: Value,
    /// What pages complained about on their consoles, and exceptions that nobody caught.
    pub errors: Vec<String>,
}

/// Runs a scenario of `tests/browser` to its end.
///
/// # Errors
/// It threw, took too long, or something that it needs is not installed.
pub fn run(scenario: &str, args: &Value) -> Result<Seen> {
    let finished = child::run(command(scenario, args)?, PATIENCE)?;
    read(&finished)
}

/// Starts a scenario, which the test then waits for with [`finish`].
///
/// # Errors
/// Something that it needs is not installed.
pub fn start(scenario: &str, args: &Value) -> Result<Running> {
    Running::start(command(scenario, args)?)
}

/// Waits for the end of a scenario.
///
/// # Errors
/// It threw, or took too long.
pub fn finish(running: Running) -> Result<Seen> {
    read(&running.wait_with_deadline(PATIENCE)?.success()?)
}

fn command(scenario: &str, args: &Value) -> Result<Command> {
    let folder = tools::workspace().join("tests/browser");
    let mut command = tools::chromium_driver()?;
    command
        .arg(folder.join("run.mjs"))
        .arg(folder.join(scenario))
        .arg(args.to_string());
    Ok(command)
}

fn read(finished: &Finished) -> Result<Seen> {
    let output = finished.output();
    let last = output.lines().last().context("the scenario said nothing")?;
    serde_json::from_str(last).with_context(|| finished.text())
}
