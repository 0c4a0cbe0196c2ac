//! Which configuration file is read.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use super::error::{Error, Problem};

/// The file that is read from the working directory when none is named.
pub const DEFAULT_NAME: &str = "sluice.toml";

/// The environment variable that names the file when `--config` does not.
pub const VARIABLE: &str = "SLUICE_CONFIG";

/// A configuration file that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its name, as errors show it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Reads the file of `--config`, else the one of [`VARIABLE`] unless that is empty, else [`DEFAULT_NAME`] in
/// `directory` if it exists there; else there is none.
///
/// # Errors
/// The file is named but missing, or it cannot be read.
pub fn find(
    argument: Option<&Path>,
    variable: Option<&OsStr>,
    directory: &Path,
) -> Result<Option<ConfigFile>, Error> {
    if let Some(path) = argument {
        return read(path, "--config").map(Some);
    }
    if let Some(name) = variable.filter(|name| !name.is_empty()) {
        return read(Path::new(name), VARIABLE).map(Some);
    }
    let path = directory.join(DEFAULT_NAME);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(ConfigFile { name: DEFAULT_NAME.to_owned(), text })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&path, "the working directory", &error)),
    }
}

fn read(path: &Path, named_by: &str) -> Result<ConfigFile, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, named_by, &error))?;
    Ok(ConfigFile { name: path.display().to_string(), text })
}

fn unreadable(path: &Path, named_by: &str, error: &std::io::Error) -> Error {
    let sentence =
        format!("the configuration file {} (from {named_by}) cannot be read: {error}", path.display());
    Error::new(vec![Problem { origin: None, sentence, key: None }])
}
