//! What was wrong with a configuration, told together and with its place.

use std::collections::BTreeMap;
use std::fmt;

/// Where a value was set. The order is that of the sources, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of the configuration file; lines count from 1.
    File {
        /// The file's name, as it was given.
        name: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// The environment variable of this name.
    Environment(String),
    /// A `--set` argument for this key. Its value is left out, because it may be a secret.
    Argument(String),
}

/// Where each key was set; keys with their default are missing, and a table has one entry for each of its own.
pub(super) type Origins = BTreeMap<&'static str, Vec<Origin>>;

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Argument(key) => write!(f, "--set {key}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands; `None` when defaults are part of it, or the file could not be read.
    pub origin: Option<Origin>,
    /// What is wrong and what to do, as one sentence. It never holds a secret.
    pub sentence: String,
    /// The key it is about, or the key that was probably meant.
    pub key: Option<&'static str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.sentence),
            None => f.write_str(&self.sentence),
        }
    }
}

/// Everything that is wrong with a configuration, one line each, lowest source first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Vec<Problem>);

impl Error {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// All problems, lowest source first.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
