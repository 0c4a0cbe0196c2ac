//! A publisher with three encodings whose links, and those who come to see it, are as a test says.

use std::time::Duration;

use sluice::ids::WorkerId;
use sluice::sfu::relay::TrackHome;
use sluice::sfu::session::offer::Role;

use crate::encoder::{Encoder, Told};
use crate::link::{Profile, Random};
use crate::world::{Joined, World};

/// A publisher with three encodings, and whoever joins behind it.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) random: Random,
    /// How many key frames the publisher was asked for, by encoding.
    pub(crate) asked: [usize; 3],
    encoder: Option<Encoder>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { world: World::new(1), random: Random(7), asked: [0; 3], encoder: None }
    }

    pub(crate) fn publish(&mut self) -> Joined {
        let (world, random, mut source) = (&mut self.world, &mut self.random, 0);
        let joined = world.join(Role::Publish, WorkerId(0), 3, Profile::default(), random);
        let mut encoders =
            std::iter::repeat_with(|| Encoder::new(world.now, 0, random, &mut source)).take(64);
        self.encoder = encoders.find(|encoder| encoder.streams.len() == 3);
        joined
    }

    /// Lets time pass, with everybody's packets.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.world.now + time;
        while self.world.now < until {
            let Some(encoder) = &mut self.encoder else { return };
            self.world.step(encoder.next.min(until));
            let (began, now) = (self.world.began, self.world.now);
            let peer = &mut self.world.ends[0].peer;
            for (_, encoding) in std::mem::take(&mut peer.asked) {
                self.asked[encoding] += 1;
                encoder.ask(now, encoding, &mut self.random);
            }
            if peer.is_connected {
                encoder.encode(began, now, &mut self.random).iter().for_each(|sent| peer.send(now, sent));
            }
        }
    }

    /// Lets a viewer see the publisher's video.
    pub(crate) fn show(&mut self, publisher: &Joined, viewer: &Joined) {
        let home = TrackHome { track: publisher.tracks[1], worker: publisher.worker };
        self.world.bind(viewer, 1, Some(home));
    }

    /// The encodings of all packets that the client in this place got, the newest last.
    pub(crate) fn seen_by(&self, place: usize) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let packets = self.world.ends[place].peer.received.iter().filter(|(slot, _)| *slot == 1);
        packets.map(|(_, packet)| usize::from(Told::read(&packet.payload).encoding))
    }
}
