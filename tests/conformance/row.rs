//! A line of the table: what a document lays down, what is asked, and what has to come back.

use std::fmt;

use crate::http::{Error, Reply};
use crate::subject::Subject;

/// How binding a line is (RFC 2119). SHALL is MUST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Must,
    MustNot,
    Should,
    ShouldNot,
    May,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
            Self::May => "MAY",
        })
    }
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail(String),
    /// The server does not have what the line is about, and need not.
    NotApplicable(String),
}

pub(crate) type Judged = Result<Verdict, Error>;

pub(crate) struct Row {
    /// RFC 9725 without further words; else the document and its section.
    pub(crate) section: &'static str,
    pub(crate) level: Level,
    pub(crate) request: &'static str,
    pub(crate) expects: &'static str,
    pub(crate) judge: fn(&Subject) -> Judged,
}

/// A pass if `good`, else a fail with what came instead.
pub(crate) fn check(good: bool, reply: &Reply) -> Judged {
    Ok(if good { Verdict::Pass } else { Verdict::Fail(reply.to_string()) })
}

/// A pass if `good`, else a fail with a reason.
pub(crate) fn check_that(good: bool, why: impl Into<String>) -> Judged {
    Ok(if good { Verdict::Pass } else { Verdict::Fail(why.into()) })
}

pub(crate) fn not_applicable(why: &str) -> Judged {
    Ok(Verdict::NotApplicable(why.to_owned()))
}
