//! Layers of values: a file, the environment, `--set`; each over the one before.
//!
//! Every value remembers where it came from, so that whatever is wrong with it later can be
//! reported with its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::error::{ConfigError, Origin, shown};
use super::{Config, Settings};

/// What variables of the environment start with.
const ENV_PREFIX: &str = "LOCKGATE_";

pub(super) struct Layers {
    table: Table,
    origins: BTreeMap<String, Origin>,
    /// The defaults as TOML: which keys exist, and which of them hold strings.
    template: Table,
}

impl Layers {
    pub(super) fn new() -> Self {
        Self {
            table: Table::new(),
            origins: BTreeMap::new(),
            template: Table::try_from(Config::default()).unwrap_or_default(),
        }
    }

    pub(super) fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let syntax = |error: &toml::de::Error| {
            let (line, column) = place(&text, error.span().map_or(0, |span| span.start));
            ConfigError::Syntax {
                path: path.to_owned(),
                line,
                column,
                message: error.message().replace('\n', "; "),
            }
        };
        let lines = DeTable::parse(&text).map_err(|error| syntax(&error))?;
        self.table = text.parse().map_err(|error| syntax(&error))?;
        let mut lines_of = LinesOf {
            text: &text,
            path: path.to_owned(),
            origins: &mut self.origins,
        };
        lines_of.table("", lines.get_ref());
        Ok(())
    }

    /// Takes `LOCKGATE_<SECTION>__<KEY>`. Other variables that start alike are left alone, because
    /// Kubernetes makes some for a service of that name; but not those that lack one underscore.
    pub(super) fn env(
        &mut self,
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, text) in vars {
            let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
                continue;
            };
            if rest.contains("__") || rest == "APPS" {
                let key = rest.replace("__", ".").to_ascii_lowercase();
                self.put(&key, &text, Origin::Env(name))?;
            } else if let Some(key) = self.key_that_means(rest) {
                let right = key.replace('.', "__").to_ascii_uppercase();
                return Err(ConfigError::Key {
                    problem: format!("write it {ENV_PREFIX}{right}, with two underscores"),
                    key,
                    value: None,
                    origin: Origin::Env(name),
                });
            }
        }
        Ok(())
    }

    pub(super) fn set(&mut self, argument: &str) -> Result<(), ConfigError> {
        let Some((key, text)) = argument.split_once('=') else {
            return Err(ConfigError::NotAssignment {
                argument: argument.to_owned(),
            });
        };
        self.put(key.trim(), text, Origin::Set)
    }

    pub(super) fn finish(self) -> Result<Config, ConfigError> {
        let config: Config = serde_path_to_error::deserialize(self.table.clone())
            .map_err(|error| self.rejected(&error.path().to_string(), error.inner().message()))?;
        // What only several keys together can tell is told here too, while origins are known.
        Settings::try_from(&config).map_err(|invalid| ConfigError::Key {
            value: lookup(&self.table, &invalid.key).and_then(|value| shown(&invalid.key, value)),
            origin: self.origin(&invalid.key),
            key: invalid.key,
            problem: invalid.problem,
        })?;
        Ok(config)
    }

    /// Puts a value that came as text. Where the key holds a string, the text is that string,
    /// quoted or not; elsewhere it is TOML.
    fn put(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let refuse = |problem: &str, origin: &Origin| ConfigError::Key {
            key: key.to_owned(),
            value: None,
            problem: problem.to_owned(),
            origin: origin.clone(),
        };
        let wants_string = matches!(lookup(&self.template, key), Some(Value::String(_)));
        let value = match parse_value(text) {
            Some(Value::Table(_)) => {
                return Err(refuse("set one key at a time, as section.key", &origin));
            }
            Some(value) if value.is_str() || !wants_string => value,
            _ => Value::String(text.to_owned()),
        };
        let mut table = &mut self.table;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                table.insert(part.to_owned(), value);
                break;
            }
            let next = table
                .entry(part.to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            table = match next {
                Value::Table(table) => table,
                _ => return Err(refuse("set the whole key in front of the dot", &origin)),
            };
        }
        // A whole list replaces what the file said about its items.
        self.origins
            .retain(|known, _| !known.starts_with(&format!("{key}[")));
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    /// Turns a refusal by serde into one that names key, value and place.
    fn rejected(&self, path: &str, message: &str) -> ConfigError {
        let value = lookup(&self.table, path).and_then(|value| shown(path, value));
        let expected = message.rfind("expected ").and_then(|at| message.get(at..));
        let (value, problem) = if message.starts_with("unknown field") {
            (None, format!("no such key; {}", expected.unwrap_or("")))
        } else if message.starts_with("missing field") {
            (None, message.replace("missing field", "add the key"))
        } else {
            let problem = match expected {
                Some("expected a sequence") => "expected a list",
                Some(text) if text.starts_with("expected struct") => "expected a section",
                Some(text) => text,
                None => message,
            };
            (value, problem.to_owned())
        };
        ConfigError::Key {
            key: path.to_owned(),
            value,
            problem,
            origin: self.origin(path),
        }
    }

    /// Where a key, or the nearest key around it, came from.
    fn origin(&self, key: &str) -> Origin {
        let mut key = key;
        loop {
            if let Some(origin) = self.origins.get(key) {
                return origin.clone();
            }
            match key.rfind(['.', '[']).and_then(|at| key.get(..at)) {
                Some(outer) => key = outer,
                None => return Origin::Default,
            }
        }
    }

    /// The key a variable meant that has one underscore where two belong.
    fn key_that_means(&self, rest: &str) -> Option<String> {
        let sections = self.template.iter();
        let keys = sections.filter_map(|(name, value)| Some((name, value.as_table()?)));
        keys.flat_map(|(name, table)| table.keys().map(move |key| format!("{name}.{key}")))
            .find(|key| key.replace('.', "_").eq_ignore_ascii_case(rest))
    }
}

/// Notes the line of every key and list item of a file.
struct LinesOf<'a> {
    text: &'a str,
    path: PathBuf,
    origins: &'a mut BTreeMap<String, Origin>,
}

impl LinesOf<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = match prefix {
                "" => key.get_ref().to_string(),
                _ => format!("{prefix}.{}", key.get_ref()),
            };
            self.note(&path, key.span().start);
            self.value(&path, value);
        }
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(path, table),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.note(&path, item.span().start);
                    self.value(&path, item);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, path: &str, offset: usize) {
        let (line, _) = place(self.text, offset);
        let origin = Origin::File {
            path: self.path.clone(),
            line,
        };
        self.origins.insert(path.to_owned(), origin);
    }
}

/// Line and column of a byte offset, counted from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

fn parse_value(text: &str) -> Option<Value> {
    let mut table: Table = format!("value = {text}").parse().ok()?;
    // More than one key means that the text held a line break: then it is no value.
    (table.len() == 1).then(|| table.remove("value")).flatten()
}

/// The value at `section.key` or `apps[0].name`.
fn lookup<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let mut parts = path.split(['.', '[']);
    let mut value = table.get(parts.next()?)?;
    for part in parts {
        value = match part.strip_suffix(']') {
            Some(index) => value.get(index.parse::<usize>().ok()?)?,
            None => value.get(part)?,
        };
    }
    Some(value)
}
