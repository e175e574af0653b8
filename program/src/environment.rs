//! Owns the flags that stand in environment variables: `RINGWAY_GATEWAY_START_PORT` is `--start-port` of `gateway`.
//!
//! Gives settings, and warnings about variables that mean nothing. Their values may be secrets and are never told.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use argh::{FlagInfoKind, Optionality};

use crate::common;
use crate::declared::{Declared, long_name};
use crate::nearest::nearest;
use crate::setting::{Setting, UsageError};

/// The variables of one kind of program.
pub(crate) struct Environment {
    prefix: String,
    /// By what follows the prefix.
    variables: BTreeMap<String, OsString>,
}

impl Environment {
    /// Those of `variables` that are for programs of this kind, `gateway` for example.
    pub(crate) fn of(kind: &str, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let prefix = prefix(kind);
        let ours = |(name, value): (OsString, OsString)| {
            let rest = name.to_str()?.strip_prefix(&prefix)?.to_owned();
            (!is_of_kubernetes(&rest, &value)).then_some((rest, value))
        };
        let variables = variables.into_iter().filter_map(ours).collect();
        Self { prefix, variables }
    }

    /// The settings of all flags whose variable is there and not empty.
    pub(crate) fn settings(&self, declared: &Declared) -> Result<Vec<Setting>, UsageError> {
        let mut settings = Vec::new();
        for (name, _) in common::FLAGS {
            settings.extend(self.value(name)?.map(|value| self.single(name, value)));
        }
        for flag in declared.flags() {
            let name = long_name(flag);
            let Some(value) = self.value(name)? else { continue };
            match (&flag.kind, &flag.optionality) {
                (FlagInfoKind::Switch, _) => settings.push(self.switch(name, value)?),
                (FlagInfoKind::Option { .. }, Optionality::Repeating) => {
                    settings.extend(items(value).map(|item| self.setting(name, Some(item.to_owned()))));
                }
                (FlagInfoKind::Option { .. }, _) => settings.push(self.single(name, value)),
            }
        }
        Ok(settings)
    }

    /// What to say of variables that are nobody's.
    pub(crate) fn warnings(&self, declared: &Declared) -> Vec<String> {
        let names: Vec<String> = declared.names().map(variable).collect();
        let nobodys = |rest: &&String| !names.contains(rest);
        let warning = |rest: &String| {
            let near = nearest(rest, names.iter().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean {}{near}?", self.prefix));
            match hint {
                // The other programs' variables, and those of scripts, begin like that too.
                None if self.prefix == PREFIX => None,
                hint => {
                    Some(format!("the variable {}{rest} is no flag{}", self.prefix, hint.unwrap_or_default()))
                }
            }
        };
        // A master has said it when it started the process.
        if self.variables.contains_key(MASTER) {
            return Vec::new();
        }
        self.variables.keys().filter(nobodys).filter_map(warning).collect()
    }

    fn value(&self, name: &str) -> Result<Option<&str>, UsageError> {
        let Some(value) = self.variables.get(&variable(name)) else { return Ok(None) };
        let text =
            value.to_str().ok_or_else(|| UsageError::new(format!("{}: is not UTF-8", self.label(name))))?;
        Ok((!text.trim_end_matches(LINE_ENDS).is_empty()).then_some(text))
    }

    /// A file that was made a variable brings the end of its last line.
    fn single(&self, name: &str, value: &str) -> Setting {
        self.setting(name, Some(value.trim_end_matches(LINE_ENDS).to_owned()))
    }

    fn switch(&self, name: &str, value: &str) -> Result<Setting, UsageError> {
        let is_on = match value.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err(UsageError::new(format!("{}: must be true or false", self.label(name)))),
        };
        Ok(Setting { is_on, ..self.setting(name, None) })
    }

    fn setting(&self, name: &str, value: Option<String>) -> Setting {
        Setting { name: name.to_owned(), value, is_on: true, origin: self.label(name) }
    }

    fn label(&self, name: &str) -> String {
        format!("{}{}", self.prefix, variable(name))
    }
}

/// What the variables of a kind of program begin with. `ringway` is the whole, so it has no word of its own.
pub(crate) fn prefix(kind: &str) -> String {
    if kind == "ringway" { PREFIX.to_owned() } else { format!("{PREFIX}{}_", variable(kind)) }
}

fn variable(name: &str) -> String {
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}

/// The values of a flag that may be given several times.
fn items(value: &str) -> impl Iterator<Item = &str> {
    let end = if value.contains('\n') { '\n' } else { ',' };
    value.split(end).map(str::trim).filter(|item| !item.is_empty())
}

/// Whether Kubernetes has made the variable for a service called `ringway-gateway` or the like: it tells containers
/// where all services are, by `…_SERVICE_HOST`, `…_SERVICE_PORT`, `…_PORT=tcp://…` and `…_PORT_8282_TCP…`.
fn is_of_kubernetes(rest: &str, value: &OsStr) -> bool {
    let has_part = |part: &str| rest.starts_with(&part[1..]) || rest.contains(part);
    let is_link = value.to_str().is_some_and(|value| value.contains("://"));
    has_part("_SERVICE_HOST")
        || has_part("_SERVICE_PORT")
        || ((rest == "PORT" || rest.ends_with("_PORT")) && is_link)
        || ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| {
            rest.split_once(protocol).is_some_and(|(port, _)| {
                let number = port.rsplit_once("PORT_").map(|(_, number)| number);
                number.is_some_and(|number| number.parse::<u16>().is_ok())
            })
        })
}

const PREFIX: &str = "RINGWAY_";

const LINE_ENDS: [char; 2] = ['\r', '\n'];

/// What a worker's master tells its process by, behind the prefix.
const MASTER: &str = "MASTER";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_is_known_by_its_variables() {
        for (rest, value) in [
            ("SERVICE_HOST", "10.0.0.1"),
            ("SERVICE_PORT", "8282"),
            ("SERVICE_PORT_CLIENTS", "8282"),
            ("INNER_SERVICE_HOST", "10.0.0.1"),
            ("PORT", "tcp://10.0.0.1:8282"),
            ("START_PORT", "tcp://10.0.0.1:8282"),
            ("PORT_8282_TCP", "tcp://10.0.0.1:8282"),
            ("PORT_8282_TCP_ADDR", "10.0.0.1"),
            ("INNER_PORT_53_UDP_PORT", "53"),
        ] {
            assert!(is_of_kubernetes(rest, OsStr::new(value)), "{rest}");
        }
        for (rest, value) in
            [("START_PORT", "2900"), ("STRAT_PORT", "2900"), ("PORT", "1"), ("LISTEN", "tcp://0.0.0.0:1")]
        {
            assert!(!is_of_kubernetes(rest, OsStr::new(value)), "{rest}");
        }
    }

    #[test]
    fn lists_are_separated_by_lines_if_there_are_lines() {
        let read = |value| items(value).collect::<Vec<_>>();
        assert_eq!(read("a, b,"), ["a", "b"]);
        assert_eq!(read("a,b\n c\n"), ["a,b", "c"]);
        assert_eq!(read("a,b\n"), ["a,b"]);
    }

    #[test]
    fn prefixes() {
        assert_eq!(prefix("gateway"), "RINGWAY_GATEWAY_");
        assert_eq!(prefix("ringway"), "RINGWAY_");
        assert_eq!(prefix("my-own.worker"), "RINGWAY_MY_OWN_WORKER_");
    }
}
