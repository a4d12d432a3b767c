//! The command line: what can be asked, and the exit code of each answer.
//!
//! 0 done or stopped gracefully, 1 failed while running, 64 bad usage or config, 69 cannot bind,
//! 130 and 143 when a second Ctrl-C or SIGTERM cuts the drain short.

mod banner;
mod run;

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError};

/// Bad usage or config (`EX_USAGE` of sysexits).
pub const EXIT_CONFIG: u8 = 64;

/// A listener cannot bind (`EX_UNAVAILABLE` of sysexits).
pub const EXIT_BIND: u8 = 69;

const EXAMPLES: &str = "\
Examples:
  lockgate run
      RTMP on 127.0.0.1:1935, HTTP on 127.0.0.1:8080, one open app called live.
  ffmpeg -re -i input.mp4 -c copy -f flv rtmp://127.0.0.1/live/demo
      Push to it, from another terminal.
  ffplay rtmp://127.0.0.1/live/demo
      Watch it, from a third.
  lockgate run --config /etc/lockgate.toml --set rtmp.listen=0.0.0.0:1935
      Run a config file, with one key changed.
  LOCKGATE_LOG__FORMAT=json lockgate run
      The same by environment: section and key, two underscores between.

Exit codes: 0 stopped, 1 failed while running, 64 bad usage or config, 69 cannot bind.";

/// A media node: takes live streams over RTMP and gives them to players, track by track.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until SIGTERM or Ctrl-C; a second one ends it at once.
    #[command(after_help = RUN_HELP)]
    Run(Source),
    /// Look at a config without running it.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

const RUN_HELP: &str = "\
Keys are those of config/lockgate.toml. Each source overrides the one before:
defaults, --config, environment (LOCKGATE_RTMP__LISTEN), --set.

  lockgate run --set rtmp.listen=127.0.0.1:19350 --set http.listen=127.0.0.1:0
  lockgate run --set 'apps=[{name=\"studio\", access=\"keys\", publish_keys=[\"k1\"], play_keys=[\"k2\"]}]'

Secrets are better kept in the file or the environment: a command line is seen by everyone
on the machine.";

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check a config file, with the environment over it as `run` would have it.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Print the effective config as TOML, its secrets replaced by "…".
    Show(Source),
}

/// Where a config comes from.
#[derive(Debug, Args)]
struct Source {
    /// A config file; without one, the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override one key; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

impl Source {
    fn load(&self) -> Result<Config, ConfigError> {
        load(self.config.as_deref(), &self.sets)
    }
}

/// Loads a config, with the environment of the process.
fn load(file: Option<&Path>, sets: &[String]) -> Result<Config, ConfigError> {
    let env = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.to_string_lossy().into_owned()))
    });
    Config::load(file, env, sets)
}

/// Runs the command that the arguments of the process ask for.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; the rest is bad usage. A closed stdout is neither.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_CONFIG } else { 0 });
        }
    };
    match cli.command {
        Command::Run(source) => match source.load() {
            Ok(config) => run::run(config),
            Err(error) => fail(EXIT_CONFIG, error),
        },
        Command::Config { command } => match command {
            ConfigCommand::Check { file } => match load(Some(&file), &[]) {
                Ok(_) => say(format_args!("{}: ok\n", file.display())),
                Err(error) => fail(EXIT_CONFIG, error),
            },
            ConfigCommand::Show(source) => match source.load() {
                Ok(config) => say(config.redacted_toml()),
                Err(error) => fail(EXIT_CONFIG, error),
            },
        },
    }
}

/// One line to stderr, and the exit code.
fn fail(code: u8, error: impl Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "lockgate: {error}");
    ExitCode::from(code)
}

/// Text to stdout. That nobody reads it is no failure.
fn say(text: impl Display) -> ExitCode {
    let _ = write!(std::io::stdout(), "{text}").and_then(|()| std::io::stdout().flush());
    ExitCode::SUCCESS
}
