use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::sfu::forward::ladder::Rung;
use crate::sfu::forward::packet::EncodingIndex;

fn rung(encoding: u8, temporal: u8, kbps: u64, height: u16, fps: u8) -> Rung {
    let selection = Selection { encoding: EncodingIndex(encoding), spatial: 0, temporal };
    Rung { selection, bitrate: Bitrate(kbps * 1_000), height, fps }
}

/// What a browser sends of a camera.
fn camera() -> Ladder {
    Ladder { rungs: vec![rung(0, 0, 150, 180, 30), rung(1, 0, 500, 360, 30), rung(2, 0, 1_700, 720, 30)] }
}

fn wish(height: u16) -> Wish {
    Wish { height, ..Wish::default() }
}

/// A subscriber whose tracks change as they are allocated.
struct Viewer {
    allocator: Allocator,
    now: Instant,
    tracks: Vec<(Ladder, Wish, Option<Selection>)>,
    out: Vec<(usize, Option<Selection>)>,
}

impl Viewer {
    fn new(tracks: &[(Ladder, Wish)]) -> Self {
        let tracks = tracks.iter().map(|(ladder, wish)| (ladder.clone(), *wish, None)).collect();
        Self { allocator: Allocator::default(), now: Instant::now(), tracks, out: Vec::new() }
    }

    /// A round; the encoding of each track.
    fn round(&mut self, kbps: u64) -> Vec<Option<u8>> {
        self.now += Duration::from_millis(100);
        let requests: Vec<_> = self
            .tracks
            .iter()
            .enumerate()
            .map(|(slot, (ladder, wish, current))| Request { slot, ladder, wish: *wish, current: *current })
            .collect();
        self.allocator.allocate(self.now, Bitrate(kbps * 1_000), &requests, &mut self.out);
        for ((_, _, current), (_, chosen)) in self.tracks.iter_mut().zip(&self.out) {
            *current = *chosen;
        }
        self.out.iter().map(|(_, chosen)| chosen.map(|chosen| chosen.encoding.0)).collect()
    }

    fn rounds(&mut self, kbps: u64, count: usize) -> Vec<Option<u8>> {
        (0..count).map(|_| self.round(kbps)).last().unwrap()
    }

    fn used(&self) -> u64 {
        let cost = |(ladder, _, current): &(Ladder, Wish, Option<Selection>)| {
            let rung = ladder.rungs.iter().find(|rung| Some(rung.selection) == *current);
            rung.map_or(0, |rung| rung.bitrate.0)
        };
        self.tracks.iter().map(cost).sum()
    }
}

#[test]
fn everybody_is_seen_before_anybody_is_seen_better() {
    let mut viewer = Viewer::new(&[(camera(), wish(720)), (camera(), wish(180)), (camera(), wish(180))]);
    assert_eq!(viewer.round(100), [None, None, None], "nothing fits");
    let mut viewer = Viewer::new(&[(camera(), wish(720)), (camera(), wish(180)), (camera(), wish(180))]);
    assert_eq!(viewer.round(460), [Some(0); 3]);
    assert_eq!(viewer.round(1_000), [Some(1), Some(0), Some(0)]);
    assert_eq!(viewer.round(9_000), [Some(2), Some(0), Some(0)], "no tile gets more than it shows");
    assert_eq!(viewer.allocator.desired(), Bitrate(2_240_000));
}

#[test]
fn screens_and_priorities_come_first() {
    let screen = Wish { screen: true, ..wish(720) };
    let mut viewer = Viewer::new(&[(camera(), wish(720)), (camera(), screen)]);
    assert_eq!(viewer.round(200), [None, Some(0)]);
    assert_eq!(viewer.round(2_400), [Some(0), Some(2)]);
    let least = Wish { priority: 0, ..wish(720) };
    let mut viewer = Viewer::new(&[(camera(), least), (camera(), wish(180))]);
    assert_eq!(viewer.round(200), [None, Some(0)]);
}

#[test]
fn fewer_frames_are_sent_where_no_more_are_wanted() {
    let rungs = vec![rung(0, 0, 60, 180, 8), rung(0, 1, 90, 180, 15), rung(0, 2, 150, 180, 30)];
    let slow = Wish { fps: 15, ..wish(180) };
    let mut viewer = Viewer::new(&[(Ladder { rungs }, slow)]);
    viewer.round(5_000);
    assert_eq!(viewer.used(), 90_000);
}

#[test]
fn one_costly_track_does_not_leave_everything_black() {
    let screen = Ladder { rungs: vec![rung(0, 0, 2_000, 1_080, 15)] };
    let tracks =
        [(screen, Wish { screen: true, ..wish(1_080) }), (camera(), wish(180)), (camera(), wish(180))];
    assert_eq!(Viewer::new(&tracks).round(1_000), [None, Some(0), None]);
    assert_eq!(Viewer::new(&tracks).round(2_200), [Some(0), Some(0), None]);
}

#[test]
fn down_at_once_and_up_with_headroom_and_patience() {
    let mut viewer = Viewer::new(&[(camera(), wish(720))]);
    assert_eq!(viewer.round(1_710), [Some(1)], "a better picture needs headroom");
    assert_eq!(viewer.round(1_950), [Some(2)]);
    assert_eq!(viewer.round(1_710), [Some(2)], "what is sent does not");
    assert_eq!(viewer.round(1_600), [Some(1)]);
    assert_eq!(viewer.rounds(3_000, 25), [Some(1)], "an upgrade failed at once: it waits twice as long");
    assert_eq!(viewer.rounds(3_000, 10), [Some(2)]);
    assert_eq!(viewer.round(120), [None]);
    assert_eq!(viewer.rounds(200, 20), [Some(0)], "it comes back by itself");
}

#[test]
fn a_pause_makes_nobody_forget_that_upgrades_fail() {
    let mut viewer = Viewer::new(&[(camera(), wish(720))]);
    let mut upgrades = 0;
    for _ in 0..20 {
        // A burst makes the budget look large; the larger picture then is too much, and takes the small one with it.
        upgrades += usize::from(viewer.rounds(700, 20) == [Some(1)]);
        viewer.round(300);
        viewer.round(120);
        assert_eq!(viewer.rounds(300, 10), [Some(0)], "it comes back at once");
    }
    assert!(upgrades < 8, "{upgrades} upgrades failed in a minute");
}

#[test]
fn a_link_that_wavers_changes_the_picture_rarely() {
    let mut viewer = Viewer::new(&[(camera(), wish(720)), (camera(), wish(360))]);
    let mut changes = 0;
    let mut last = Vec::new();
    for round in 0..1_200 {
        let now = viewer.round(if round / 5 % 2 == 0 { 2_600 } else { 2_100 });
        changes += usize::from(now != last);
        last = now;
    }
    assert!(changes <= 40, "{changes} changes in two minutes");
}

#[test]
fn a_larger_tile_takes_from_a_smaller_one() {
    let mut viewer = Viewer::new(&[(camera(), wish(720)), (camera(), wish(180))]);
    assert_eq!(viewer.rounds(2_200, 3), [Some(2), Some(0)]);
    (viewer.tracks[0].1, viewer.tracks[1].1) = (wish(180), wish(720));
    assert_eq!(viewer.round(2_200), [Some(0), Some(2)]);
}

#[test]
fn what_is_not_known_goes_by_the_order() {
    let rungs = vec![rung(0, 0, 100, 0, 0), rung(1, 0, 300, 0, 0), rung(2, 0, 900, 0, 0)];
    let mut viewer = Viewer::new(&[(Ladder { rungs }, wish(180)), (Ladder::default(), wish(180))]);
    assert_eq!(viewer.round(400), [Some(1), None]);
    assert_eq!(viewer.round(1_100), [Some(2), None]);
}

fn tracks() -> impl Strategy<Value = Vec<(Ladder, Wish)>> {
    let rung = (1..1_500_u64, 0..4_u16, 0..3_u8);
    let ladder = prop::collection::vec(rung, 0..7).prop_map(|parts| {
        let mut kbps = 0;
        let each = parts.into_iter().enumerate().map(|(place, (more, height, fps))| {
            kbps += more;
            let place = u8::try_from(place).unwrap();
            let selection = Selection { encoding: EncodingIndex(place / 2), spatial: 0, temporal: place % 2 };
            let height = if height == 0 { 0 } else { 180 << (place / 2) };
            Rung { selection, bitrate: Bitrate(kbps * 1_000), height, fps: fps * 15 }
        });
        Ladder { rungs: each.collect() }
    });
    let wish = (0..5_u16, 0..3_u8, 0..4_u8, any::<bool>()).prop_map(|(height, fps, priority, screen)| Wish {
        height: height * 180,
        fps: fps * 15,
        priority,
        screen,
    });
    prop::collection::vec((ladder, wish), 0..9)
}

proptest! {
    #[test]
    fn the_budget_is_never_exceeded(tracks in tracks(), budgets in prop::collection::vec(0..12_000_u64, 1..30)) {
        let mut viewer = Viewer::new(&tracks);
        for budget in budgets {
            viewer.round(budget);
            prop_assert!(viewer.used() <= budget * 1_000);
        }
    }

    #[test]
    fn more_budget_pauses_nothing(tracks in tracks(), budget in 0..12_000_u64, more in 0..3_000_u64) {
        let less = Viewer::new(&tracks).round(budget);
        let more = Viewer::new(&tracks).round(budget + more);
        for (less, more) in less.iter().zip(&more) {
            prop_assert!(less.is_none() || more.is_some());
        }
    }

    #[test]
    fn what_does_not_change_is_left_alone(tracks in tracks(), first in 0..12_000_u64, then in 0..12_000_u64) {
        let mut viewer = Viewer::new(&tracks);
        viewer.rounds(first, 5);
        viewer.rounds(then, 600);
        let settled: Vec<_> = viewer.tracks.iter().map(|(_, _, current)| *current).collect();
        for _ in 0..200 {
            viewer.round(then);
            let now: Vec<_> = viewer.tracks.iter().map(|(_, _, current)| *current).collect();
            prop_assert_eq!(&now, &settled);
        }
    }

    #[test]
    fn the_same_is_decided_again(tracks in tracks(), budgets in prop::collection::vec(0..12_000_u64, 1..9)) {
        let (mut one, mut other) = (Viewer::new(&tracks), Viewer::new(&tracks));
        for budget in budgets {
            prop_assert_eq!(one.round(budget), other.round(budget));
        }
    }
}

#[test]
fn the_number_of_an_encoding_says_nothing_of_its_size() {
    // As the client module sends them: the largest has the lowest number.
    let rungs = vec![rung(2, 0, 60, 135, 15), rung(1, 0, 180, 270, 15), rung(0, 0, 480, 540, 15)];
    let mut viewer = Viewer::new(&[(Ladder { rungs }, wish(540))]);
    assert_eq!(viewer.round(700), [Some(0)]);
    assert_eq!(viewer.round(300), [Some(1)]);
    assert_eq!(viewer.rounds(700, 10), [Some(1)], "it went down a moment ago");
    assert_eq!(viewer.rounds(700, 40), [Some(0)]);
}
