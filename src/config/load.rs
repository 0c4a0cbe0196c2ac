//! Sources on top of each other: defaults, file, environment, `--set`. All errors are collected.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::Config;
use super::check;
use super::error::{Error, Origin, Origins, Problem};
use super::field::Value;
use super::file::ConfigFile;
use super::keys::{self, KEYS, Key, SECTIONS};

const PREFIX: &str = "SLUICE__";

/// A valid configuration, and where its values were set.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    origins: Origins,
}

/// Builds the configuration out of `file`, the `environment` (all variables; others than `SLUICE__...` are
/// passed over) and the `--set` arguments `sets`, each overriding the one before.
///
/// # Errors
/// Everything that is wrong, together: unknown keys, values that a key does not take, values that do not fit
/// together, and what is no TOML.
pub fn load<N, V, S>(
    file: Option<&ConfigFile>,
    environment: impl IntoIterator<Item = (N, V)>,
    sets: impl IntoIterator<Item = S>,
) -> Result<Loaded, Error>
where
    N: Into<OsString>,
    V: Into<OsString>,
    S: AsRef<str>,
{
    let mut loading = Loading::default();
    if let Some(file) = file {
        loading.read_file(file);
    }
    let mut variables: Vec<(OsString, OsString)> =
        environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    variables.sort();
    for (name, value) in &variables {
        if let Some(name) = name.to_str() {
            loading.read_variable(name, value.to_str());
        }
    }
    for set in sets {
        loading.read_set(set.as_ref());
    }
    loading.finish()
}

impl Loaded {
    /// Every key with its effective value in TOML, secrets as `***`, and where it was set if it was.
    #[must_use]
    pub fn listing(&self) -> String {
        let mut text = String::new();
        for section in SECTIONS {
            let _ = writeln!(text, "\n[{}]", section.name);
            for key in KEYS.iter().filter(|key| key.parts().0 == section.name) {
                let _ = write!(text, "{} = {}", key.parts().1, key.show(&self.config));
                if let Some(origins) = self.origins.get(key.name) {
                    let origins: BTreeSet<&Origin> = origins.iter().collect();
                    let origins: Vec<String> = origins.into_iter().map(Origin::to_string).collect();
                    let _ = write!(text, "  # {}", origins.join(", "));
                }
                text.push('\n');
            }
        }
        text
    }
}

#[derive(Default)]
struct Loading {
    config: Config,
    origins: Origins,
    problems: Vec<Problem>,
    /// A part of the file could not be understood, so nothing is judged that may depend on it.
    file_is_unclear: bool,
}

impl Loading {
    fn read_file(&mut self, file: &ConfigFile) {
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        let origin =
            |span: Range<usize>| Origin::File { name: file.name.clone(), line: line_of(&file.text, span) };
        for error in &errors {
            self.file_is_unclear = true;
            // Only the message: the full display quotes the line, which may hold a secret.
            let message = error.message().trim_end_matches(", expected nothing");
            let sentence = format!("this is not TOML: {message}");
            self.report(Some(origin(error.span().unwrap_or_default())), None, sentence);
        }
        // One mistake often makes several errors on its line; the first is the telling one.
        self.problems.dedup_by(|next, first| next.origin == first.origin);
        if errors.is_empty() {
            for (section, body) in document.get_ref() {
                self.read_section(&origin, section.get_ref(), section.span(), body.get_ref());
            }
        }
        // The parser sorts by name; people read by line.
        self.problems.sort_by_key(|problem| match problem.origin {
            Some(Origin::File { line, .. }) => line,
            _ => 0,
        });
    }

    fn read_section(
        &mut self,
        origin: &impl Fn(Range<usize>) -> Origin,
        section: &str,
        span: Range<usize>,
        body: &DeValue<'_>,
    ) {
        let known = SECTIONS.iter().any(|s| s.name == section);
        let DeValue::Table(body) = body else {
            if known {
                let sentence = format!("`{section}` is a section: write `[{section}]`, and its keys below");
                self.report(Some(origin(span)), None, sentence);
            } else {
                self.report_unknown(origin(span), section);
            }
            return;
        };
        if !known {
            let hint = match keys::nearest_section(section) {
                Some(near) => format!("did you mean `[{near}]`?"),
                None => format!("the sections are {}", names(SECTIONS.iter().map(|s| s.name))),
            };
            self.report(Some(origin(span)), None, format!("unknown section `[{section}]`; {hint}"));
            // What stands in it may have been meant for any key.
            self.file_is_unclear = true;
            return;
        }
        for (name, value) in body {
            let path = format!("{section}.{}", name.get_ref());
            match (keys::find(&path), value.get_ref()) {
                (Some((key, None)), DeValue::Table(entries)) if key.is_table() => {
                    for (entry, value) in entries {
                        let path = format!("{path}.{}", entry.get_ref());
                        self.assign(origin(entry.span()), &path, Value::Toml(value.get_ref()));
                    }
                }
                (_, value) => self.assign(origin(name.span()), &path, Value::Toml(value)),
            }
        }
    }

    /// `SLUICE__SECTION__KEY`, or `SLUICE__SECTION__KEY__entry` for a table, whose entry keeps its case.
    fn read_variable(&mut self, name: &str, value: Option<&str>) {
        let origin = Origin::Environment(name.to_owned());
        let Some(rest) = name.strip_prefix(PREFIX) else {
            let single = |key: &&Key| name.strip_prefix("SLUICE_") == Some(&key.with_single_underscores());
            if let Some(key) = KEYS.iter().find(single) {
                let sentence =
                    format!("this variable is not read; write `{}`, with two underscores", key.variable());
                self.report(Some(origin), Some(key.name), sentence);
            }
            return;
        };
        let mut parts = rest.splitn(3, "__");
        let known = [parts.next(), parts.next()].into_iter().flatten().map(str::to_ascii_lowercase);
        let path: Vec<String> = known.chain(parts.next().map(str::to_owned)).collect();
        let path = path.join(".");
        if let Some(value) = value {
            self.assign(origin, &path, Value::Text(value));
        } else {
            let key = keys::find(&path).map(|(key, _)| key.name);
            self.report(Some(origin), key, "the value is not UTF-8".to_owned());
        }
    }

    fn read_set(&mut self, set: &str) {
        let Some((path, value)) = set.split_once('=') else {
            // What follows the key may be a secret, so only the key is shown.
            let in_key = |c: char| c.is_ascii_alphanumeric() || "-_.~*".contains(c);
            let key = set.split(|c| !in_key(c)).next().unwrap_or_default();
            let sentence = "there is no `=`; write `--set section.key=value`".to_owned();
            self.report(Some(Origin::Argument(key.to_owned())), None, sentence);
            return;
        };
        let path = path.trim();
        self.assign(Origin::Argument(path.to_owned()), path, Value::Text(value));
    }

    fn assign(&mut self, origin: Origin, path: &str, value: Value<'_>) {
        let Some((key, entry)) = keys::find(path) else {
            self.report_unknown(origin, path);
            return;
        };
        match key.set(&mut self.config, entry, value) {
            Ok(()) => {
                let origins = self.origins.entry(key.name).or_default();
                if !key.is_table() {
                    origins.clear();
                }
                origins.push(origin);
            }
            Err(refusal) => {
                let found = refusal.found.map_or_else(String::new, |found| format!("; found {found}"));
                let mut sentence = format!("`{path}` takes {}{found}", refusal.takes);
                if key.is_table() && entry.is_none() && !matches!(origin, Origin::File { .. }) {
                    let _ = write!(sentence, "; set `{}.<name>` or `{}`", key.name, key.variable());
                }
                self.report(Some(origin), Some(key.name), sentence);
            }
        }
    }

    fn report_unknown(&mut self, origin: Origin, path: &str) {
        let near = keys::nearest(path);
        let section = path.split('.').next().unwrap_or_default();
        let hint = match near {
            Some(key) if matches!(origin, Origin::Environment(_)) => {
                format!("did you mean `{}` ({})?", key.name, key.variable())
            }
            Some(key) => format!("did you mean `{}`?", key.name),
            None if SECTIONS.iter().any(|s| s.name == section) => {
                let own = KEYS.iter().map(Key::parts).filter(|(s, _)| *s == section).map(|(_, name)| name);
                format!("the keys of `[{section}]` are {}", names(own))
            }
            None => format!("the sections are {}", names(SECTIONS.iter().map(|s| s.name))),
        };
        self.report(Some(origin), near.map(|key| key.name), format!("unknown key `{path}`; {hint}"));
    }

    fn report(&mut self, origin: Option<Origin>, key: Option<&'static str>, sentence: String) {
        self.problems.push(Problem { origin, sentence, key });
    }

    fn finish(mut self) -> Result<Loaded, Error> {
        if !self.file_is_unclear {
            let faulty: Vec<&str> = self.problems.iter().filter_map(|problem| problem.key).collect();
            let broken = check::run(&self.config, &self.origins, &faulty);
            self.problems.extend(broken);
        }
        if self.problems.is_empty() {
            Ok(Loaded { config: self.config, origins: self.origins })
        } else {
            Err(Error::new(self.problems))
        }
    }
}

/// The line, counted from 1, on which `span` begins.
fn line_of(text: &str, span: Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count()
}

/// `a, b and c`, each in backticks.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
