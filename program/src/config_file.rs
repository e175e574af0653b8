//! Owns the config file: a TOML table whose keys are the long names of flags.
//!
//! Turns keys into command line words. Knows no flag's type: what a value means is argh's business.

use std::collections::HashSet;
use std::fs;

use argh::{FlagInfo, FlagInfoKind, Optionality};
use toml::{Table, Value};

use crate::flags::{UsageError, long_name};
use crate::logging::LogLevel;

/// A config file that is TOML, with keys not yet looked at.
pub(crate) struct ConfigFile {
    path: String,
    table: Table,
}

/// What the file adds to the command line.
pub(crate) struct ConfigWords {
    path: String,
    pub(crate) words: Vec<String>,
    pub(crate) log_level: Option<LogLevel>,
}

impl ConfigFile {
    pub(crate) fn read(path: &str) -> Result<Self, UsageError> {
        let text = fs::read_to_string(path)
            .map_err(|error| UsageError::new(format!("cannot read the config file {path}: {error}")))?;
        let table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
            let line = before.matches('\n').count() + 1;
            let message = error.message().replace('\n', " ");
            UsageError::new(format!("{path}: line {line}: {message}"))
        })?;
        Ok(Self { path: path.to_owned(), table })
    }

    /// The words for all keys that are not in `given`. Every key is checked, also those that the command line overrides.
    pub(crate) fn words(
        self,
        known: &[FlagInfo<'_>],
        given: &HashSet<String>,
    ) -> Result<ConfigWords, UsageError> {
        let mut out = ConfigWords { path: self.path, words: Vec::new(), log_level: None };
        for (key, value) in &self.table {
            if key == "log-level" {
                out.log_level = Some(log_level(value).map_err(|why| out.error(key, &why))?);
                continue;
            }
            let flag = known.iter().find(|flag| long_name(flag) == key);
            let flag = flag.ok_or_else(|| unknown_key(&out.path, key, known))?;
            let words = flag_words(flag, value).map_err(|why| out.error(key, &why))?;
            if !given.contains(key) {
                out.words.extend(words);
            }
        }
        Ok(out)
    }
}

impl ConfigWords {
    /// Rewrites argh's complaint about a value as one about the file, if the value came from the file.
    pub(crate) fn blame(&self, complaint: &str) -> Option<UsageError> {
        let rest = complaint.strip_prefix("error parsing option '")?;
        let (option, why) = rest.split_once("' with value ")?;
        if !self.words.iter().any(|word| word == option) {
            return None;
        }
        Some(self.error(option.trim_start_matches("--"), &format!("wrong value {why}")))
    }

    fn error(&self, key: &str, why: &str) -> UsageError {
        UsageError::new(format!("{}: {key}: {why}", self.path))
    }
}

fn unknown_key(path: &str, key: &str, known: &[FlagInfo<'_>]) -> UsageError {
    let kebab = key.replace('_', "-");
    let is_near = kebab != key && known.iter().any(|flag| long_name(flag) == kebab);
    let hint = if is_near { format!(", it is spelled {kebab}") } else { String::new() };
    UsageError::new(format!("{path}: unknown key {key}{hint}"))
}

fn log_level(value: &Value) -> Result<LogLevel, String> {
    value.as_str().ok_or("must be a string")?.parse()
}

fn flag_words(flag: &FlagInfo<'_>, value: &Value) -> Result<Vec<String>, String> {
    let name = flag.long.to_owned();
    match (&flag.kind, value) {
        (FlagInfoKind::Switch, Value::Boolean(true)) => Ok(vec![name]),
        (FlagInfoKind::Switch, Value::Boolean(false)) => Ok(Vec::new()),
        (FlagInfoKind::Switch, _) => Err("must be true or false".to_owned()),
        (FlagInfoKind::Option { .. }, Value::Array(items)) => {
            if !matches!(flag.optionality, Optionality::Repeating) {
                return Err("takes one value, not a list".to_owned());
            }
            let words = items.iter().map(|item| Ok([name.clone(), scalar(item)?]));
            Ok(words.collect::<Result<Vec<_>, String>>()?.concat())
        }
        (FlagInfoKind::Option { .. }, value) => Ok(vec![name, scalar(value)?]),
    }
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            Err("must be a string or a number".to_owned())
        }
    }
}
