//! Presets: TOML files whose keys are the command line's options.
//!
//! A preset is written out as options in front of those that were given, so what was given wins.

use std::ffi::OsString;
use std::fs;

use anyhow::{Context, bail};
use clap::Command;
use toml::{Table, Value};

/// Presets that come with the command.
const BUILT_IN: [(&str, &str); 13] = [
    ("one-stream", include_str!("../presets/one-stream.toml")),
    ("thousand", include_str!("../presets/thousand.toml")),
    ("rooms", include_str!("../presets/rooms.toml")),
    ("capacity", include_str!("../presets/capacity.toml")),
    ("publishers", include_str!("../presets/publishers.toml")),
    ("streams", include_str!("../presets/streams.toml")),
    ("mutes", include_str!("../presets/mutes.toml")),
    ("joins", include_str!("../presets/joins.toml")),
    ("storm", include_str!("../presets/storm.toml")),
    ("whep", include_str!("../presets/whep.toml")),
    ("flv", include_str!("../presets/flv.toml")),
    ("whip", include_str!("../presets/whip.toml")),
    ("whip-watched", include_str!("../presets/whip-watched.toml")),
];

/// The names of [`BUILT_IN`], for the help.
pub(crate) fn names() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}

/// The arguments, with what a preset among them says written out. The first is the program's name.
pub(crate) fn apply(
    mut arguments: Vec<OsString>,
    command: &Command,
) -> anyhow::Result<Vec<OsString>> {
    let Some(name) = chosen(&arguments) else {
        return Ok(arguments);
    };
    let text = match BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
        Some((_, text)) => (*text).to_owned(),
        None => fs::read_to_string(&name).with_context(|| {
            let names = names();
            format!("preset {name}: neither a file nor one of {names}")
        })?,
    };
    let options = options(&text, command).with_context(|| format!("preset {name}"))?;
    arguments.splice(1..1, options);
    Ok(arguments)
}

/// The value of `--preset`; what else is odd about the arguments, clap will tell.
fn chosen(arguments: &[OsString]) -> Option<String> {
    let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        if argument == "--preset" {
            return arguments.next().map(Into::into);
        }
        if let Some(name) = argument.strip_prefix("--preset=") {
            return Some(name.to_owned());
        }
    }
    None
}

fn options(text: &str, command: &Command) -> anyhow::Result<Vec<OsString>> {
    let table: Table = text.parse()?;
    let mut options = Vec::new();
    for (key, value) in table {
        let known = command.get_arguments().filter_map(clap::Arg::get_long);
        let known: Vec<_> = known.filter(|name| *name != "preset").collect();
        if !known.contains(&key.as_str()) {
            bail!("no option {key}; there are {}", known.join(", "));
        }
        let value = match value {
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(true) => {
                options.push(format!("--{key}").into());
                continue;
            }
            Value::Boolean(false) => continue,
            _ => bail!("{key}: expected a number, a string, true or false"),
        };
        options.push(format!("--{key}={value}").into());
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    fn parse(arguments: &[&str]) -> anyhow::Result<Cli> {
        let arguments = ["loadgen"].iter().chain(arguments).map(OsString::from);
        Ok(Cli::try_parse_from(apply(
            arguments.collect(),
            &Cli::command(),
        )?)?)
    }

    #[test]
    fn every_preset_that_comes_along_is_accepted() {
        for (name, _) in BUILT_IN {
            if let Err(error) = parse(&["--preset", name]) {
                panic!("{name}: {error:#}");
            }
        }
    }

    #[test]
    fn what_is_given_wins_over_the_preset() {
        let load = parse(&["--players=7", "--preset=rooms"]).unwrap().load();
        assert_eq!((load.publishers, load.players), (200, 7));
    }

    #[test]
    fn a_preset_that_cannot_be_read_is_told_with_the_key() {
        let command = Cli::command();
        let error = options("player = 7", &command).unwrap_err().to_string();
        assert!(error.contains("player;"), "{error}");
        let error = options("players = [7]", &command).unwrap_err().to_string();
        assert!(error.contains("players: expected"), "{error}");
        assert!(options("players =", &command).is_err());
        let error = parse(&["--preset", "none"]).unwrap_err().to_string();
        assert!(error.contains("one-stream"), "{error}");
    }
}
