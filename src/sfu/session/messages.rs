//! The data channels of a session (RFC 8831): which are open, what came through them, and what waits for its way out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::channel::{ChannelData, ChannelId};

use super::allowance::Allowance;
use super::channels::{ChannelKind, DataMessage, MAX_MESSAGE};
use super::turn::{EndReason, SessionEvent, Turn};

/// The largest message that is put together from its fragments, in bytes. Between the two, a message of a client that does
/// not keep to the answer is dropped alone; what is larger is never held, and ends the SCTP association, and with it
/// the session.
pub(super) const LARGEST_READ: u32 = 256 * 1024;
/// What may wait for one receiver on its reliable channel, in bytes, beside the 128 KiB in str0m's own buffer. A phone
/// that changes networks is away for some seconds; a chat fits many times.
const MOST_WAITING: usize = 1024 * 1024;
/// With more than so many bytes on their way to a receiver, further lossy messages are dropped: they would come late, and
/// take the place of reliable ones.
const LOSSY_BACKLOG: usize = 32 * 1024;
/// How many data channels a client may open in the life of its session. Two are of use; str0m keeps something for
/// each, and looks at all of them with every datagram.
const MOST_OPENED: u32 = 64;
/// How often the control plane is told that messages are being dropped.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The data channels of one session.
#[derive(Debug)]
pub(super) struct Channels {
    reliable: Option<ChannelId>,
    lossy: Option<ChannelId>,
    opened: u32,
    allowance: Allowance,
    /// What the reliable channel has no room for yet, the oldest first, and its size in bytes.
    waiting: VecDeque<DataMessage>,
    waiting_bytes: usize,
    refusal_told: Option<Instant>,
    loss_told: Option<Instant>,
}

impl Channels {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            reliable: None,
            lossy: None,
            opened: 0,
            allowance: Allowance::new(now),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            refusal_told: None,
            loss_told: None,
        }
    }

    /// The client opened a channel. The newest of a label is the one that counts.
    pub(super) fn open(&mut self, id: ChannelId, label: &str, turn: &mut Turn<'_>) {
        self.opened += 1;
        if self.opened > MOST_OPENED {
            tracing::warn!("a client opens data channels without end; closing its session");
            return turn.events.push(SessionEvent::Ended(EndReason::Broken));
        }
        let Some(channel) = ChannelKind::from_label(label) else {
            return turn.counters.data.ignored_channels += 1;
        };
        *self.place(channel) = Some(id);
        turn.events.push(SessionEvent::ChannelOpen(channel));
    }

    /// A channel is gone, and with it what waited for it.
    pub(super) fn close(&mut self, id: ChannelId, turn: &mut Turn<'_>) {
        match self.kind(id) {
            Some(ChannelKind::Lossy) => self.lossy = None,
            Some(ChannelKind::Reliable) => {
                self.reliable = None;
                turn.counters.data.unsent_no_channel += self.waiting.len() as u64;
                self.waiting.clear();
                self.waiting_bytes = 0;
            }
            None => {}
        }
    }

    /// Judges a message of the client.
    pub(super) fn receive(&mut self, now: Instant, data: ChannelData, turn: &mut Turn<'_>) {
        let Some(channel) = self.kind(data.id) else { return turn.counters.data.refused_no_channel += 1 };
        let text = !data.binary;
        if data.data.len() > MAX_MESSAGE {
            turn.counters.data.refused_too_large += 1;
        } else if data.data.is_empty() || (text && std::str::from_utf8(&data.data).is_err()) {
            turn.counters.data.refused_malformed += 1;
        } else if !self.allowance.take(now, data.data.len()) {
            turn.counters.data.refused_too_many += 1;
            if is_due(&mut self.refusal_told, now) {
                turn.events.push(SessionEvent::DataRefused);
            }
        } else {
            turn.counters.data.messages_in += 1;
            turn.counters.data.bytes_in += data.data.len() as u64;
            let message = DataMessage { text, bytes: data.data.into() };
            turn.events.push(SessionEvent::Data(channel, message));
        }
    }

    /// Sends a message to the client, or lets it wait, or drops it. It leaves with the next drive of the session.
    pub(super) fn send(
        &mut self,
        rtc: &mut Rtc,
        now: Instant,
        channel: ChannelKind,
        message: &DataMessage,
        turn: &mut Turn<'_>,
    ) {
        // str0m counts an empty message on an ordered channel and does not send it: all that follow would wait for it.
        if message.bytes.is_empty() || message.bytes.len() > MAX_MESSAGE {
            return turn.counters.data.unsent_refused += 1;
        }
        let Some(id) = *self.place(channel) else { return turn.counters.data.unsent_no_channel += 1 };
        match channel {
            ChannelKind::Lossy => match write(rtc, id, message, LOSSY_BACKLOG) {
                Written::Accepted => turn.counters.data.sent(message.bytes.len()),
                Written::Full => turn.counters.data.unsent_full += 1,
                Written::Refused => turn.counters.data.unsent_refused += 1,
            },
            ChannelKind::Reliable if self.waiting_bytes + message.bytes.len() > MOST_WAITING => {
                turn.counters.data.unsent_waiting_too_long += 1;
                self.lost(now, turn);
            }
            ChannelKind::Reliable => {
                self.waiting_bytes += message.bytes.len();
                self.waiting.push_back(message.clone());
                self.resume(rtc, now, turn);
            }
        }
    }

    /// Sends what waits, as far as there is room now. Returns whether anything was written.
    pub(super) fn resume(&mut self, rtc: &mut Rtc, now: Instant, turn: &mut Turn<'_>) -> bool {
        let mut written = false;
        while let (Some(id), Some(message)) = (self.reliable, self.waiting.front()) {
            match write(rtc, id, message, usize::MAX) {
                Written::Accepted => {
                    turn.counters.data.sent(message.bytes.len());
                    written = true;
                }
                Written::Full => break,
                Written::Refused => {
                    turn.counters.data.unsent_refused += 1;
                    self.lost(now, turn);
                }
            }
            let message = self.waiting.pop_front();
            self.waiting_bytes -= message.map_or(0, |message| message.bytes.len());
        }
        written
    }

    fn lost(&mut self, now: Instant, turn: &mut Turn<'_>) {
        if is_due(&mut self.loss_told, now) {
            turn.events.push(SessionEvent::DataLost);
        }
    }

    fn place(&mut self, channel: ChannelKind) -> &mut Option<ChannelId> {
        match channel {
            ChannelKind::Reliable => &mut self.reliable,
            ChannelKind::Lossy => &mut self.lossy,
        }
    }

    fn kind(&self, id: ChannelId) -> Option<ChannelKind> {
        if self.reliable == Some(id) {
            Some(ChannelKind::Reliable)
        } else {
            (self.lossy == Some(id)).then_some(ChannelKind::Lossy)
        }
    }
}

/// What str0m said to a message.
enum Written {
    Accepted,
    /// There is no room now.
    Full,
    /// It never will be sent: the channel is closing, or the client takes no message of this size.
    Refused,
}

fn write(rtc: &mut Rtc, id: ChannelId, message: &DataMessage, backlog: usize) -> Written {
    let Some(mut channel) = rtc.channel(id) else { return Written::Refused };
    if channel.buffered_amount() > backlog {
        return Written::Full;
    }
    match channel.write(!message.text, &message.bytes) {
        Ok(true) => Written::Accepted,
        Ok(false) => Written::Full,
        Err(_) => Written::Refused,
    }
}

fn is_due(told: &mut Option<Instant>, now: Instant) -> bool {
    let due = told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
    if due {
        *told = Some(now);
    }
    due
}
