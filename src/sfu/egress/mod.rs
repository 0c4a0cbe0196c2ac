//! The outbound path: a packet gets the subscriber's numbers, a header, and a seal, and stands in the batch.
//!
//! Everything that is sent to a subscriber as media passes here, and what it says of that. str0m has no part in it but the
//! keys, which come from its handshake. In reading order: [`sender`] is the side of one slot, [`header`] writes what stands
//! before the payload, [`srtp`] seals, [`report`] tells the receiver of time, [`resend`] bounds what is sent again.

pub mod srtp;
pub mod header;
pub mod report;
pub mod resend;
pub mod sender;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use self::sender::{Hop, Sender};
use self::srtp::{KeyError, Keys, OpenError, RtcpOpener, RtcpSealer, RtpSealer, SealError};
use crate::ids::Ssrc;
use crate::net::datagram::SendBatch;
use crate::sfu::forward::packet::Packet;
use crate::sfu::forward::rewrite::Rewritten;
use crate::units::Format;
use crate::wire::ntp::Epoch;
use crate::wire::rtcp::write;

/// The canonical name of all sources of a session (RFC 3550 section 6.5.1): they share one clock.
pub const CNAME: &str = "sluice";

/// A payload type that the other end understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadType {
    /// 0 to 127.
    pub number: u8,
    /// What it stands for.
    pub format: Format,
}

/// A payload type of a session, and how its packets are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coding {
    /// What it stands for.
    pub payload_type: PayloadType,
    /// The payload type that resends it (RFC 4588). `None` where it was not negotiated: the packet itself is repeated.
    pub resend: Option<u8>,
}

/// The payload type of a receiver that fits a stream best.
#[must_use]
pub fn best_fit(payload_types: &[PayloadType], stream: Format) -> Option<u8> {
    best(payload_types.iter().map(|pt| (*pt, pt.number)), stream)
}

/// What belongs to the payload type that fits a stream best. The receiver's order is its preference: among equals the first
/// wins.
fn best<T>(payload_types: impl Iterator<Item = (PayloadType, T)>, stream: Format) -> Option<T> {
    let fits = payload_types.filter_map(|(pt, value)| Some((pt.format.fit(&stream)?, value)));
    fits.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, value)| value)
}

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

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The receiver has no payload type for the stream.
    #[error("the receiver offered nothing that fits {0}")]
    NoPayloadType(Format),
    /// The handshake is not through.
    #[error("there are no keys yet")]
    NoKeys,
    /// It was sent again a moment ago, or the receiver asks for too much.
    #[error("it is not sent again for now")]
    TooOften,
    /// What its header said the first time is forgotten.
    #[error("it cannot be repeated as it was")]
    Forgotten,
    /// The seal failed.
    #[error(transparent)]
    Seal(#[from] SealError),
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

    /// One moment on both clocks.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What is the same for all that leaves now.
    #[must_use]
    pub fn stamp(&self, now: Instant) -> Stamp {
        Stamp { now, send_time: self.epoch.ntp(now).absolute_send_time() }
    }

    /// Sends a media packet, with the contributing source `csrc` where one is to be named.
    ///
    /// # Errors
    /// [`Unsent`] says why it was not sent.
    #[expect(clippy::too_many_arguments, reason = "what makes a packet, and where it goes")]
    pub fn send(
        &mut self,
        stamp: &Stamp,
        path: Path,
        sender: &mut Sender,
        packet: &Packet,
        numbers: Rewritten,
        csrc: Option<u32>,
        batch: &mut SendBatch,
    ) -> Result<(), Unsent> {
        let sealing = self.sealing.as_ref().ok_or(Unsent::NoKeys)?;
        let chosen = sender.choose(packet.format).ok_or(Unsent::NoPayloadType(packet.format))?;
        let (ssrc, sequence) = (sender.main, numbers.sequence);
        let hop = Hop { send_time: stamp.send_time, transport_number: self.transport_number };
        batch.write(path.local, path.remote, |arena| {
            let start = arena.len();
            let header =
                sender.write_header(arena, ssrc, chosen.number, sequence, packet, &numbers, csrc, hop);
            sender::write_payload(arena, packet, &numbers);
            sealing.rtp.seal(arena, start, header, ssrc, sequence)
        })?;
        self.count(sender);
        sender.sent(packet, &numbers, chosen, hop);
        Ok(())
    }

    /// Sends a packet once more that the receiver asked for: in its own stream where that was negotiated (RFC 4588), else
    /// as it was.
    ///
    /// # Errors
    /// [`Unsent`] says why it was not sent.
    #[expect(clippy::too_many_arguments, reason = "what makes a packet, and where it goes")]
    pub fn resend(
        &mut self,
        stamp: &Stamp,
        path: Path,
        sender: &mut Sender,
        packet: &Packet,
        numbers: Rewritten,
        csrc: Option<u32>,
        batch: &mut SendBatch,
    ) -> Result<(), Unsent> {
        let sealing = self.sealing.as_ref().ok_or(Unsent::NoKeys)?;
        let chosen = sender.choose(packet.format).ok_or(Unsent::NoPayloadType(packet.format))?;
        let Some(payload_type) = chosen.resend else {
            let hop = sender.hop(numbers.sequence).ok_or(Unsent::Forgotten)?;
            sender.admit(stamp.now, &numbers, packet)?;
            let (ssrc, sequence) = (sender.main, numbers.sequence);
            batch.write(path.local, path.remote, |arena| {
                let start = arena.len();
                let header =
                    sender.write_header(arena, ssrc, chosen.number, sequence, packet, &numbers, csrc, hop);
                sender::write_payload(arena, packet, &numbers);
                sealing.rtp.seal(arena, start, header, ssrc, sequence)
            })?;
            return Ok(());
        };
        sender.admit(stamp.now, &numbers, packet)?;
        let (ssrc, sequence) = (sender.resend, sender.next_resend());
        let hop = Hop { send_time: stamp.send_time, transport_number: self.transport_number };
        batch.write(path.local, path.remote, |arena| {
            let start = arena.len();
            let header =
                sender.write_header(arena, ssrc, payload_type, sequence, packet, &numbers, csrc, hop);
            // The original number stands before the payload (RFC 4588 section 4).
            arena.extend_from_slice(&low_bits(numbers.sequence).to_be_bytes());
            sender::write_payload(arena, packet, &numbers);
            sealing.rtp.seal(arena, start, header, ssrc, sequence)
        })?;
        self.count(sender);
        Ok(())
    }

    /// A packet went out. Only those that say their number are counted: a receiver takes gaps for losses.
    fn count(&mut self, sender: &Sender) {
        let is_numbered = sender.headers().ids().transport_number.is_some();
        self.transport_number = self.transport_number.wrapping_add(u16::from(is_numbered));
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
            for sender in senders {
                if let Some(info) =
                    sender.reports.due(now).then(|| sender.reports.sender_info(now, &self.epoch)).flatten()
                {
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
            write::goodbye(arena, sources);
            sealing.rtcp.seal(arena, start)
        })?;
        Ok(())
    }
}

/// The 16 bits of a sequence number that the header has.
fn low_bits(sequence: u64) -> u16 {
    let [.., a, b] = sequence.to_be_bytes();
    u16::from_be_bytes([a, b])
}
