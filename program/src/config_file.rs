//! Owns the config file: a TOML table whose keys are the long names of flags.
//!
//! Turns keys into settings, each with the line that it stands in. Knows no flag's type: what a value means is argh's
//! business.

use std::borrow::Cow;
use std::fs;

use argh::{FlagInfo, FlagInfoKind, Optionality};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::common::Common;
use crate::declared::{Declared, long_name};
use crate::nearest::nearest;
use crate::setting::{Setting, UsageError};

/// The text of a config file, not yet looked at.
pub(crate) struct ConfigFile {
    path: String,
    text: String,
}

impl ConfigFile {
    pub(crate) fn read(path: &str) -> Result<Self, UsageError> {
        let text = fs::read_to_string(path)
            .map_err(|error| UsageError::new(format!("cannot read the config file {path}: {error}")))?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// The settings of all keys; every key is checked, in the order of the lines.
    pub(crate) fn settings(&self, declared: &Declared) -> Result<Vec<Setting>, UsageError> {
        let table = DeTable::parse(&self.text).map_err(|error| {
            let at = error.span().map_or(self.text.len(), |span| span.start);
            self.error(at, &error.message().replace('\n', " "))
        })?;
        let mut keys: Vec<_> = table.get_ref().iter().collect();
        keys.sort_unstable_by_key(|(key, _)| key.span().start);
        let mut settings = Vec::new();
        for (key, value) in keys {
            let name = key.get_ref().as_ref();
            let kind = declared.flags().find(|flag| long_name(flag) == name);
            match kind {
                Some(flag) => settings.extend(self.flag(flag, value)?),
                // A file that names another would have two places for everything.
                None if Common::is_common(name) && name != "config" => {
                    settings.push(self.scalar(name, value)?)
                }
                None => return Err(self.unknown_key(key.span().start, name, declared)),
            }
        }
        Ok(settings)
    }

    fn flag(&self, flag: &FlagInfo<'_>, value: &Spanned<DeValue<'_>>) -> Result<Vec<Setting>, UsageError> {
        let name = long_name(flag);
        let wrong = |why: &str| self.error(value.span().start, &format!("{name}: {why}"));
        match (&flag.kind, value.get_ref()) {
            (FlagInfoKind::Switch, DeValue::Boolean(is_on)) => {
                Ok(vec![Setting { is_on: *is_on, ..self.setting(name, value, None) }])
            }
            (FlagInfoKind::Switch, _) => Err(wrong("must be true or false")),
            (FlagInfoKind::Option { .. }, DeValue::Array(items)) => {
                if !matches!(flag.optionality, Optionality::Repeating) {
                    return Err(wrong("takes one value, not a list"));
                }
                items.iter().map(|item| self.scalar(name, item)).collect()
            }
            (FlagInfoKind::Option { .. }, _) => Ok(vec![self.scalar(name, value)?]),
        }
    }

    fn scalar(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Setting, UsageError> {
        let why = || self.error(value.span().start, &format!("{name}: must be a string or a number"));
        let text = scalar(value.get_ref()).ok_or_else(why)?;
        Ok(self.setting(name, value, Some(text.into_owned())))
    }

    fn setting(&self, name: &str, value: &Spanned<DeValue<'_>>, text: Option<String>) -> Setting {
        let line = self.line(value.span().start);
        let origin = format!("{}: line {line}: {name}", self.path);
        Setting { name: name.to_owned(), value: text, is_on: true, origin }
    }

    fn unknown_key(&self, at: usize, key: &str, declared: &Declared) -> UsageError {
        let names = declared.names().filter(|name| *name != "config");
        let near = nearest(&key.replace('_', "-"), names);
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        self.error(at, &format!("unknown key `{key}`{hint}"))
    }

    fn error(&self, at: usize, why: &str) -> UsageError {
        UsageError::new(format!("{}: line {}: {why}", self.path, self.line(at)))
    }

    /// The number of the line with byte `at`.
    fn line(&self, at: usize) -> usize {
        self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
    }
}

fn scalar<'a>(value: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
    match value {
        DeValue::String(text) => Some(Cow::Borrowed(text)),
        DeValue::Integer(number) => {
            let decimal = |number: i128| Cow::Owned(number.to_string());
            i128::from_str_radix(number.as_str(), number.radix()).ok().map(decimal)
        }
        DeValue::Float(number) => Some(Cow::Borrowed(number.as_str())),
        DeValue::Boolean(truth) => Some(Cow::Owned(truth.to_string())),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
