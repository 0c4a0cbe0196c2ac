use proptest::prelude::*;

use super::*;
use crate::wire::ntp::NtpTime;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn epoch(instant: Instant) -> Epoch {
    Epoch { instant, ntp: NtpTime::since_1970(Duration::from_secs(1_763_800_000)) }
}

/// A repeatable number below `below`.
fn dice(seed: u64, below: u64) -> u64 {
    let mut x = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 27)) % below
}

/// A slot, and the receiver behind it: what it makes of the reports.
struct Stream {
    reports: Reports,
    rate: u32,
    epoch: Epoch,
    start: Instant,
    told: Option<SenderInfo>,
    /// The timestamp of the moment `start` by the present source.
    base: u32,
    /// How many reports were made.
    count: u32,
}

impl Stream {
    fn new(ssrc: u32, rate: u32, start: Instant) -> Self {
        let base = u32::MAX - rate * 3;
        Self {
            reports: Reports::new(Ssrc(ssrc)),
            rate,
            epoch: epoch(start),
            start,
            told: None,
            base,
            count: 0,
        }
    }

    /// The timestamp of what was captured so long after the start.
    fn timestamp(&self, after: Duration) -> u32 {
        self.base.wrapping_add(ticks(after, self.rate) as u32)
    }

    fn sent(&mut self, after: Duration, captured: Instant) {
        self.reports.sent(captured, self.timestamp(after), self.rate, 1_000);
    }

    fn turn(&mut self, now: Instant) {
        if self.reports.due(now) {
            self.told = self.reports.sender_info(now, &self.epoch);
            self.count += 1;
        }
    }

    /// By how many milliseconds what the receiver takes for the capture time is later than the truth.
    fn error(&self, after: Duration) -> f64 {
        let told = self.told.expect("a report");
        let apart = self.timestamp(after).wrapping_sub(told.rtp).cast_signed();
        let ntp = told.ntp.0.wrapping_sub(self.epoch.ntp(self.start + after).0).cast_signed();
        (ntp as f64 / 2_f64.powi(32) + f64::from(apart) / f64::from(self.rate)) * 1_000.0
    }
}

/// One minute of a participant's view: 20 ms of sound and 33 ms of picture, as `captured` puts them on our clock (from the
/// truth and a seed), with resends and a mute of the microphone. Every 15 s another publisher takes the
/// place. Returns the largest skew in milliseconds that a receiver ever computes, but for a
/// time after each change: `grace`, in milliseconds.
fn largest_skew(grace: u64, captured: impl Fn(Instant, u64) -> Instant) -> f64 {
    let start = Instant::now();
    let (mut sound, mut picture) = (Stream::new(1, 48_000, start), Stream::new(2, 90_000, start));
    let mut largest = 0_f64;
    for at in 0..60_000 {
        let (after, now) = (ms(at), start + ms(at + 250));
        if at % 15_000 == 0 {
            for stream in [&mut sound, &mut picture] {
                stream.base = dice(at, 1 << 32) as u32;
                stream.reports.switched();
            }
        }
        let muted = (20_000..28_000).contains(&at);
        if at % 20 == 0 && !muted {
            sound.sent(after, captured(start + after, at));
        }
        if at % 33 == 0 {
            picture.sent(after, captured(start + after, at + 1));
            picture.sent(after, captured(start + after, at + 2));
            if at > 200 && at % 15_000 > 200 && dice(at, 10) == 0 {
                picture.sent(after - ms(165), captured(start + after, at + 3));
            }
        }
        sound.turn(now);
        picture.turn(now);
        if at % 15_000 >= grace && !muted {
            largest = largest.max((sound.error(after) - picture.error(after)).abs());
        }
    }
    assert!((60..120).contains(&picture.count), "{} reports", picture.count);
    assert!(sound.count < picture.count, "a muted microphone has nothing to report");
    largest
}

#[test]
fn lips_and_voice_keep_together_when_the_publisher_tells_its_clock() {
    // The distance of the clocks is the same for both streams, whatever it is.
    let skew = largest_skew(34, |truth, _| truth + ms(37));
    assert!(skew < 0.1, "{skew} ms");
    // The publisher's own reports are a little off.
    let skew =
        largest_skew(34, |truth, seed| truth + ms(37) + Duration::from_micros(dice(seed / 1_000, 2_000)));
    assert!(skew < 5.0, "{skew} ms");
}

#[test]
fn lips_and_voice_keep_together_when_only_arrival_times_are_known() {
    // One packet in five is late by up to 150 ms, the others by up to 15.
    let skew = largest_skew(150, |truth, seed| {
        let most = if dice(seed, 5) == 0 { 150 } else { 15 };
        truth + ms(20) + ms(dice(seed + 7, most))
    });
    assert!(skew < 25.0, "{skew} ms");
}

#[test]
fn a_clock_that_drifts_or_was_set_anew_is_followed() {
    let start = Instant::now();
    let mut stream = Stream::new(3, 90_000, start);
    for at in (0..3_600_000).step_by(33) {
        // 100 ppm slow; and after half an hour it leaps by half a second.
        let drift = Duration::from_micros(at / 10);
        let leap = if at > 1_800_000 { ms(500) } else { Duration::ZERO };
        stream.sent(ms(at), start + ms(at) + drift + leap);
        stream.turn(start + ms(at) + drift + leap);
        let truth = (drift + leap).as_secs_f64() * 1_000.0;
        if !(1_800_000..1_803_000).contains(&at) {
            assert!(
                (stream.error(ms(at)) - truth).abs() < 1.0,
                "{} instead of {truth}",
                stream.error(ms(at))
            );
        }
    }
}

#[test]
fn timestamps_that_begin_anew_are_reported_at_once() {
    let start = Instant::now();
    let mut stream = Stream::new(3, 90_000, start);
    // A file that begins again, and a pause in which the timestamps go half-way round.
    for (at, back) in [(0, 0), (5_000, 0), (20_000, 600_000), (60_000 + 47_721_858 / 2 + 1_000, 0)] {
        stream.base = stream.base.wrapping_sub(back * 90);
        for at in [at, at + 33] {
            let now = start + ms(at) + ms(40);
            stream.sent(ms(at), now);
            stream.turn(now);
            let error = stream.error(ms(at));
            assert!((error - 40.0).abs() < 1.0, "{error} ms at {at}");
        }
    }
}

#[test]
fn reports_come_at_once_then_every_second_and_not_without_need() {
    let start = Instant::now();
    let mut stream = Stream::new(9, 48_000, start);
    assert_eq!(stream.reports.deadline(), None);
    assert_eq!(stream.reports.sender_info(start, &epoch(start)), None);
    let mut moments = Vec::new();
    let mut run = |stream: &mut Stream, range: std::ops::Range<u64>, sending: bool| {
        moments.clear();
        for at in range {
            if sending && at % 20 == 0 {
                stream.sent(ms(at), start + ms(at));
            }
            let before = stream.count;
            assert_eq!(
                stream.reports.due(start + ms(at)),
                stream.reports.deadline().is_some_and(|due| due <= start + ms(at))
            );
            stream.turn(start + ms(at));
            if stream.count > before {
                moments.push(at);
            }
        }
        moments.clone()
    };
    let begin = run(&mut stream, 1_000..11_000, true);
    assert_eq!(begin.first(), Some(&1_000), "lips must match from the first picture on");
    assert!(begin.get(1).is_some_and(|&second| second < 1_150), "{begin:?}");
    assert!((11..=15).contains(&begin.len()), "{begin:?}");
    assert!(run(&mut stream, 11_000..20_000, false).len() <= 1, "a mute is silent");
    let again = run(&mut stream, 20_000..25_000, true);
    assert_eq!(again.first(), Some(&20_000), "after a mute the receiver is told at once");
    stream.reports.switched();
    assert_eq!(stream.reports.deadline(), None, "nothing is known of the new source");
    assert_eq!(run(&mut stream, 25_000..26_000, true).first(), Some(&25_000));
}

#[test]
fn a_thousand_sources_that_began_together_do_not_report_together() {
    let start = Instant::now();
    let mut turns = vec![0; 1_000];
    for ssrc in 0..1_000 {
        let mut reports = Reports::new(Ssrc(77 + ssrc * 2));
        for at in 0..10_000 {
            reports.sent(start + ms(at), u32::try_from(at).expect("short") * 48, 48_000, 100);
            if reports.due(start + ms(at)) {
                reports.sender_info(start + ms(at), &epoch(start));
                if at >= 9_000 {
                    turns[usize::try_from(at).expect("short") - 9_000] += 1;
                }
            }
        }
    }
    assert!(turns.iter().all(|&together| together < 20), "{:?}", turns.iter().max());
    assert!((900..1_150).contains(&turns.iter().sum::<u32>()));
}

fn block(last_report: u32, delay: Duration) -> ReportBlock {
    let delay = u32::try_from(delay.as_nanos() * 65_536 / 1_000_000_000).expect("short");
    ReportBlock {
        ssrc: Ssrc(1),
        fraction_lost: 64,
        lost: 5,
        highest: 0x1_0005,
        jitter: 480,
        last_report,
        delay,
    }
}

#[test]
fn the_round_trip_is_what_is_left_of_the_time_since_the_report() {
    let start = Instant::now() + ms(100_000);
    // The middle of the NTP time wraps between the report and its answer.
    let epoch = Epoch { instant: start, ntp: NtpTime((0x1234 << 48) - (1 << 31)) };
    let mut reports = Reports::new(Ssrc(1));
    reports.sent(start, 0, 48_000, 10);
    let told = reports.sender_info(start, &epoch).expect("a report").ntp.middle();
    assert!(told > u32::MAX / 2 && epoch.ntp(start + ms(700)).middle() < told, "it wraps");
    reports.received(start + ms(700), &block(told, ms(650)));
    let rtt = reports.rtt().expect("an answer");
    assert!(rtt.abs_diff(ms(50)) < ms(1), "{rtt:?}");
    for answer in 0..50 {
        reports.received(start + ms(1_000 + answer), &block(told, ms(900 + answer)));
    }
    let rtt = reports.rtt().expect("an answer");
    assert!(rtt.abs_diff(ms(100)) < ms(1), "it follows: {rtt:?}");
}

#[test]
fn a_round_trip_is_never_negative_and_nothing_is_made_of_lies() {
    let start = Instant::now();
    let mut reports = Reports::new(Ssrc(1));
    reports.sent(start, 0, 48_000, 10);
    let told = reports.sender_info(start, &epoch(start)).expect("a report").ntp.middle();
    for wrong in [0, told.wrapping_add(1), told.wrapping_sub(65_536)] {
        reports.received(start + ms(90), &block(wrong, ms(10)));
        assert_eq!(reports.rtt(), None);
    }
    reports.received(start + ms(90), &block(told, ms(95)));
    assert_eq!(reports.rtt(), Some(Duration::ZERO), "clocks that run apart are no failure");
    reports
        .received(start + ms(90), &ReportBlock { delay: u32::MAX, jitter: u32::MAX, ..block(told, ms(0)) });
    assert_eq!(reports.rtt(), Some(Duration::ZERO));
    for at in 1..20 {
        reports.sender_info(start + ms(at * 1_000), &epoch(start));
    }
    reports.received(start + ms(60_000), &block(told, ms(0)));
    assert_eq!(reports.rtt(), Some(Duration::ZERO), "a report of long ago");
}

#[test]
fn what_a_receiver_lost_is_told_as_a_part() {
    let start = Instant::now();
    let mut reports = Reports::new(Ssrc(1));
    assert_eq!(reports.lost(), 0.0);
    reports.received(start, &block(0, ms(0)));
    assert_eq!(reports.lost(), 0.25);
}

#[test]
fn what_was_sent_is_counted() {
    let start = Instant::now();
    let mut reports = Reports::new(Ssrc(1));
    for number in 0..3_000 {
        reports.sent(start, number / 3, 90_000, 1 << 21);
    }
    let told = reports.sender_info(start, &epoch(start)).expect("a report");
    assert_eq!((reports.packets(), reports.bytes()), (3_000, 3_000 << 21));
    assert_eq!(
        (told.packets, u64::from(told.octets)),
        (3_000, (3_000 << 21) & 0xffff_ffff),
        "as RTCP counts"
    );
}

proptest! {
    #[test]
    fn whatever_the_network_does_reports_stay_within_it(
        late in prop::collection::vec((0..120_u64, 0..5_u64), 2..400),
        seed in any::<u32>(),
    ) {
        let start = Instant::now();
        let mut stream = Stream::new(seed, 90_000, start);
        stream.base = seed;
        for (number, (late, reordered)) in late.into_iter().enumerate() {
            let number = number as u64;
            let after = ms(33 * number.saturating_sub(reordered));
            let arrived = start + ms(33 * number + late);
            stream.sent(after, arrived);
            stream.turn(arrived);
            if let Some(told) = stream.told {
                prop_assert_eq!(u64::from(told.packets) > 0, true);
                let error = stream.error(after);
                prop_assert!((-0.1..=120.0 + 5.0 * 33.0).contains(&error), "{} ms", error);
            }
        }
    }

    #[test]
    fn nothing_that_is_sent_or_said_breaks_it(
        steps in prop::collection::vec((0..90_000_000_u64, any::<u32>(), any::<u32>(), any::<u32>(), 0..4_u8), 1..100),
    ) {
        let start = Instant::now();
        let (mut now, mut reports) = (start, Reports::new(Ssrc(5)));
        for (wait, a, b, c, what) in steps {
            now += ms(wait);
            match what {
                0 => reports.sent(now, a, [0, 8_000, 48_000, 90_000][b as usize % 4], c as usize),
                1 => reports.switched(),
                2 => drop(reports.sender_info(now, &epoch(start))),
                _ => drop(reports.received(now, &ReportBlock {
                    ssrc: Ssrc(5), fraction_lost: a as u8, lost: b.cast_signed(), highest: c,
                    jitter: a, last_report: reports.made.reports[0].map_or(b, |(name, _)| name), delay: c,
                })),
            }
            prop_assert!(reports.deadline().is_none_or(|at| at <= now + INTERVAL * 2));
        }
    }
}
