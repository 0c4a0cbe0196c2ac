//! What leaves the server as media: under keys that another sender uses too, and with clocks that keep sound and picture in
//! step.

mod common;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use common::media::{numbers, publish};
use common::{Joined, World};
use sluice::sfu::session::offer::Role;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};

/// How often each participant sends.
const TICK: Duration = Duration::from_millis(20);

/// Lets participants send sound every 20 ms and a picture every 40 ms, all captured when they are sent. Every 25th picture is
/// one with which a decoder can begin.
fn talk(world: &mut World, participants: usize, ticks: std::ops::Range<u32>) {
    for tick in ticks {
        for place in 0..participants {
            let (now, client) = (world.now, &mut world.clients[place]);
            client.send_audio(now, tick, -30);
            if tick % 2 == 0 {
                let picture = u16::try_from(tick / 2).expect("short tests");
                let [high, low] = picture.to_be_bytes();
                let mut payload = vec![0x90, 0xe0, 0x80 | high, low, 7, 0x20, u8::from(picture % 25 != 0)];
                payload.resize(400, place as u8);
                let video = client.video;
                client.send(now, video, tick * 1_800, true, &payload);
            }
        }
        world.run(TICK);
    }
}

/// Everybody's slots get the tracks of the participants behind them, `by` steps further.
fn bind_all(world: &mut World, joined: &[Joined], by: usize) {
    for (place, viewer) in joined.iter().enumerate() {
        let publisher = |step: usize| &joined[(place + 1 + (by + step) % (joined.len() - 1)) % joined.len()];
        world.bind(viewer, 0, publisher(0), 0);
        world.bind(viewer, 1, publisher(0), 1);
        world.bind(viewer, 2, publisher(1), 1);
    }
}

/// One more section for video, by a later offer.
fn renegotiate(world: &mut World, place: usize, joined: &Joined) {
    let more = |api: &mut str0m::change::SdpApi<'_>| {
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    };
    let offer = world.clients[place].offer(more);
    let answered = world.offer(joined, &offer).expect("the session is there").expect("a good offer");
    world.clients[place].accept(&answered.answer);
}

/// RFC 7714 sections 8.1 and 9.1: the nonce is made of SSRC and packet index, under the key of the direction.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Nonce {
    Rtp(usize, [u8; 4], u16),
    Rtcp(usize, [u8; 4], u32),
}

/// The nonce of a datagram of SRTP or SRTCP, by the layout of AEAD_AES_256_GCM.
fn nonce(place: usize, datagram: &[u8]) -> Option<Nonce> {
    let [first, second, a, b, rest @ ..] = datagram else { return None };
    if first >> 6 != 2 {
        return None;
    }
    if (192..=223).contains(second) {
        let (ssrc, index) = (*rest.first_chunk::<4>()?, u32::from_be_bytes(*rest.last_chunk::<4>()?));
        return Some(Nonce::Rtcp(place, ssrc, index & 0x7fff_ffff));
    }
    Some(Nonce::Rtp(place, *rest[4..].first_chunk::<4>()?, u16::from_be_bytes([*a, *b])))
}

#[test]
fn no_nonce_is_used_twice_by_the_two_senders_of_a_session() {
    let (mut world, joined) = World::participants(&[&[Codec::Vp8], &[Codec::Vp8], &[Codec::Vp8]]);
    world.sniffed = Some(Vec::new());
    bind_all(&mut world, &joined, 0);
    talk(&mut world, 3, 0..200);
    world.clients.iter_mut().for_each(|client| client.loses = |datagram| datagram % 10 == 3);
    talk(&mut world, 3, 200..400);
    bind_all(&mut world, &joined, 1);
    talk(&mut world, 3, 400..500);
    world.clients.iter_mut().for_each(|client| client.loses = |_| false);
    renegotiate(&mut world, 0, &joined[0]);
    world.mute(&joined[1], 1, true);
    talk(&mut world, 3, 500..600);
    world.mute(&joined[1], 1, false);
    bind_all(&mut world, &joined, 0);
    talk(&mut world, 3, 600..800);

    let sniffed = world.sniffed.take().expect("recorded");
    let mut seen: HashMap<Nonce, &[u8]> = HashMap::new();
    let (mut early, mut late) = (HashSet::new(), HashSet::new());
    let mut media = HashSet::new();
    for (place, datagram) in &sniffed {
        let Some(nonce) = nonce(*place, datagram) else { continue };
        match nonce {
            Nonce::Rtcp(place, ssrc, index) if index < 1 << 30 => drop(early.insert((place, ssrc))),
            Nonce::Rtcp(place, ssrc, _) => drop(late.insert((place, ssrc))),
            Nonce::Rtp(place, ssrc, _) => drop(media.insert((place, ssrc))),
        }
        let before = seen.insert(nonce, datagram);
        assert!(before.is_none_or(|before| before == datagram), "one nonce for two contents");
    }
    assert!(seen.len() > 3 * 800 && world.core.counters().resent > 50, "{}", world.core.counters().resent);
    assert_eq!(early.len(), 3, "str0m reports of what it receives from one source for each session");
    assert!(late.len() >= 9 && late.is_subset(&media), "reports are of the sources that media comes from");
    assert!(early.is_disjoint(&media), "str0m says nothing in the name of our sources");
}

/// Without a stream for it, what is sent again is the packet itself: other bytes under the same nonce would tell the key.
#[test]
fn a_receiver_without_retransmission_streams_gets_the_very_same_bytes_again() {
    let mut world = World::new();
    world.resends = false;
    let (_, publisher) = world.join(Role::Publish, &[Codec::Vp8]);
    let (_, viewer) = world.join(Role::Watch, &[Codec::Vp8]);
    world.watch(&viewer, &publisher);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    world.sniffed = Some(Vec::new());
    publish(&mut world, 0, 0..10, 0);
    world.clients[1].asks_again();
    world.clients[1].loses = |datagram| datagram % 10 == 3;
    publish(&mut world, 0, 10..95, 10);
    world.clients[1].loses = |_| false;
    // The last ones show what is missing before them.
    publish(&mut world, 0, 95..100, 95);
    world.run(Duration::from_secs(1));
    let mut seen = numbers(&world, 1);
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>(), "nothing is missing, nothing came twice");

    let mut sent: HashMap<Nonce, Vec<u8>> = HashMap::new();
    let mut again = 0;
    for (place, datagram) in world.sniffed.take().expect("recorded") {
        let Some(nonce) = nonce(place, &datagram) else { continue };
        if let Some(before) = sent.insert(nonce, datagram.clone()) {
            assert_eq!(before, datagram, "one nonce for two contents");
            again += 1;
        }
    }
    assert!(again >= 8, "only {again} packets were sent again");
}

/// When the newest packet of a section was captured by its sender reports, on the server's clock, and when it arrived here.
fn captured(world: &World, place: usize, mid: Mid, rate: f64) -> Option<(SystemTime, std::time::Instant)> {
    let packet = world.clients[place].received_on(mid).pop()?;
    let report = packet.last_sender_info?;
    let told = (report.rtp_time.numer() & 0xffff_ffff) as u32;
    let ticks = packet.header.timestamp.wrapping_sub(told).cast_signed();
    let apart = Duration::from_secs_f64(f64::from(ticks.unsigned_abs()) / rate);
    let at = if ticks < 0 { report.ntp_time - apart } else { report.ntp_time + apart };
    Some((at, packet.timestamp))
}

/// How far sound and picture of the second participant's slots are apart, in seconds.
fn skew(world: &World) -> f64 {
    let (sound, picture) = (world.clients[1].audio_slot, world.clients[1].slots[0]);
    let of = |mid, rate| {
        let (at, arrived) = captured(world, 1, mid, rate).expect("reported");
        at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64()
            - arrived.duration_since(world.began).as_secs_f64()
    };
    (of(sound, 48_000.0) - of(picture, 90_000.0)).abs()
}

#[test]
fn sound_and_picture_stay_in_step_whatever_happens_to_the_slots() {
    let (mut world, joined) = World::participants(&[&[Codec::Vp8], &[Codec::Vp8], &[Codec::Vp8]]);
    bind_all(&mut world, &joined, 0);
    let mut ticks = 0..;
    let mut go_on = |world: &mut World, count: usize| {
        ticks.by_ref().take(count).for_each(|tick| talk(world, 3, tick..tick + 1));
    };
    let watch = |world: &mut World, what: &str, go_on: &mut dyn FnMut(&mut World, usize)| {
        go_on(world, 50);
        for _ in 0..20 {
            go_on(world, 5);
            let skew = skew(world);
            assert!(skew < 0.08, "{what}: sound and picture are {:.0} ms apart", skew * 1_000.0);
        }
    };
    watch(&mut world, "at first", &mut go_on);
    bind_all(&mut world, &joined, 1);
    watch(&mut world, "after binding others", &mut go_on);
    world.mute(&joined[0], 1, true);
    world.mute(&joined[2], 1, true);
    go_on(&mut world, 150);
    world.mute(&joined[0], 1, false);
    world.mute(&joined[2], 1, false);
    watch(&mut world, "after a mute", &mut go_on);
    renegotiate(&mut world, 1, &joined[1]);
    watch(&mut world, "after another offer", &mut go_on);
    bind_all(&mut world, &joined, 0);
    watch(&mut world, "back to the first", &mut go_on);
}
