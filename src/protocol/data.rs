//! Messages between participants as they pass through data channels.
//!
//! A text message is a JSON object: `{"to": ["p2"], "topic": "chat", "body": ...}` on its way to the server, where `to`
//! may be missing, and `{"from": "p1", "topic": "chat", "body": ...}` on its way to others. A binary message begins
//! with the length of such an object without a body, as 16 bits in network byte order; the object and the content
//! follow.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::MAX_TOPIC;
use crate::ids::ParticipantId;

/// A message of a participant, read.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// To whom; to everybody else where it is missing.
    pub to: Option<Vec<ParticipantId>>,
    /// What it is about.
    pub topic: String,
    /// What it carries.
    pub content: Content<'a>,
}

/// What a message carries. It is passed on as it is.
#[derive(Debug)]
pub enum Content<'a> {
    /// Any JSON value.
    Json(&'a RawValue),
    /// Bytes.
    Binary(&'a [u8]),
}

/// A message that is not of the form above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The text is not such an object.
    #[error(
        "a text message on a data channel is a JSON object with \"topic\" and \"body\", and \"to\" if it is not for all"
    )]
    Text,
    /// The bytes do not begin with a header.
    #[error(
        "a binary message on a data channel begins with the length of its JSON header in 16 bits, and the header"
    )]
    Binary,
    /// Too long a topic.
    #[error("a topic has {MAX_TOPIC} bytes at most")]
    Topic,
}

/// A text message on a data channel, on its way to the server.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub(super) struct DataSent<'a> {
    /// To whom; to everybody else in the room where it is missing.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    to: Option<Vec<ParticipantId>>,
    /// What it is about, for the application: up to 64 bytes.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<String>"))]
    topic: String,
    /// The content: any JSON value. It is passed on byte by byte.
    #[serde(borrow)]
    #[cfg_attr(test, schemars(with = "super::shared::Body"), ts(type = "unknown"))]
    body: &'a RawValue,
}

/// The header of a binary message on a data channel, on its way to the server.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub(super) struct DataHeader {
    /// To whom; to everybody else in the room where it is missing.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    to: Option<Vec<ParticipantId>>,
    /// What it is about, for the application: up to 64 bytes.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<String>"))]
    topic: String,
}

/// A text message on a data channel, or the header of a binary one, on its way from the server.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub(super) struct DataReceived<'a> {
    /// Whose.
    from: ParticipantId,
    /// What it is about, for the application. Empty, where its sender did not say.
    topic: &'a str,
    /// The content. The header of a binary message has none: its content follows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<super::shared::Body>"), ts(optional, type = "unknown"))]
    body: Option<&'a RawValue>,
}

/// Reads a message of a data channel.
///
/// # Errors
/// [`DataError`], in words for whoever wrote the client.
pub fn read(bytes: &[u8], is_text: bool) -> Result<Envelope<'_>, DataError> {
    let envelope = if is_text { read_text(bytes)? } else { read_binary(bytes)? };
    if envelope.topic.len() > MAX_TOPIC { Err(DataError::Topic) } else { Ok(envelope) }
}

fn read_text(bytes: &[u8]) -> Result<Envelope<'_>, DataError> {
    let text: DataSent<'_> = serde_json::from_slice(bytes).map_err(|_| DataError::Text)?;
    Ok(Envelope { to: text.to, topic: text.topic, content: Content::Json(text.body) })
}

fn read_binary(bytes: &[u8]) -> Result<Envelope<'_>, DataError> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or(DataError::Binary)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (header, content) = rest.split_at_checked(length).ok_or(DataError::Binary)?;
    let header: DataHeader = serde_json::from_slice(header).map_err(|_| DataError::Binary)?;
    Ok(Envelope { to: header.to, topic: header.topic, content: Content::Binary(content) })
}

impl Envelope<'_> {
    /// The message as others get it.
    #[must_use]
    pub fn forwarded(&self, from: ParticipantId) -> Vec<u8> {
        match self.content {
            Content::Json(body) => written(&DataReceived { from, topic: &self.topic, body: Some(body) }),
            Content::Binary(content) => {
                let header = written(&DataReceived { from, topic: &self.topic, body: None });
                let length = u16::try_from(header.len()).unwrap_or_default();
                [&length.to_be_bytes(), header.as_slice(), content].concat()
            }
        }
    }
}

/// Ids, a short topic and JSON that was read before can always be written.
fn written(out: &DataReceived<'_>) -> Vec<u8> {
    serde_json::to_vec(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_message_is_passed_on_with_its_sender_and_without_its_receivers() {
        let text = br#"{"to":["p2"],"topic":"chat","body":{"text":"hi","n":1.50},"more":true}"#;
        let envelope = read(text, true).expect("fit");
        assert_eq!(envelope.to.as_deref(), Some(&[ParticipantId(2)][..]));
        let forwarded = envelope.forwarded(ParticipantId(1));
        assert_eq!(
            String::from_utf8_lossy(&forwarded),
            r#"{"from":"p1","topic":"chat","body":{"text":"hi","n":1.50}}"#
        );
    }

    #[test]
    fn a_binary_message_keeps_its_bytes() {
        let header = br#"{"topic":"pad"}"#;
        let message = [&[0, 15], header.as_slice(), &[0, 255, 7]].concat();
        let envelope = read(&message, false).expect("fit");
        assert_eq!(envelope.to, None);
        let forwarded = envelope.forwarded(ParticipantId(3));
        let (length, rest) = forwarded.split_at(2);
        let (header, content) = rest.split_at(usize::from(length[1]));
        assert_eq!((header, content), (br#"{"from":"p3","topic":"pad"}"#.as_slice(), &[0, 255, 7][..]));
    }

    #[test]
    fn other_forms_are_refused() {
        let long = format!(r#"{{"topic":"{}","body":1}}"#, "x".repeat(65));
        for (bytes, is_text, error) in [
            (&b"hello"[..], true, DataError::Text),
            (br#"{"topic":"x"}"#, true, DataError::Text),
            (br#"{"to":["x"],"body":1}"#, true, DataError::Text),
            (long.as_bytes(), true, DataError::Topic),
            (b"", false, DataError::Binary),
            (&[0, 9, b'{', b'}'], false, DataError::Binary),
            (&[0, 1, b'{', b'}'], false, DataError::Binary),
        ] {
            assert_eq!(read(bytes, is_text).err(), Some(error), "{bytes:?}");
        }
    }
}
