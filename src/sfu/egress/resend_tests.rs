use proptest::prelude::*;

use super::*;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The packets of a stream of 1,200 bytes each: how many are lost for good when a part of everything that is sent, resends
/// included, is lost on the way, and how many were sent again.
struct Outcome {
    lost: u64,
    resent: u64,
}

/// A subscriber with 40 ms of round trip that asks for a lost packet up to ten times. `lose` is told the moment and a random
/// number below 100.
fn play(kbit: u64, time: Duration, lose: impl Fn(Duration, u64) -> bool) -> Outcome {
    let (start, rtt) = (Instant::now(), ms(40));
    let (mut resends, mut outcome) = (Resends::new(), Outcome { lost: 0, resent: 0 });
    let mut random = 0x1234_5678_9abc_def1_u64;
    let mut dice = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % 100
    };
    let mut asking: Vec<(u64, u32)> = Vec::new();
    let mut sequence = 0;
    for turn in 0..time.as_millis() / 40 {
        let passed = ms(40) * u32::try_from(turn).expect("few");
        let now = start + passed;
        for (number, tries) in std::mem::take(&mut asking) {
            let verdict = resends.admit(now, number, 1_212, Some(rtt));
            assert_ne!(verdict, Verdict::JustSent, "a round trip has passed");
            outcome.resent += u64::from(verdict == Verdict::Send);
            if verdict == Verdict::OverBudget || lose(passed, dice()) {
                if tries < 10 { asking.push((number, tries + 1)) } else { outcome.lost += 1 }
            }
        }
        while sequence * 1_200 * 8 < u64::try_from(passed.as_millis()).expect("short") * kbit {
            resends.sent(1_212);
            if lose(passed, dice()) {
                asking.push((sequence, 1));
            }
            sequence += 1;
        }
    }
    outcome
}

#[test]
fn five_percent_of_loss_are_repaired_whole_and_so_is_a_fifth() {
    for kbit in [100, 1_500, 8_000] {
        assert_eq!(play(kbit, ms(600_000), |_, dice| dice < 5).lost, 0, "{kbit} kbit/s");
        let lost = play(kbit, ms(600_000), |_, dice| dice < 20).lost;
        assert_eq!(lost, 0, "{kbit} kbit/s");
    }
}

#[test]
fn bursts_of_loss_are_repaired() {
    // Every ten seconds the line loses 30 % for two seconds.
    let burst = |passed: Duration, dice| passed.as_secs() % 10 < 2 && dice < 30;
    for kbit in [100, 1_500, 4_000] {
        assert_eq!(play(kbit, ms(300_000), burst).lost, 0, "{kbit} kbit/s");
    }
    // Every minute it carries nothing for 0.2 s, and so loses what is sent again meanwhile, too.
    let silence = |passed: Duration, _| passed.as_millis() % 60_000 < 200;
    assert_eq!(play(1_500, ms(300_000), silence).lost, 0);
}

#[test]
fn a_third_of_loss_leaves_most_repaired() {
    let outcome = play(1_500, ms(600_000), |_, dice| dice < 30);
    let packets = 1_500_000 / 8 / 1_200 * 600;
    assert!(outcome.lost < packets / 10, "{} of {packets}", outcome.lost);
}

#[test]
fn a_slide_that_is_sent_now_and_then_is_repaired_each_time() {
    let (start, mut resends) = (Instant::now(), Resends::new());
    for slide in 0..100_u64 {
        let now = start + ms(10_000) * u32::try_from(slide).expect("few");
        (0..100).for_each(|_| resends.sent(1_212));
        // A third of 120 kB is lost.
        for number in 0..33 {
            assert_eq!(resends.admit(now, slide * 100 + number * 3, 1_212, None), Verdict::Send);
        }
    }
}

#[test]
fn what_is_on_its_way_is_not_sent_twice() {
    let (start, mut resends) = (Instant::now(), Resends::new());
    let mut ask = |after: u64, sequence, rtt| resends.admit(start + ms(after), sequence, 100, rtt);
    assert_eq!(ask(0, 7, None), Verdict::Send);
    assert_eq!(ask(20, 7, None), Verdict::JustSent);
    assert_eq!(ask(20, 8, None), Verdict::Send, "another packet");
    assert_eq!(
        ask(99, 7, None),
        Verdict::Send,
        "a browser that knows no better asks again after 100 ms, or nearly"
    );

    let far = Some(ms(300));
    assert_eq!(ask(1_000, 9, far), Verdict::Send);
    assert_eq!(ask(1_100, 9, far), Verdict::JustSent, "the answer takes 300 ms");
    assert_eq!(ask(1_200, 9, far), Verdict::JustSent, "being asked again does not make it wait longer");
    assert_eq!(ask(1_300, 9, far), Verdict::Send);

    let near = Some(Duration::ZERO);
    assert_eq!(ask(2_000, 10, near), Verdict::Send);
    assert_eq!(ask(2_009, 10, near), Verdict::JustSent);
    assert_eq!(ask(2_010, 10, near), Verdict::Send);
    assert_eq!(ask(3_000, 11, Some(Duration::MAX)), Verdict::Send);
    assert_eq!(ask(4_000, 11, Some(Duration::MAX)), Verdict::Send, "nobody is that far away");
}

#[test]
fn what_was_refused_is_sent_once_there_is_budget() {
    let (start, mut resends) = (Instant::now(), Resends::new());
    let admitted = (0..1_000).filter(|&n| resends.admit(start, n, 1_200, None) == Verdict::Send).count();
    assert_eq!(admitted, 109);
    assert_eq!(resends.admit(start, 999, 1_200, None), Verdict::OverBudget);
    resends.sent(3_700);
    assert_eq!(resends.admit(start, 999, 1_200, None), Verdict::Send);
}

#[test]
fn an_hour_of_asking_for_everything_costs_a_third_more_and_no_memory() {
    let (start, mut resends) = (Instant::now(), Resends::new());
    assert!(resends.asked.is_none(), "nobody asked yet");
    let (mut sent, mut resent) = (0_u64, 0_u64);
    for turn in 0..36_000_u64 {
        let now = start + ms(100) * u32::try_from(turn).expect("few");
        // 1.5 Mbit/s; and all of the last two seconds is asked for, ten times a second.
        for _ in 0..16 {
            resends.sent(1_200);
            sent += 1_200;
        }
        for number in 0..320 {
            let sequence = (turn * 16 + 16).saturating_sub(number);
            if resends.admit(now, sequence, 1_200, Some(Duration::ZERO)) == Verdict::Send {
                resent += 1_200;
            }
        }
    }
    assert!(resent <= sent / SHARE + TRICKLE * 3_600 + DEPTH, "{resent} of {sent}");
    assert!(resent > sent / 4, "and what is owed is paid");
    assert!(size_of::<Asked>() <= 4_096 && size_of::<Resends>() <= 16);
}

proptest! {
    #[test]
    fn no_pattern_of_asking_gets_more_than_the_budget_or_the_same_twice_within_a_round_trip(
        steps in prop::collection::vec((0..50_u64, 0..400_u64, 1..1_500_usize, 0..40_usize), 1..600),
        rtt in 12..400_u64,
        begin in any::<u64>(),
    ) {
        let start = Instant::now();
        let (mut now, mut resends, mut last) = (start, Resends::new(), std::collections::BTreeMap::new());
        let (mut sent, mut resent) = (0_u64, 0_u64);
        for (wait, number, bytes, packets) in steps {
            now += ms(wait);
            (0..packets).for_each(|_| resends.sent(1_200));
            sent += packets as u64 * 1_200;
            let sequence = begin.wrapping_add(number % 200);
            if resends.admit(now, sequence, bytes, Some(ms(rtt))) == Verdict::Send {
                resent += bytes as u64;
                if let Some(before) = last.insert(sequence, now) {
                    prop_assert!(now.duration_since(before) >= ms(rtt * 3 / 4));
                }
            }
            let passed = milliseconds(start, now);
            prop_assert!(resent <= DEPTH + sent / SHARE + passed * TRICKLE / 1_000);
        }
    }
}
