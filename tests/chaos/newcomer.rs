//! What those who come cost the others.

use std::time::Duration;

use sluice::ids::WorkerId;
use sluice::sfu::egress::allocate::Wish;
use sluice::sfu::session::offer::Role;

use crate::link::Profile;
use crate::stage::Stage;

/// A key frame of the largest encoding is a burst for everybody who has it.
#[test]
fn who_comes_for_a_small_picture_has_no_key_frame_made_of_a_large_one() {
    let mut stage = Stage::new();
    let publisher = stage.publish();
    let join = |stage: &mut Stage| {
        stage.world.join(Role::Join, WorkerId(0), 1, Profile::default(), &mut stage.random)
    };
    let (first, second) = (join(&mut stage), join(&mut stage));
    stage.run(Duration::from_secs(1));
    stage.show(&publisher, &first);
    stage.run(Duration::from_secs(14));
    assert_eq!(stage.seen_by(1).next_back(), Some(2));
    let before = stage.asked;
    stage.world.core(second.worker).wish(second.session, 1, Wish { height: 90, ..Wish::default() });
    stage.show(&publisher, &second);
    stage.run(Duration::from_millis(300));
    assert_eq!(stage.asked, [before[0] + 1, before[1], before[2]]);
    assert!(stage.seen_by(2).next().is_some(), "it has a picture");
    assert!(stage.seen_by(2).all(|encoding| encoding == 0));
}
