use proptest::prelude::*;

use super::*;
use crate::ids::WorkerId;
use crate::wire::stun::{TransactionId, Writer, attribute};

const DTLS: [u8; 13] = [22; 13];
const RTP: [u8; 12] = [0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const RTCP: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];

fn source(port: u16) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 7], port))
}

fn local() -> SocketAddr {
    "192.0.2.1:3478".parse().unwrap()
}

fn ufrag(number: u8) -> Ufrag {
    Ufrag::mint(WorkerId(0), [number; 10])
}

fn binding(class: stun::Class, username: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let writer = Writer::new(&mut out, class, Method::BINDING, TransactionId([1; 12]));
    match username {
        Some(name) => writer.attribute(attribute::USERNAME, name.as_bytes()).fingerprint(),
        None => writer.fingerprint(),
    }
    out
}

fn check(ufrag: Ufrag) -> Vec<u8> {
    binding(stun::Class::Request, Some(&format!("{ufrag}:peer")))
}

fn route(demux: &Demux<u32>, port: u16, payload: &[u8]) -> Route<u32> {
    demux.route(&Datagram { source: source(port), local: local(), payload })
}

#[test]
fn classes_follow_rfc_7983() {
    for first in 0..=255_u8 {
        let expected = match first {
            0..=3 => Class::Stun,
            20..=63 => Class::Dtls,
            64..=127 => Class::ChannelData,
            128..=191 => Class::Rtp,
            _ => Class::Unknown,
        };
        assert_eq!(classify(&[first, 0]), expected, "first byte {first}");
    }
    assert_eq!(classify(&[]), Class::Unknown);
    assert_eq!(classify(&[128]), Class::Unknown);
}

#[test]
fn rtcp_is_told_from_every_rtp_payload_type() {
    for second in 0..=255_u8 {
        let expected = if (192..=223).contains(&second) { Class::Rtcp } else { Class::Rtp };
        assert_eq!(classify(&[0x80, second]), expected, "second byte {second}");
    }
    // Payload types 35 to 63 with the marker bit set stay RTP.
    assert_eq!(classify(&[0x90, 128 | 35]), Class::Rtp);
    assert_eq!(classify(&[0x90, 128 | 63]), Class::Rtp);
}

#[test]
fn a_ufrag_beats_the_address() {
    let (mut demux, now) = (Demux::new(), Instant::now());
    demux.insert_ufrag(ufrag(1), 1);
    demux.insert_ufrag(ufrag(2), 2);
    demux.learn(now, source(9), local(), 1);
    assert_eq!(route(&demux, 9, &check(ufrag(1))), Route::Session(1));
    assert_eq!(route(&demux, 9, &check(ufrag(2))), Route::Session(2));
    for payload in [&DTLS[..], &RTP, &RTCP] {
        assert_eq!(route(&demux, 9, payload), Route::Session(1));
    }
}

#[test]
fn stun_goes_by_method_and_username() {
    let (mut demux, now) = (Demux::new(), Instant::now());
    demux.insert_ufrag(ufrag(1), 1);
    demux.learn(now, source(9), local(), 1);
    assert_eq!(route(&demux, 9, &binding(stun::Class::Request, None)), Route::Binding);
    assert_eq!(route(&demux, 9, &check(ufrag(3))), Route::Drop(DropReason::UnknownUfrag));
    let foreign = binding(stun::Class::Request, Some("evtj:h6vY"));
    assert_eq!(route(&demux, 9, &foreign), Route::Drop(DropReason::UnknownUfrag));
    for class in [stun::Class::Success, stun::Class::Error, stun::Class::Indication] {
        assert_eq!(route(&demux, 9, &binding(class, None)), Route::Session(1));
        assert_eq!(route(&demux, 8, &binding(class, None)), Route::Drop(DropReason::UnknownSource));
    }
    let mut allocate = Vec::new();
    let _ = Writer::new(&mut allocate, stun::Class::Request, Method::new(3).unwrap(), TransactionId([1; 12]));
    assert_eq!(route(&demux, 9, &allocate), Route::Turn);
    assert_eq!(route(&demux, 9, &[0x40, 0, 0, 0]), Route::Turn);
}

#[test]
fn bad_datagrams_are_dropped_with_their_reason() {
    let (mut demux, now) = (Demux::new(), Instant::now());
    demux.insert_ufrag(ufrag(1), 1);
    demux.learn(now, source(9), local(), 1);
    let whole = check(ufrag(1));
    let truncated =
        [&whole[..19], &DTLS[..12], &RTP[..11], &RTCP[..7], &[0x40, 0, 0][..]].map(|p| route(&demux, 9, p));
    assert_eq!(truncated, [Route::Drop(DropReason::Truncated); 5]);
    let garbage = [&whole[..whole.len() - 4], b"GET / HTTP/1.1", &[0xFF; 40], &[][..]];
    // "G" is 71, the range of ChannelData: the TURN server is the one to refuse it.
    let expected = [DropReason::Garbage; 4].map(Route::Drop);
    for (payload, expected) in garbage.iter().zip(expected) {
        let expected = if payload.starts_with(b"GET") { Route::Turn } else { expected };
        assert_eq!(route(&demux, 9, payload), expected, "{payload:?}");
    }
}

#[test]
fn the_local_address_counts() {
    let (mut demux, now) = (Demux::new(), Instant::now());
    demux.insert_ufrag(ufrag(1), 1);
    demux.learn(now, source(9), local(), 1);
    let other = Datagram { source: source(9), local: "192.0.2.2:3478".parse().unwrap(), payload: &RTP };
    assert_eq!(demux.route(&other), Route::Drop(DropReason::UnknownSource));
}

#[test]
fn a_session_keeps_a_bounded_number_of_addresses() {
    let (mut demux, now) = (Demux::new(), Instant::now());
    demux.insert_ufrag(ufrag(1), 1);
    let last = u16::try_from(MAX_ADDRESSES).unwrap() + 1;
    for port in 1..last {
        demux.learn(now, source(port), local(), 1);
    }
    // Heard again, the first is no longer the oldest; the second goes.
    demux.learn(now, source(1), local(), 1);
    demux.learn(now, source(last), local(), 1);
    assert_eq!(route(&demux, 1, &RTP), Route::Session(1));
    assert_eq!(route(&demux, 2, &RTP), Route::Drop(DropReason::UnknownSource));
    assert_eq!(route(&demux, last, &RTP), Route::Session(1));
    assert_eq!(demux.addresses.len(), MAX_ADDRESSES);
}

/// A session that forges the source of its checks, or sends on a check that it overheard, is refused.
#[test]
fn a_path_stays_with_a_session_that_confirms_it() {
    let (mut demux, began) = (Demux::new(), Instant::now());
    demux.insert_ufrag(ufrag(1), 1);
    demux.insert_ufrag(ufrag(2), 2);
    for second in (0..60).step_by(6) {
        let now = began + Duration::from_secs(second);
        assert!(demux.learn(now, source(9), local(), 1));
        for later in [0, 1, 5] {
            assert!(!demux.learn(now + Duration::from_secs(later), source(9), local(), 2));
        }
        for payload in [&DTLS[..], &RTP, &RTCP] {
            assert_eq!(route(&demux, 9, payload), Route::Session(1));
        }
    }
    // Sessions may share a socket all the same, as far as connectivity checks go.
    assert_eq!(route(&demux, 9, &check(ufrag(2))), Route::Session(2));
    let other = "192.0.2.2:3478".parse().unwrap();
    assert!(demux.learn(began, source(9), other, 2), "a path is both addresses");
}

#[test]
fn a_path_that_is_not_confirmed_changes_hands() {
    let (mut demux, began) = (Demux::new(), Instant::now());
    demux.insert_ufrag(ufrag(1), 1);
    demux.insert_ufrag(ufrag(2), 2);
    demux.learn(began, source(9), local(), 1);
    // Only the holder's own checks count: what others claim does not hold the path for it.
    assert!(!demux.learn(began + HELD_FOR - Duration::from_millis(1), source(9), local(), 2));
    assert!(demux.learn(began + HELD_FOR, source(9), local(), 2));
    assert_eq!(route(&demux, 9, &RTP), Route::Session(2));
    assert!(!demux.learn(began + HELD_FOR, source(9), local(), 1), "from now on it is held by the other");
    demux.remove(1);
    assert_eq!(route(&demux, 9, &RTP), Route::Session(2), "the first holder's end takes nothing away");
}

#[test]
fn the_end_of_a_session_frees_its_paths() {
    let (mut demux, now) = (Demux::new(), Instant::now());
    demux.insert_ufrag(ufrag(1), 1);
    demux.insert_ufrag(ufrag(2), 2);
    demux.learn(now, source(9), local(), 1);
    demux.remove(1);
    assert!(demux.learn(now, source(9), local(), 2));
    assert_eq!(route(&demux, 9, &RTP), Route::Session(2));
}

#[test]
fn an_ice_restart_keeps_both_ufrags_until_the_old_one_is_removed() {
    let mut demux = Demux::new();
    demux.insert_ufrag(ufrag(1), 1);
    demux.insert_ufrag(ufrag(2), 1);
    assert_eq!(route(&demux, 9, &check(ufrag(1))), Route::Session(1));
    demux.remove_ufrag(ufrag(1));
    assert_eq!(route(&demux, 9, &check(ufrag(1))), Route::Drop(DropReason::UnknownUfrag));
    assert_eq!(route(&demux, 9, &check(ufrag(2))), Route::Session(1));
}

#[test]
fn nothing_is_left_of_a_removed_session() {
    let (mut demux, now) = (Demux::new(), Instant::now());
    demux.insert_ufrag(ufrag(1), 1);
    demux.insert_ufrag(ufrag(2), 1);
    demux.learn(now, source(9), local(), 1);
    demux.remove(1);
    demux.remove(1);
    assert!(!demux.learn(now, source(9), local(), 1));
    assert!(demux.ufrags.is_empty() && demux.addresses.is_empty() && demux.sessions.is_empty());
}

proptest! {
    #[test]
    fn any_datagram_is_routed_without_panic(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut demux = Demux::new();
        demux.insert_ufrag(ufrag(1), 1);
        let _ = route(&demux, 9, &payload);
    }

    /// The three tables tell the same story, whatever happens to them.
    #[test]
    fn the_tables_agree(steps in proptest::collection::vec((0..4_u8, 0..3_u32, 0..12_u16), 0..80)) {
        let (mut demux, mut now) = (Demux::new(), Instant::now());
        for (step, session, number) in steps {
            now += Duration::from_secs(1);
            match step {
                0 => demux.insert_ufrag(ufrag(u8::try_from(number).unwrap()), session),
                1 => {
                    let learned = demux.learn(now, source(number), local(), session);
                    let holder = demux.addresses.get(&(source(number), local()));
                    prop_assert_eq!(learned, holder.is_some_and(|holder| holder.owner.session() == Some(session)));
                }
                2 => demux.remove_ufrag(ufrag(u8::try_from(number).unwrap())),
                _ => demux.remove(session),
            }
            let ufrags: usize = demux.sessions.values().map(|known| known.ufrags.len()).sum();
            let addresses: usize = demux.sessions.values().map(|known| known.addresses.len()).sum();
            prop_assert_eq!((ufrags, addresses), (demux.ufrags.len(), demux.addresses.len()));
            for (session, known) in &demux.sessions {
                prop_assert!(known.addresses.len() <= MAX_ADDRESSES);
                prop_assert!(known.ufrags.iter().all(|ufrag| demux.ufrags.get(ufrag) == Some(session)));
                prop_assert!(known.addresses.iter().all(|path| demux.addresses.get(path).is_some_and(|h| h.owner.session() == Some(*session))));
            }
        }
    }
}

#[test]
fn what_belongs_to_another_worker_goes_there() {
    let mut demux: Demux<u32> = Demux::on(WorkerId(1));
    let now = Instant::now();
    assert_eq!(route(&demux, 9, &check(ufrag(1))), Route::Elsewhere(WorkerId(0)));
    let own = Ufrag::mint(WorkerId(1), [1; 10]);
    assert_eq!(route(&demux, 9, &check(own)), Route::Drop(DropReason::UnknownUfrag), "it is over");
    assert_eq!(route(&demux, 9, &RTP), Route::Drop(DropReason::UnknownSource), "nothing is proved");
    assert!(demux.learn_elsewhere(now, (source(9), local()), WorkerId(0)));
    assert_eq!(route(&demux, 9, &RTP), Route::Elsewhere(WorkerId(0)));
    demux.forget_elsewhere((source(9), local()), WorkerId(2));
    assert_eq!(route(&demux, 9, &RTP), Route::Elsewhere(WorkerId(0)), "it was not that one's");
    demux.forget_elsewhere((source(9), local()), WorkerId(0));
    assert_eq!(route(&demux, 9, &RTP), Route::Drop(DropReason::UnknownSource));
}

/// No session of any worker takes a path from a living session of any other.
#[test]
fn a_path_is_held_across_workers() {
    let (mut demux, now) = (Demux::on(WorkerId(0)), Instant::now());
    let path = (source(9), local());
    let (almost, after) = (now + HELD_FOR - Duration::from_millis(1), now + HELD_FOR);
    demux.insert_ufrag(ufrag(1), 1);
    demux.learn(now, path.0, path.1, 1);
    assert!(!demux.learn_elsewhere(almost, path, WorkerId(1)));
    assert_eq!(route(&demux, 9, &RTP), Route::Session(1));
    assert!(demux.learn_elsewhere(after, path, WorkerId(1)));
    assert!(demux.learn_elsewhere(after + Duration::from_secs(5), path, WorkerId(1)), "confirmed");
    let later = after + HELD_FOR;
    assert!(!demux.learn_elsewhere(later, path, WorkerId(2)) && !demux.learn(later, path.0, path.1, 1));
    assert_eq!(route(&demux, 9, &RTP), Route::Elsewhere(WorkerId(1)));
    demux.remove(1);
    assert_eq!(route(&demux, 9, &RTP), Route::Elsewhere(WorkerId(1)), "it was not its path any more");
}

/// Whoever handed a path's datagrams over is told when that is to end.
#[test]
fn paths_of_sessions_that_end_are_released_where_they_arrive() {
    let (mut demux, now) = (Demux::new(), Instant::now());
    demux.insert_ufrag(ufrag(1), 1);
    let path = |port| (source(port), local());
    assert!(demux.learn_from(now, path(1), 1, Some(WorkerId(3))));
    assert!(demux.learn_from(now, path(2), 1, None));
    assert!(demux.learn_from(now, path(3), 1, Some(WorkerId(3))));
    assert!(demux.learn_from(now, path(3), 1, Some(WorkerId(4))), "the way in has changed");
    assert_eq!(demux.take_released().collect::<Vec<_>>(), [(WorkerId(3), path(3))]);
    assert_eq!(route(&demux, 3, &RTP), Route::Session(1));
    demux.remove(1);
    let released: Vec<_> = demux.take_released().collect();
    assert_eq!(released, [(WorkerId(3), path(1)), (WorkerId(4), path(3))]);
    assert!(demux.addresses.is_empty());
}
