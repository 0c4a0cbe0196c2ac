//! For `benches/count-instructions`, which runs it in callgrind: turns of the core with 50 subscribers. Callgrind counts
//! the instructions of one stage only, by the name of the function below that runs it.
//!
//! Arguments: the packets of each frame, and how many turns. Prints how many packets went to subscribers in them.

#[path = "../tests/common/mod.rs"]
mod common;
mod stream;

use std::hint::black_box;

use common::Stage;
use common::profile::{Profile, offer_only};
use stream::Stream;

const SUBSCRIBERS: usize = 50;
const WARM_UP: usize = 30;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let mut number = |otherwise| arguments.next().map_or(otherwise, |text| text.parse().expect("a number"));
    let (burst, turns) = (number(1), usize::from(number(100)));
    offer_only(Profile::Aes128Gcm);
    let mut stream = Stream::new(1, false);
    stream.with_viewers(SUBSCRIBERS);
    for number in 0..WARM_UP {
        turn(&mut stream, number, burst, |_, run| run());
    }
    let before = stream.world.core.counters().media_packets_out;
    for number in 0..turns {
        turn(&mut stream, number, burst, |stage, run| match stage {
            Stage::Receive | Stage::Drive => receive_stage(run),
            Stage::Forward => forward_stage(run),
        });
    }
    let forwarded = stream.world.core.counters().media_packets_out - before;
    let expected = turns * usize::from(burst) * SUBSCRIBERS;
    assert_eq!(forwarded, expected as u64, "every packet reaches every subscriber");
    println!("{forwarded}");
}

fn turn(stream: &mut Stream, number: usize, burst: u16, around: impl FnMut(Stage, &mut dyn FnMut())) {
    stream.send(0, false, burst);
    stream.pass(number);
    stream.world.turn_in_stages(around);
    stream.world.deliver();
    stream.forget();
}

/// A function of its own, that something happens in after the call: a jump would hide its end from callgrind.
#[inline(never)]
fn receive_stage(run: &mut dyn FnMut()) {
    run();
    black_box(1);
}

#[inline(never)]
fn forward_stage(run: &mut dyn FnMut()) {
    run();
    black_box(2);
}
