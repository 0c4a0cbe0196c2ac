//! A receiver of media that says when each packet arrived, in packets as they stand on the wire.

use std::collections::BTreeMap;
use std::time::Duration;

/// What arrived since the last feedback.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    arrived: BTreeMap<u64, Duration>,
    /// The running number of the next packet to tell of.
    next: Option<u64>,
    feedbacks: u8,
}

/// The receiver's clock is hours away from the sender's, and its reference is about to wrap.
const CLOCK: Duration = Duration::from_millis(((1 << 23) - 100) * 64);

impl Receiver {
    /// Takes in the packet with this transport-wide number, of which the upper bits are not sent.
    pub(crate) fn receive(&mut self, at: Duration, number: u64) {
        if self.next.is_none_or(|next| number >= next) {
            self.arrived.entry(number).or_insert(at + CLOCK);
        }
    }

    /// The feedback about what arrived since the last, with its header.
    pub(crate) fn feedback(&mut self) -> Option<Vec<u8>> {
        let (&first, _) = self.arrived.first_key_value()?;
        let (&last, _) = self.arrived.last_key_value()?;
        let base = self.next.unwrap_or(first);
        let earliest = *self.arrived.values().next()?;
        let reference = earliest.as_millis() / 64;
        let mut clock = i128::try_from(reference).ok()? * 256;
        let (mut symbols, mut deltas) = (Vec::new(), Vec::new());
        for number in base..=last {
            let Some(at) = self.arrived.get(&number) else {
                symbols.push(0_u16);
                continue;
            };
            let ticks = i128::try_from(at.as_micros()).ok()? / 250;
            let delta = i16::try_from(ticks - clock).ok()?;
            clock = ticks;
            symbols.push(2);
            deltas.extend(delta.to_be_bytes());
        }
        self.arrived.clear();
        self.next = Some(last + 1);
        let mut body = [[0, 0, 0, 1], [0, 0, 0, 2]].concat();
        body.extend((base as u16).to_be_bytes());
        body.extend((symbols.len() as u16).to_be_bytes());
        body.extend(&(reference as u32).to_be_bytes()[1..]);
        body.push(self.feedbacks);
        self.feedbacks = self.feedbacks.wrapping_add(1);
        for chunk in symbols.chunks(7) {
            let bits =
                chunk.iter().enumerate().fold(0xc000, |bits, (n, symbol)| bits | symbol << (12 - 2 * n));
            body.extend(bits.to_be_bytes());
        }
        body.extend(deltas);
        let padding = body.len().next_multiple_of(4) - body.len();
        body.resize(body.len() + padding, 0);
        if padding > 0 {
            *body.last_mut()? = padding as u8;
        }
        let mut packet = vec![if padding > 0 { 0xaf } else { 0x8f }, 205];
        packet.extend(((body.len() / 4) as u16).to_be_bytes());
        packet.extend(body);
        Some(packet)
    }
}
