//! What the client says of the media that it is sent: how much arrived, what is to be sent again, where a decoder is lost.

use std::time::Instant;

use super::Session;
use super::turn::{SessionEvent, Turn};
use crate::ids::Ssrc;
use crate::sfu::egress::bandwidth::Purpose;
use crate::sfu::egress::sender::Outgoing;
use crate::wire::rtcp;

/// How much of one datagram is still read. Honest ones tell of 100 ms: some hundred packets, even at 10 Mbit/s.
struct Patience {
    packets: usize,
    arrivals: usize,
    nacks: usize,
    wishes: usize,
}

impl Patience {
    fn new() -> Self {
        Self { packets: 64, arrivals: 2_048, nacks: 512, wishes: 64 }
    }
}

/// Takes one of so many. False when there are none.
fn spend(left: &mut usize) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

impl Session {
    /// Reads a datagram of RTCP.
    pub(super) fn feedback(&mut self, now: Instant, datagram: &[u8], turn: &mut Turn<'_>) {
        let mut plain = std::mem::take(turn.scratch);
        match self.egress.open(datagram, &mut plain) {
            Ok(packets) => {
                let mut patience = Patience::new();
                for packet in rtcp::packets(packets).take(patience.packets) {
                    self.heed(now, &packet, &mut patience, turn);
                }
            }
            Err(_) => turn.counters.bad_feedback += 1,
        }
        *turn.scratch = plain;
    }

    fn heed(
        &mut self,
        now: Instant,
        packet: &rtcp::Packet<'_>,
        patience: &mut Patience,
        turn: &mut Turn<'_>,
    ) {
        use rtcp::Packet;
        match packet {
            Packet::SenderReport(report) => self.reported(now, report.blocks()),
            Packet::ReceiverReport(report) => self.reported(now, report.blocks()),
            Packet::Nack(nack) => self.nacked(now, nack, patience, turn),
            Packet::PictureLoss(loss) => self.keyframe_wanted(loss.media, turn),
            Packet::FullIntra(wish) => {
                let wishes = wish.requests().take_while(|_| spend(&mut patience.wishes));
                wishes.for_each(|(source, _)| self.keyframe_wanted(source, turn));
            }
            Packet::TransportFeedback(feedback) => {
                if let Some(link) = self.link.as_mut().filter(|_| patience.arrivals >= feedback.count.into())
                {
                    link.feedback(now, feedback);
                }
                for arrival in feedback.arrivals().take_while(|_| spend(&mut patience.arrivals)) {
                    match arrival.1 {
                        Some(_) => turn.counters.transport_received += 1,
                        None => turn.counters.transport_lost += 1,
                    }
                }
            }
            Packet::Remb(estimate) => {
                self.stats.estimated(estimate.bitrate);
                if let Some(link) = &mut self.link {
                    link.remb(now, estimate.bitrate);
                }
            }
            Packet::SourceDescription(_) | Packet::Goodbye(_) => {}
        }
    }

    fn place_of(&self, source: Ssrc) -> Option<usize> {
        self.slots.iter().position(|slot| slot.is_open && slot.sender.source() == source)
    }

    /// Reads what a report says of all streams. The link is judged by all of them together.
    fn reported(&mut self, now: Instant, blocks: impl Iterator<Item = rtcp::ReportBlock>) {
        let (mut lost, mut all) = (0.0, 0_u32);
        for block in blocks {
            let Some(slot) = self.place_of(block.ssrc).and_then(|place| self.slots.get_mut(place)) else {
                continue;
            };
            let of = slot.sender.reports.received(now, &block);
            lost += f64::from(slot.sender.reports.lost()) * f64::from(of);
            all = all.saturating_add(of);
        }
        if let Some(link) = self.link.as_mut().filter(|_| all > 0) {
            link.reported(now, lost / f64::from(all), all);
        }
    }

    fn nacked(
        &mut self,
        now: Instant,
        nack: &rtcp::feedback::Nack<'_>,
        patience: &mut Patience,
        turn: &mut Turn<'_>,
    ) {
        let Some(place) = self.place_of(nack.media) else { return };
        for number in nack.sequences().take_while(|_| spend(&mut patience.nacks)) {
            turn.counters.nacks_in += 1;
            match self.send_again(now, place, number, turn) {
                Some(()) => turn.counters.resent += 1,
                None => turn.counters.not_resent += 1,
            }
        }
    }

    /// Sends a packet again, or lets it wait for its turn. `None` if neither can be.
    fn send_again(&mut self, now: Instant, place: usize, number: u16, turn: &mut Turn<'_>) -> Option<()> {
        let (path, may_resend) = (self.paths.outgoing()?, self.may_resend());
        let slot = self.slots.get_mut(place)?;
        slot.sender.asked();
        let sent = slot.subscription.sent(number)?;
        let (track, packet) = turn.histories.get(sent.source, sent.sequence)?;
        let packet = slot.stamped(packet)?;
        let numbers = sent.numbers(&packet)?;
        // While it waits for a key frame, and behind one, what was before it would only be in the way.
        let is_past = slot.subscription.awaits_entry() || numbers.sequence < slot.subscription.entered();
        if is_past || slot.lost_until >= Some(numbers.sequence) || !may_resend {
            return None;
        }
        if slot.subscription.has_left(&packet) && self.link.as_ref().is_some_and(|link| link.is_full()) {
            // The picture that it is missing from cannot be shown, nor those after it. A key frame of what is left is smaller
            // than what the link has no room for any more.
            slot.subscription.rebind();
            turn.events.push(SessionEvent::Awaits { track, encoding: packet.encoding, begins: false });
            return None;
        }
        let csrc = self.agreement.is_some().then(|| track.csrc());
        let outgoing = Outgoing { packet: &packet, numbers, csrc };
        let stamp = self.egress.stamp(now);
        let slot = self.slots.get_mut(place)?;
        let departed = self.egress.resend(&stamp, path, &mut slot.sender, &outgoing, turn.batch).ok()?;
        if let Some(link) = &mut self.link {
            link.departed(now, departed, Purpose::Resend);
            link.pacer.spent(now, departed.bytes);
        }
        Some(())
    }

    fn keyframe_wanted(&mut self, source: Ssrc, turn: &mut Turn<'_>) {
        let slot = self.place_of(source).and_then(|place| self.slots.get(place));
        if let Some(slot) = slot
            && let Some(track) = slot.track
        {
            let current = slot.subscription.current().map(|selection| selection.encoding);
            let encoding = current.or_else(|| slot.subscription.wants_keyframe_of());
            turn.events.push(SessionEvent::KeyframeWanted(track, encoding));
        }
    }
}
