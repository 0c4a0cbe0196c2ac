//! What goes through data channels, and how it is counted.

use std::sync::Arc;

/// The largest message that is passed on, in bytes: what every implementation takes, old ones too (RFC 8841 section
/// 6.1 has it as the default). The answer announces it.
pub(super) const MAX_MESSAGE: usize = 64 * 1024;

/// Which of the two channels of a session, told by their labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// "reliable": everything arrives, in order.
    Reliable,
    /// "lossy": what is lost is not sent again, and nothing waits for it.
    Lossy,
}

impl ChannelKind {
    /// The label by which clients open the channel.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Reliable => "reliable",
            Self::Lossy => "lossy",
        }
    }

    pub(super) fn from_label(label: &str) -> Option<Self> {
        [Self::Reliable, Self::Lossy].into_iter().find(|kind| kind.label() == label)
    }
}

/// A message of a data channel. It is never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataMessage {
    /// Whether the bytes are text; they are UTF-8 then.
    pub text: bool,
    /// The message, shared by all receivers. 64 KiB at most.
    pub bytes: Arc<[u8]>,
}

/// What goes through the data channels of all sessions: messages, and the bytes in them.
#[derive(Debug, Clone, Copy, Default)]
pub struct DataCounters {
    /// Messages received and told to the control plane.
    pub messages_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Messages that receivers were sent; one for each receiver.
    pub messages_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Channels opened whose labels mean nothing here.
    pub ignored_channels: u64,
    /// Received messages dropped: larger than was announced.
    pub refused_too_large: u64,
    /// Received messages dropped: more than the session's allowance.
    pub refused_too_many: u64,
    /// Received messages dropped: empty, or text that is not UTF-8.
    pub refused_malformed: u64,
    /// Received messages dropped: of a channel whose label means nothing here.
    pub refused_no_channel: u64,
    /// Messages not sent: the receiver has not opened the channel, or closed it.
    pub unsent_no_channel: u64,
    /// Lossy messages not sent: too much is on its way to the receiver already.
    pub unsent_full: u64,
    /// Reliable messages not sent: too much waits for the receiver already.
    pub unsent_waiting_too_long: u64,
    /// Messages not sent: empty, or larger than the receiver takes.
    pub unsent_refused: u64,
}

impl DataCounters {
    /// Counts a message sent to one receiver.
    pub fn sent(&mut self, bytes: usize) {
        self.messages_out += 1;
        self.bytes_out += bytes as u64;
    }
}
