//! The outbound side of one session: everything that is sealed under its keys.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::sender::{Form, Hop, Outgoing, Sender, Unsent};
use super::srtp::{KeyError, Keys, OpenError, RtcpOpener, RtcpSealer, RtpSealer};
use crate::ids::Ssrc;
use crate::net::datagram::SendBatch;
use crate::wire::ntp::Epoch;
use crate::wire::rtcp::write;

/// The canonical name of all sources of a session (RFC 3550 section 6.5.1): they share one clock.
pub const CNAME: &str = "sluice";

/// How many sender reports go into one datagram: with their names, 48 bytes each.
const MOST_REPORTS: usize = 24;

/// Where a handshake leaves the keys that it agreed on.
pub type KeySlot = Arc<OnceLock<Keys>>;

/// The address pair that media takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The address of this machine.
    pub local: SocketAddr,
    /// The client's.
    pub remote: SocketAddr,
}

/// What is the same for all that leaves in one turn.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Now.
    pub now: Instant,
    /// The same, as `abs-send-time` tells it.
    send_time: [u8; 3],
}

/// A packet that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departed {
    /// Its transport-wide number, where the receiver reads one, and where it is not the same as before.
    pub number: Option<u16>,
    /// The size of its datagram in bytes.
    pub bytes: usize,
}

/// The outbound side of one session.
pub struct Egress {
    keys: KeySlot,
    sealing: Option<Box<Sealing>>,
    /// One moment on both clocks.
    epoch: Epoch,
    /// The number of the next packet among all of the session (transport-wide sequence number).
    transport_number: u16,
}

/// What the keys are made into: schedules that are kept.
struct Sealing {
    rtp: RtpSealer,
    rtcp: RtcpSealer,
    opener: RtcpOpener,
}

impl Sealing {
    fn new(keys: &Keys) -> Result<Self, KeyError> {
        Ok(Self { rtp: RtpSealer::new(keys)?, rtcp: RtcpSealer::new(keys)?, opener: RtcpOpener::new(keys)? })
    }
}

impl Egress {
    /// The outbound side of a session whose handshake will leave its keys in `keys`.
    #[must_use]
    pub fn new(keys: KeySlot, epoch: Epoch) -> Self {
        Self { keys, sealing: None, epoch, transport_number: 0 }
    }

    /// The handshake is through. Returns whether it left keys that are of use.
    #[must_use]
    pub fn start(&mut self) -> bool {
        self.sealing = self.keys.get().and_then(|keys| Sealing::new(keys).ok()).map(Box::new);
        self.sealing.is_some()
    }

    /// One moment on both clocks, the same for all sessions of the process.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// What is the same for all that leaves now.
    #[must_use]
    pub fn stamp(&self, now: Instant) -> Stamp {
        Stamp { now, send_time: self.epoch.ntp(now).absolute_send_time() }
    }

    /// Sends a media packet.
    ///
    /// # Errors
    /// [`Unsent`] says why it was not sent.
    pub fn send(
        &mut self,
        stamp: &Stamp,
        path: Path,
        sender: &mut Sender,
        outgoing: &Outgoing<'_>,
        batch: &mut SendBatch,
    ) -> Result<Departed, Unsent> {
        let format = outgoing.packet.format;
        let chosen = sender.choose(format).ok_or(Unsent::NoPayloadType(format))?;
        let hop = self.hop(stamp);
        let bytes = self.seal(path, sender, &sender.first(chosen, outgoing, hop), outgoing, batch)?;
        sender.sent(outgoing, chosen, hop);
        Ok(self.count(sender, bytes))
    }

    /// Sends a packet once more that the receiver asked for: in its own stream where that was negotiated (RFC 4588), else
    /// as it was.
    ///
    /// # Errors
    /// [`Unsent`] says why it was not sent.
    pub fn resend(
        &mut self,
        stamp: &Stamp,
        path: Path,
        sender: &mut Sender,
        outgoing: &Outgoing<'_>,
        batch: &mut SendBatch,
    ) -> Result<Departed, Unsent> {
        let format = outgoing.packet.format;
        let chosen = sender.choose(format).ok_or(Unsent::NoPayloadType(format))?;
        let Some(payload_type) = chosen.resend else {
            let hop = sender.hop(outgoing.numbers.sequence).ok_or(Unsent::Forgotten)?;
            sender.admit(stamp.now, outgoing)?;
            let bytes = self.seal(path, sender, &sender.first(chosen, outgoing, hop), outgoing, batch)?;
            return Ok(Departed { number: None, bytes });
        };
        sender.admit(stamp.now, outgoing)?;
        let form = sender.again(payload_type, outgoing, self.hop(stamp));
        let bytes = self.seal(path, sender, &form, outgoing, batch)?;
        Ok(self.count(sender, bytes))
    }

    /// Sends a packet that says nothing, to see whether the link carries it: padding in the stream that resends, as libwebrtc
    /// does, where numbers that nobody misses are to be had.
    ///
    /// # Errors
    /// [`Unsent`] says why it was not sent: where nothing is resent in a stream of its own, nothing can be padded.
    pub fn pad(
        &mut self,
        stamp: &Stamp,
        path: Path,
        sender: &mut Sender,
        batch: &mut SendBatch,
    ) -> Result<Departed, Unsent> {
        let sealing = self.sealing.as_ref().ok_or(Unsent::NoKeys)?;
        let form = sender.padding(self.hop(stamp)).ok_or(Unsent::NoPadding)?;
        let bytes = batch.write(path.local, path.remote, |arena| {
            let start = arena.len();
            let header = sender.write_padding(arena, &form);
            sealing.rtp.seal(arena, start, header, form.ssrc, form.sequence)
        })?;
        Ok(self.count(sender, bytes))
    }

    /// What a packet that leaves next says of its way.
    fn hop(&self, stamp: &Stamp) -> Hop {
        Hop { send_time: stamp.send_time, transport_number: self.transport_number }
    }

    /// Writes a packet into the batch and seals it there. Returns the size of the datagram.
    fn seal(
        &self,
        path: Path,
        sender: &Sender,
        form: &Form,
        outgoing: &Outgoing<'_>,
        batch: &mut SendBatch,
    ) -> Result<usize, Unsent> {
        let sealing = self.sealing.as_ref().ok_or(Unsent::NoKeys)?;
        let bytes = batch.write(path.local, path.remote, |arena| {
            let start = arena.len();
            let header = sender.write(arena, form, outgoing);
            sealing.rtp.seal(arena, start, header, form.ssrc, form.sequence)
        })?;
        Ok(bytes)
    }

    /// Takes a transport-wide number, where the receiver reads it: numbers that it never sees seem lost to it.
    fn count(&mut self, sender: &Sender, bytes: usize) -> Departed {
        let numbered = sender.headers().ids().transport_number.is_some();
        let number = numbered.then_some(self.transport_number);
        self.transport_number = self.transport_number.wrapping_add(u16::from(numbered));
        Departed { number, bytes }
    }

    /// Reads a datagram of SRTCP.
    ///
    /// # Errors
    /// When it is forged, replayed or broken, or when there are no keys yet.
    pub fn open<'a>(&mut self, datagram: &[u8], plain: &'a mut Vec<u8>) -> Result<&'a [u8], OpenError> {
        let sealing = self.sealing.as_mut().ok_or(OpenError::Forged)?;
        sealing.opener.open(datagram, plain)
    }

    /// Sends sender reports of all senders for which it is time, in one datagram.
    ///
    /// # Errors
    /// [`Unsent`] says why it was not sent.
    pub fn report<'s>(
        &mut self,
        now: Instant,
        path: Path,
        senders: impl Iterator<Item = &'s mut Sender>,
        batch: &mut SendBatch,
    ) -> Result<(), Unsent> {
        let sealing = self.sealing.as_mut().ok_or(Unsent::NoKeys)?;
        let mut named = Vec::new();
        batch.write(path.local, path.remote, |arena| {
            let start = arena.len();
            for sender in senders.filter(|sender| sender.reports.due(now)).take(MOST_REPORTS) {
                if let Some(info) = sender.reports.sender_info(now, &self.epoch) {
                    write::sender_report(arena, sender.main, &info, &[]);
                    named.push(sender.main);
                }
            }
            for source in &named {
                write::source_description(arena, *source, CNAME);
            }
            sealing.rtcp.seal(arena, start)
        })?;
        Ok(())
    }

    /// Says that the senders' streams are over.
    ///
    /// # Errors
    /// [`Unsent`] says why it was not sent.
    pub fn goodbye(&mut self, path: Path, sources: &[Ssrc], batch: &mut SendBatch) -> Result<(), Unsent> {
        let sealing = self.sealing.as_mut().ok_or(Unsent::NoKeys)?;
        batch.write(path.local, path.remote, |arena| {
            let start = arena.len();
            // A compound packet begins with a report (RFC 3550 section 6.1).
            write::receiver_report(arena, sources.first().copied().unwrap_or(Ssrc(0)), &[]);
            for sources in sources.chunks(write::MAX_COUNT) {
                write::goodbye(arena, sources);
            }
            sealing.rtcp.seal(arena, start)
        })?;
        Ok(())
    }
}
