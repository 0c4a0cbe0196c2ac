//! What the benches of the core send: frames of a video, and who watches them.
#![allow(dead_code, reason = "each bench is a crate of its own and uses its own part")]

use std::time::Duration;

use sluice::ids::TrackId;
use sluice::sfu::session::offer::Role;
use str0m::format::Codec;

use crate::common::{Joined, STEP, World};

/// Bytes of an RTP payload. With header, extensions and tag the datagram has about 1,200.
const PAYLOAD: usize = 1_150;

/// A world with publishers of VP8, whose clients are past the first key frame once they have [`Self::settled`].
pub(crate) struct Stream {
    pub(crate) world: World,
    /// In the order of `world.clients`, which they are the first of.
    pub(crate) publishers: Vec<Joined>,
    /// Whether subscribers take media in. Without it they give no feedback, and the caches are the core's alone.
    pub(crate) is_listening: bool,
    /// Frames sent so far, by publisher.
    frames: Vec<u32>,
}

impl Stream {
    pub(crate) fn new(publishers: usize, is_listening: bool) -> Self {
        let mut world = World::new();
        let joined = (0..publishers).map(|_| world.join(Role::Publish, &[Codec::Vp8]).1).collect();
        Self { world, publishers: joined, is_listening, frames: vec![0; publishers] }
    }

    /// The video of a publisher.
    pub(crate) fn video(&self, publisher: usize) -> Option<TrackId> {
        self.publishers[publisher].tracks.get(1).copied()
    }

    /// Viewers of the first publisher join until there are so many.
    pub(crate) fn with_viewers(&mut self, viewers: usize) {
        let has = self.world.clients.len() - self.publishers.len();
        for _ in has..viewers {
            let viewer = self.subscriber(Role::Watch);
            self.world.watch(&viewer, &self.publishers[0]);
        }
        self.settled();
    }

    /// Somebody who receives joins.
    pub(crate) fn subscriber(&mut self, role: Role) -> Joined {
        let (place, joined) = self.world.join(role, &[Codec::Vp8]);
        self.world.clients[place].deaf = !self.is_listening;
        joined
    }

    /// Lets everybody connect, and everything that comes with a new subscription pass: for 3 s the links of those who tell
    /// nothing are paced.
    pub(crate) fn settled(&mut self) {
        self.world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
        for publisher in 0..self.publishers.len() {
            self.send(publisher, true, 1);
        }
        self.world.run(Duration::from_millis(3_500));
        self.forget();
    }

    /// A publisher writes a frame of so many packets. They leave with the next turn.
    pub(crate) fn send(&mut self, publisher: usize, is_key: bool, packets: u16) {
        let frame = self.frames[publisher];
        self.frames[publisher] += 1;
        let (now, client) = (self.world.now, &mut self.world.clients[publisher]);
        for index in 0..packets {
            let (video, is_last) = (client.video, index + 1 == packets);
            client.send(now, video, frame * FRAME_TICKS, is_last, &payload(frame, is_key, index == 0));
        }
    }

    /// Time passes: for those who do not listen only now and then, as nothing urges them.
    pub(crate) fn pass(&mut self, turn: usize) {
        self.world.now += STEP;
        if self.is_listening || turn.is_multiple_of(20) {
            self.world.drive_clients();
        } else {
            self.world.drive_first_clients(self.publishers.len());
        }
    }

    /// Clients keep what they received; here nobody looks at it.
    pub(crate) fn forget(&mut self) {
        self.world.clients.iter_mut().for_each(|client| client.received.clear());
    }
}

/// A frame of [`STEP`] in units of 90 kHz.
const FRAME_TICKS: u32 = 450;

/// A VP8 packet with picture id, TL0PICIDX and temporal layer (RFC 7741 section 4.2).
fn payload(frame: u32, is_key: bool, is_first: bool) -> Vec<u8> {
    let [.., high, low] = frame.to_be_bytes();
    let start = if is_first { 0x90 } else { 0x80 };
    let mut payload = vec![start, 0xe0, 0x80 | high, low, low, 0x20, u8::from(!is_key)];
    payload.resize(PAYLOAD, 0xaa);
    payload
}
