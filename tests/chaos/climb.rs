//! How soon a viewer gets more when its link carries more.

use std::time::Duration;

use sluice::ids::WorkerId;
use sluice::sfu::relay::TrackHome;
use sluice::sfu::session::offer::Role;

use crate::encoder::{Encoder, Told};
use crate::link::{Profile, Random};
use crate::world::{Joined, World};

/// A publisher with three encodings, and behind it a viewer.
struct Stage {
    world: World,
    random: Random,
    encoder: Option<Encoder>,
}

impl Stage {
    fn new() -> Self {
        Self { world: World::new(1), random: Random(7), encoder: None }
    }

    fn publish(&mut self) -> Joined {
        let (world, random, mut source) = (&mut self.world, &mut self.random, 0);
        let joined = world.join(Role::Publish, WorkerId(0), 3, Profile::default(), random);
        let mut encoders =
            std::iter::repeat_with(|| Encoder::new(world.now, 0, random, &mut source)).take(64);
        self.encoder = encoders.find(|encoder| encoder.streams.len() == 3);
        joined
    }

    /// Lets time pass, with everybody's packets.
    fn run(&mut self, time: Duration) {
        let until = self.world.now + time;
        while self.world.now < until {
            let Some(encoder) = &mut self.encoder else { return };
            self.world.step(encoder.next.min(until));
            let (began, now) = (self.world.began, self.world.now);
            let peer = &mut self.world.ends[0].peer;
            for (_, encoding) in std::mem::take(&mut peer.asked) {
                encoder.ask(now, encoding, &mut self.random);
            }
            if peer.is_connected {
                encoder.encode(began, now, &mut self.random).iter().for_each(|sent| peer.send(now, sent));
            }
        }
    }
}

/// Small probes are probes too.
#[test]
fn who_had_a_thin_link_gets_the_whole_picture_soon_after_it_is_a_wide_one() {
    const WIDENS: Duration = Duration::from_secs(15);
    let mut stage = Stage::new();
    let publisher = stage.publish();
    let rate = vec![(Duration::ZERO, 90_000), (WIDENS, 5_000_000)];
    let thin = Profile { rate, queue: 20_000, ..Profile::default() };
    let viewer = stage.world.join(Role::Join, WorkerId(0), 1, thin, &mut stage.random);
    stage.run(Duration::from_secs(1));
    let home = TrackHome { track: publisher.tracks[1], worker: publisher.worker };
    stage.world.bind(&viewer, 1, Some(home));
    let newest = |stage: &Stage| {
        let mut packets = stage.world.ends[1].peer.received.iter().filter(|(slot, _)| *slot == 1);
        packets.next_back().map(|(_, packet)| Told::read(&packet.payload).encoding)
    };
    stage.run(WIDENS - Duration::from_secs(1));
    assert_eq!(newest(&stage), Some(0), "the link carries no more");
    stage.run(Duration::from_secs(8));
    let link = stage.world.cores[0].link_of(viewer.session);
    assert_eq!(newest(&stage), Some(2), "{link:?}");
}
