//! How a value travels between its written form and its typed place in a [`Config`](super::Config).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::de::DeValue;

use super::access_key::AccessKey;
use super::host::{DomainName, Host, HostPort};
use super::types::{Folder, LogFilter, LogFormat, Mail, PublicUrl, Realm};
use crate::ids::RoomName;

/// A value as a source wrote it.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// Out of the environment or of `--set`: the key's type says how to read it.
    Text(&'a str),
    /// Out of a file, where it has a type already.
    Toml(&'a DeValue<'a>),
}

/// The TOML type that a scalar is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Integer,
    Boolean,
}

/// A value that a key does not take.
pub(super) struct Refusal {
    /// What the key takes, to be read after "takes".
    pub takes: String,
    /// What was found instead; `None` when that is a secret.
    pub found: Option<String>,
}

/// The typed place of one key.
pub(super) trait Field {
    /// What the key takes, to be read after "takes".
    fn takes(&self) -> String;
    /// Reads `value` into its place. `entry` names the entry of a table, and is `None` for all other keys.
    fn set(&mut self, entry: Option<&str>, value: Value<'_>) -> Result<(), Refusal>;
    /// The present value in TOML, secrets as `***`.
    fn show(&self) -> String;

    /// The refusal of `value`, which is no secret.
    fn refuse(&self, value: Value<'_>) -> Refusal {
        Refusal { takes: self.takes(), found: Some(value.describe()) }
    }
}

/// A type that is written as one TOML value.
pub(super) trait Scalar: Sized {
    const FORM: Form;
    /// What is taken, to be read after "takes".
    const TAKES: &'static str;
    fn read(text: &str) -> Option<Self>;
    fn show(&self) -> String;
}

/// A key with exactly one value.
pub(super) fn one<T: Scalar>(place: &mut T) -> Box<dyn Field + '_> {
    Box::new(One(place))
}

/// A key that may be left empty.
pub(super) fn optional<T: Scalar>(place: &mut Option<T>) -> Box<dyn Field + '_> {
    Box::new(Optional(place))
}

/// A key with a list of at least `min` values. A single value may stand without brackets.
pub(super) fn list<T: Scalar>(place: &mut Vec<T>, min: usize) -> Box<dyn Field + '_> {
    Box::new(List(place, min))
}

/// A key with a whole number in `range`, counted in `unit`.
pub(super) fn number<'a>(
    place: &'a mut u32,
    range: RangeInclusive<u32>,
    unit: &'static str,
) -> Box<dyn Field + 'a> {
    Box::new(Number { place, range, unit })
}

/// A table of keys by the name of what they open, which is called `what`, as in "stream".
pub(super) fn keys<'a, const MIN: usize>(
    place: &'a mut BTreeMap<String, AccessKey<MIN>>,
    what: &'static str,
) -> Box<dyn Field + 'a> {
    Box::new(Keys { place, what, secret: "key", any: true })
}

/// A table of passwords by user.
pub(super) fn passwords<const MIN: usize>(
    place: &mut BTreeMap<String, AccessKey<MIN>>,
) -> Box<dyn Field + '_> {
    Box::new(Keys { place, what: "user", secret: "password", any: false })
}

/// A key with a list of at most `max` secrets.
pub(super) fn secrets<const MIN: usize>(place: &mut Vec<AccessKey<MIN>>, max: usize) -> Box<dyn Field + '_> {
    Box::new(Secrets(place, max))
}

/// A key that may be left empty.
pub(super) fn secret<const MIN: usize>(place: &mut Option<AccessKey<MIN>>) -> Box<dyn Field + '_> {
    Box::new(Secret(place))
}

struct One<'a, T>(&'a mut T);

impl<T: Scalar> Field for One<'_, T> {
    fn takes(&self) -> String {
        T::TAKES.to_owned()
    }

    fn set(&mut self, _entry: Option<&str>, value: Value<'_>) -> Result<(), Refusal> {
        *self.0 = value.scalar(T::FORM).and_then(|text| T::read(&text)).ok_or_else(|| self.refuse(value))?;
        Ok(())
    }

    fn show(&self) -> String {
        self.0.show()
    }
}

struct Optional<'a, T>(&'a mut Option<T>);

impl<T: Scalar> Field for Optional<'_, T> {
    fn takes(&self) -> String {
        format!("{}, or nothing (\"\")", T::TAKES)
    }

    fn set(&mut self, _entry: Option<&str>, value: Value<'_>) -> Result<(), Refusal> {
        let text = value.scalar(T::FORM).ok_or_else(|| self.refuse(value))?;
        *self.0 =
            if text.is_empty() { None } else { Some(T::read(&text).ok_or_else(|| self.refuse(value))?) };
        Ok(())
    }

    fn show(&self) -> String {
        self.0.as_ref().map_or_else(|| quoted(""), T::show)
    }
}

struct List<'a, T>(&'a mut Vec<T>, usize);

impl<T: Scalar> Field for List<'_, T> {
    fn takes(&self) -> String {
        let amount = if self.1 == 0 { String::new() } else { format!(" of at least {}", self.1) };
        format!("a list{amount}, each item {}", T::TAKES)
    }

    fn set(&mut self, _entry: Option<&str>, value: Value<'_>) -> Result<(), Refusal> {
        let mut read = Vec::new();
        for item in value.items() {
            let parsed = item.scalar(T::FORM).and_then(|text| T::read(&text));
            read.push(parsed.ok_or_else(|| self.refuse(item))?);
        }
        if read.len() < self.1 {
            return Err(Refusal { takes: self.takes(), found: Some("an empty list".to_owned()) });
        }
        *self.0 = read;
        Ok(())
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.0.iter().map(T::show).collect();
        format!("[{}]", items.join(", "))
    }
}

struct Number<'a> {
    place: &'a mut u32,
    range: RangeInclusive<u32>,
    unit: &'static str,
}

impl Field for Number<'_> {
    fn takes(&self) -> String {
        format!("a whole number of {} from {} to {}", self.unit, self.range.start(), self.range.end())
    }

    fn set(&mut self, _entry: Option<&str>, value: Value<'_>) -> Result<(), Refusal> {
        let number = value.scalar(Form::Integer).and_then(|text| text.replace('_', "").parse().ok());
        *self.place = number.filter(|n| self.range.contains(n)).ok_or_else(|| self.refuse(value))?;
        Ok(())
    }

    fn show(&self) -> String {
        self.place.to_string()
    }
}

struct Secret<'a, const MIN: usize>(&'a mut Option<AccessKey<MIN>>);

impl<const MIN: usize> Field for Secret<'_, MIN> {
    fn takes(&self) -> String {
        format!("a text of at least {MIN} visible ASCII characters, without spaces, or nothing (\"\")")
    }

    fn set(&mut self, _entry: Option<&str>, value: Value<'_>) -> Result<(), Refusal> {
        let refusal = || Refusal { takes: self.takes(), found: None };
        let text = value.verbatim().ok_or_else(refusal)?;
        *self.0 = if text.is_empty() { None } else { Some(AccessKey::new(text).map_err(|_| refusal())?) };
        Ok(())
    }

    fn show(&self) -> String {
        quoted(if self.0.is_some() { "***" } else { "" })
    }
}

struct Secrets<'a, const MIN: usize>(&'a mut Vec<AccessKey<MIN>>, usize);

impl<const MIN: usize> Field for Secrets<'_, MIN> {
    fn takes(&self) -> String {
        let max = self.1;
        format!(
            "a list of at most {max}, each item a text of at least {MIN} visible ASCII characters, without spaces or commas"
        )
    }

    fn set(&mut self, _entry: Option<&str>, value: Value<'_>) -> Result<(), Refusal> {
        let read = |item: &Value<'_>| {
            let text = item.scalar(Form::Text)?;
            AccessKey::new(&text).ok().filter(|_| !text.contains(','))
        };
        let read: Option<Vec<_>> = value.items().iter().map(read).collect();
        let refusal = || Refusal { takes: self.takes(), found: None };
        *self.0 = read.filter(|read| read.len() <= self.1).ok_or_else(refusal)?;
        Ok(())
    }

    fn show(&self) -> String {
        let items: Vec<&str> = self.0.iter().map(|_| "\"***\"").collect();
        format!("[{}]", items.join(", "))
    }
}

struct Keys<'a, const MIN: usize> {
    place: &'a mut BTreeMap<String, AccessKey<MIN>>,
    what: &'static str,
    /// What an entry holds, as in "key".
    secret: &'static str,
    /// Whether `*` stands for all that have no entry.
    any: bool,
}

impl<const MIN: usize> Field for Keys<'_, MIN> {
    fn takes(&self) -> String {
        let Self { what, secret, .. } = self;
        let any = if self.any { format!(" or \"*\" for any {what},") } else { String::new() };
        format!(
            "a table with an entry for each {what}: its name,{any} and its {secret} of at least {MIN} visible ASCII \
             characters"
        )
    }

    fn set(&mut self, entry: Option<&str>, value: Value<'_>) -> Result<(), Refusal> {
        let refuse = |takes: String| Refusal { takes, found: None };
        let Some(name) = entry else {
            return Err(refuse(self.takes()));
        };
        if !(self.any && name == "*") && name.parse::<RoomName>().is_err() {
            let any = if self.any { ", or \"*\"" } else { "" };
            let names = format!("{} names of 1 to 128 letters, digits and - _ . ~{any}", self.what);
            return Err(refuse(names));
        }
        let Some(text) = value.verbatim() else {
            return Err(refuse("a text in quotes; names with dots are quoted too".to_owned()));
        };
        let key = AccessKey::new(text).map_err(|_| {
            refuse(format!("a {} of at least {MIN} visible ASCII characters, without spaces", self.secret))
        })?;
        self.place.insert(name.to_owned(), key);
        Ok(())
    }

    fn show(&self) -> String {
        if self.place.is_empty() {
            return "{}".to_owned();
        }
        let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let shown = |name: &String| if plain(name) { name.clone() } else { quoted(name) };
        let entries: Vec<String> =
            self.place.keys().map(|name| format!("{} = \"***\"", shown(name))).collect();
        format!("{{ {} }}", entries.join(", "))
    }
}

impl Value<'_> {
    /// The text of one value written as `form`; `None` when it has another type.
    fn scalar(&self, form: Form) -> Option<Cow<'_, str>> {
        match (self, form) {
            (Value::Text(text), _) => Some(text.trim().into()),
            (Value::Toml(DeValue::String(text)), Form::Text) => Some(text.as_ref().into()),
            (Value::Toml(DeValue::Boolean(truth)), Form::Boolean) => Some(truth.to_string().into()),
            (Value::Toml(DeValue::Integer(number)), Form::Integer) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string().into())
            }
            _ => None,
        }
    }

    /// The text exactly as it was written; `None` when it is no text.
    fn verbatim(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Toml(value) => value.as_str(),
        }
    }

    /// The items of a list: comma separated in plain text, and a single value is a list of one.
    fn items(&self) -> Vec<Value<'_>> {
        match self {
            Value::Text(text) if text.trim().is_empty() => Vec::new(),
            Value::Text(text) => text.split(',').map(Value::Text).collect(),
            Value::Toml(DeValue::Array(items)) => {
                items.iter().map(|item| Value::Toml(item.get_ref())).collect()
            }
            Value::Toml(_) => vec![*self],
        }
    }

    /// The value for an error, not too long.
    fn describe(&self) -> String {
        let text = match self {
            Value::Text(text) => format!("{text:?}"),
            Value::Toml(DeValue::String(text)) => format!("{text:?}"),
            Value::Toml(DeValue::Integer(number)) => number.to_string(),
            Value::Toml(DeValue::Float(number)) => number.to_string(),
            Value::Toml(DeValue::Boolean(truth)) => truth.to_string(),
            Value::Toml(DeValue::Datetime(_)) => "a date".to_owned(),
            Value::Toml(DeValue::Array(_)) => "a list".to_owned(),
            Value::Toml(DeValue::Table(_)) => "a table".to_owned(),
        };
        match text.char_indices().nth(80) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }
}

/// `text` as a TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Scalar for SocketAddr {
    const FORM: Form = Form::Text;
    const TAKES: &'static str = "an IP address with a port, like \"127.0.0.1:8080\" or \"[::1]:8080\"";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Scalar for Host {
    const FORM: Form = Form::Text;
    const TAKES: &'static str = "an IP address without a port, like \"203.0.113.7\" or \"2001:db8::7\", or a DNS name, like \"live.example.org\"";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Scalar for HostPort {
    const FORM: Form = Form::Text;
    const TAKES: &'static str =
        "a DNS name or IP address with a port, like \"stun.example.org:3478\" or \"[2001:db8::1]:3478\"";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Scalar for DomainName {
    const FORM: Form = Form::Text;
    const TAKES: &'static str = "a DNS name with a dot, like \"live.example.org\"";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

impl Scalar for Mail {
    const FORM: Form = Form::Text;
    const TAKES: &'static str = "a mail address, like \"admin@example.org\"";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

impl Scalar for Folder {
    const FORM: Form = Form::Text;
    const TAKES: &'static str = "the path of a folder";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        quoted(&self.as_path().display().to_string())
    }
}

impl Scalar for bool {
    const FORM: Form = Form::Boolean;
    const TAKES: &'static str = "true or false";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Scalar for PathBuf {
    const FORM: Form = Form::Text;
    const TAKES: &'static str = "the path of a file";

    fn read(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }

    fn show(&self) -> String {
        quoted(&self.display().to_string())
    }
}

impl Scalar for PublicUrl {
    const FORM: Form = Form::Text;
    const TAKES: &'static str = "an absolute http or https URL without user name, query and fragment, like \"https://live.example.org\"";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

impl Scalar for Realm {
    const FORM: Form = Form::Text;
    const TAKES: &'static str = "1 to 64 visible ASCII characters, without spaces";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

impl Scalar for LogFilter {
    const FORM: Form = Form::Text;
    const TAKES: &'static str =
        "off, error, warn, info, debug or trace, then target=level for exceptions, like \"info,str0m=warn\"";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

impl Scalar for LogFormat {
    const FORM: Form = Form::Text;
    const TAKES: &'static str = "\"text\" or \"json\"";

    fn read(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn show(&self) -> String {
        quoted(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}
