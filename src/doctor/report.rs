//! What the doctor found, for people and for programs.

use std::fmt::Write;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Good to know; nothing has to be done.
    Note,
    /// Works, but not for everybody or not for long.
    Warning,
    /// Does not work.
    Error,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked, in two words at most.
    pub check: &'static str,
    /// How bad it is.
    pub status: Status,
    /// What was found, one sentence.
    pub found: String,
    /// What to do about it, one sentence; `None` where nothing has to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), fix: None }
    }

    pub(super) fn note(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, status: Status::Note, found: found.into(), fix: Some(fix.into()) }
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, status: Status::Warning, found: found.into(), fix: Some(fix.into()) }
    }

    pub(super) fn error(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, status: Status::Error, found: found.into(), fix: Some(fix.into()) }
    }
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The version of this program.
    pub version: &'static str,
    /// The worst of all findings.
    pub status: Status,
    /// What was found, in the order in which it was looked for.
    pub findings: Vec<Finding>,
}

/// How text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With colours, for a terminal.
    Coloured,
    /// Without.
    Plain,
}

/// The longest line in characters, so that a report fits an ordinary terminal.
const WIDTH: usize = 100;
/// Where sentences begin: behind the status and the check.
const INDENT: usize = 27;

impl Report {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        let status = findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok);
        Self { version: env!("CARGO_PKG_VERSION"), status, findings }
    }

    /// The exit status of the program: 0 when nothing has to be done, 1 for warnings, 2 for errors.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self.status {
            Status::Ok | Status::Note => 0,
            Status::Warning => 1,
            Status::Error => 2,
        }
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> String {
        // It holds texts only, which can always be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For people: a line for each finding and below it what to do, then the sum.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let mut text = format!("Sluice {}, as it stands here\n\n", self.version);
        for finding in &self.findings {
            let (word, colour) = match finding.status {
                Status::Ok => ("ok", "32"),
                Status::Note => ("note", "36"),
                Status::Warning => ("warning", "33"),
                Status::Error => ("error", "31;1"),
            };
            let word = format!("{word:<8}");
            let word = if style == Style::Coloured { format!("\x1b[{colour}m{word}\x1b[0m") } else { word };
            let _ = write!(text, "  {word} {:<16}", finding.check);
            wrap(&mut text, "", &finding.found);
            if let Some(fix) = &finding.fix {
                text.extend(std::iter::repeat_n(' ', INDENT));
                wrap(&mut text, "-> ", fix);
            }
        }
        let _ = write!(text, "\n{}\n", self.sum());
        text
    }

    /// The last line.
    fn sum(&self) -> String {
        let count = |status, one, many| {
            let count = self.findings.iter().filter(|finding| finding.status == status).count();
            (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
        };
        let counts = [count(Status::Error, "error", "errors"), count(Status::Warning, "warning", "warnings")];
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        if counts.is_empty() { "All is well.".to_owned() } else { format!("{}.", counts.join(", ")) }
    }
}

/// Writes `sentence` from the column [`INDENT`] on, in lines of at most [`WIDTH`].
fn wrap(text: &mut String, mark: &str, sentence: &str) {
    let room = WIDTH - INDENT - mark.len();
    let mut used = 0;
    text.push_str(mark);
    for (index, word) in sentence.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && used + 1 + length > room {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', INDENT + mark.len()));
            used = 0;
        } else if index > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += length;
    }
    text.push('\n');
}

/// `items` in words, with the last two joined by "and".
pub(super) fn listed<T: ToString>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => texts.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::new(vec![
            Finding::ok("server", "it runs and is well"),
            Finding::warning("UDP buffers", "the kernel gives 0.2 of 8 MiB to receive, ".repeat(3), "do so"),
        ])
    }

    #[test]
    fn a_report_is_aligned_and_fits_a_terminal() {
        let text = report().text(Style::Plain);
        let expected = format!(
            "Sluice {}, as it stands here\n\n\
             \x20 ok       server          it runs and is well\n\
             \x20 warning  UDP buffers     the kernel gives 0.2 of 8 MiB to receive, the kernel gives 0.2 of 8 MiB\n\
             \x20                          to receive, the kernel gives 0.2 of 8 MiB to receive, \n\
             \x20                          -> do so\n\n\
             1 warning.\n",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert!(report().text(Style::Coloured).contains("\x1b[33mwarning \x1b[0m UDP buffers"));
    }

    #[test]
    fn the_worst_finding_decides() {
        let of = |statuses: &[Status]| {
            let finding = |status: &Status| Finding { status: *status, ..Finding::ok("a", "b") };
            Report::new(statuses.iter().map(finding).collect())
        };
        use Status::{Error, Note, Ok, Warning};
        for (statuses, exit, sum) in [
            (&[][..], 0, "All is well."),
            (&[Ok, Note], 0, "All is well."),
            (&[Ok, Warning, Warning], 1, "2 warnings."),
            (&[Error, Ok, Warning], 2, "1 error, 1 warning."),
        ] {
            let report = of(statuses);
            assert_eq!((report.exit_status(), report.sum().as_str()), (exit, sum), "{statuses:?}");
        }
    }

    #[test]
    fn json_has_the_same() {
        let value: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(value["status"], "warning");
        let first = serde_json::json!({"check": "server", "status": "ok", "found": "it runs and is well"});
        assert_eq!(value["findings"][0], first);
        assert_eq!(value["findings"][1]["fix"], "do so");
    }
}
