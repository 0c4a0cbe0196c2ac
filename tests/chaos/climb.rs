//! How soon a viewer gets more when its link carries more.

use std::time::Duration;

use sluice::ids::WorkerId;
use sluice::sfu::session::offer::Role;

use crate::link::Profile;
use crate::stage::Stage;

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
    stage.show(&publisher, &viewer);
    stage.run(WIDENS - Duration::from_secs(1));
    // It may just be tried.
    assert!(stage.seen_by(1).next_back().is_some_and(|last| last < 2), "the link carries no more");
    stage.run(Duration::from_secs(8));
    let link = stage.world.cores[0].link_of(viewer.session);
    assert_eq!(stage.seen_by(1).next_back(), Some(2), "{link:?}");
}
