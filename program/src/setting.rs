//! Owns what a flag is that is set elsewhere than on the command line, and what is wrong with one.

/// What is wrong with a command line, a variable or a config file, as one line without the program's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(String);

impl UsageError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A flag that is set elsewhere than on the command line.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Without dashes.
    pub(crate) name: String,
    /// `None`: it is a switch.
    pub(crate) value: Option<String>,
    /// A switch that is off overrides one that is on in the file.
    pub(crate) is_on: bool,
    /// Where it stands, for errors.
    pub(crate) origin: String,
}

impl Setting {
    /// The same as words of a command line.
    pub(crate) fn words(&self) -> Vec<String> {
        let name = self.is_on.then(|| format!("--{}", self.name));
        name.into_iter().chain(self.value.clone()).collect()
    }
}
