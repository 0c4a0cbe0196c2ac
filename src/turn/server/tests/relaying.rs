use proptest::prelude::*;

use super::*;

/// A client with an allocation and a channel to the media.
fn connected(world: &mut World, source: &str) -> (Client, SocketAddr) {
    let mut client = Client::new(source);
    let relayed = client.allocate(world);
    assert_eq!(client.bind(world, 0x4000, MEDIA), 0);
    (client, relayed)
}

#[test]
fn data_goes_both_ways_on_a_channel() {
    let mut world = World::new();
    let (client, relayed) = connected(&mut world, "198.51.100.1:4000");
    for length in 0..20 {
        let data = vec![7; length];
        let there = client.send_on(&mut world, 0x4000, &data);
        assert_eq!(there, Became::ToMedia(relayed, address(MEDIA), data.clone()));
        let (to, back) = world.media_sends(relayed, address(MEDIA), &data).unwrap();
        assert_eq!((to, back), (client.tuple, channel_data(0x4000, &data)));
    }
    let counters = world.server.counters();
    assert_eq!((counters.outward.packets, counters.outward.bytes), (20, 190));
    assert_eq!((counters.inward.packets, counters.inward.bytes), (20, 190));
}

#[test]
fn without_a_channel_data_comes_as_indications() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    let relayed = client.allocate(&mut world);
    assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
    for length in 0..20 {
        let data = vec![7; length];
        let there = client.send(&mut world, MEDIA, &data);
        assert_eq!(there, Became::ToMedia(relayed, address(MEDIA), data.clone()));
        let (_, back) = world.media_sends(relayed, address(MEDIA), &data).unwrap();
        let message = Message::parse(&back).unwrap();
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
        assert_eq!(message.attribute(attribute::DATA), Some(&data[..]));
        let peer = message.attribute(attribute::XOR_PEER_ADDRESS).unwrap();
        assert_eq!(message.xor_address(peer), Some(address(MEDIA)));
    }
}

#[test]
fn over_a_stream_channel_data_is_padded() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000").over_tcp();
    let relayed = client.allocate(&mut world);
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
    let (_, back) = world.media_sends(relayed, address(MEDIA), b"hello").unwrap();
    assert_eq!(back, b"\x40\0\0\x05hello\0\0\0");
    let there = world.send(&client.tuple, &back);
    assert_eq!(there, Became::ToMedia(relayed, address(MEDIA), b"hello".to_vec()), "padding is not data");
}

#[test]
fn media_reaches_only_who_permitted_it() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    let relayed = client.allocate(&mut world);
    assert_eq!(world.media_sends(relayed, address(MEDIA), b"data"), None);
    assert_eq!(world.dropped(Dropped::NoPermission), 1);
    assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
    assert!(world.media_sends(relayed, address(MEDIA), b"data").is_some());
    assert_eq!(world.media_sends(relayed, address("198.51.100.7:9"), b"data"), None);
    let nobody = SocketAddr::new(relayed.ip(), relayed.port() + 1);
    assert_eq!(world.media_sends(nobody, address(MEDIA), b"data"), None);
    assert_eq!(world.dropped(Dropped::NoAllocation), 1);
    assert_eq!(world.media_sends(relayed, address(MEDIA), &[0; 65_536]), None);
    assert_eq!(world.dropped(Dropped::TooLong), 1);
}

#[test]
fn two_clients_reach_each_other_through_their_allocations() {
    let mut world = World::new();
    let mut ann = Client::new("198.51.100.1:4000");
    let mut bob = Client::new("203.0.113.1:5000");
    let (ann_at, bob_at) = (ann.allocate(&mut world), bob.allocate(&mut world));
    assert_eq!(ann.bind(&mut world, 0x4001, &bob_at.to_string()), 0);
    assert_eq!(bob.permit(&mut world, &[&ann_at.to_string()]), 0);
    let Became::ToRelayed(from, to, data) = ann.send_on(&mut world, 0x4001, b"hi") else { panic!("nothing") };
    assert_eq!((from, to), (ann_at, bob_at));
    let (client, wrapped) = world.media_sends(to, from, &data).unwrap();
    assert_eq!(client, bob.tuple);
    assert_eq!(Message::parse(&wrapped).unwrap().attribute(attribute::DATA), Some(&b"hi"[..]));
    let Became::ToRelayed(from, to, data) = bob.send(&mut world, &ann_at.to_string(), b"ho") else {
        panic!("nothing")
    };
    assert_eq!(world.media_sends(to, from, &data), Some((ann.tuple, channel_data(0x4001, b"ho"))));
    // When one is gone, the other's data goes nowhere.
    bob.refresh(&mut world, 0);
    let Became::ToRelayed(from, to, data) = ann.send_on(&mut world, 0x4001, b"hi") else { panic!("nothing") };
    assert_eq!(world.media_sends(to, from, &data), None);
}

#[test]
fn a_channel_needs_a_relayed_peer_that_exists_here_or_may_exist_elsewhere() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    let relayed = client.allocate(&mut world);
    let nobody = SocketAddr::new(relayed.ip(), 59_998);
    assert_eq!(client.bind(&mut world, 0x4001, &nobody.to_string()), 403);
    // The server's other worker lends this one.
    let elsewhere = "192.0.2.1:65534";
    assert_eq!(client.bind(&mut world, 0x4001, elsewhere), 0);
    let became = client.send_on(&mut world, 0x4001, b"data");
    assert_eq!(became, Became::ToRelayed(relayed, address(elsewhere), b"data".to_vec()));
}

#[test]
fn indications_that_lack_something_are_dropped_in_silence() {
    let mut world = World::new();
    let (client, _) = connected(&mut world, "198.51.100.1:4000");
    let data = (attribute::DATA, b"data".to_vec());
    let broken = (attribute::XOR_PEER_ADDRESS, vec![0, 1, 2]);
    for attributes in [
        vec![],
        vec![data.clone()],
        vec![peer_of(MEDIA)],
        vec![broken, data.clone()],
        vec![peer_of(MEDIA), data.clone(), (attribute::DONT_FRAGMENT, vec![])],
    ] {
        assert_eq!(world.send(&client.tuple, &indication(&attributes)), Became::Nothing, "{attributes:?}");
    }
    assert_eq!(world.dropped(Dropped::Indication), 5);
    let optional = indication(&[peer_of(MEDIA), data, (0x8022, b"a client".to_vec())]);
    assert!(matches!(world.send(&client.tuple, &optional), Became::ToMedia(..)));
}

#[test]
fn channel_data_that_does_not_fit_is_dropped() {
    let mut world = World::new();
    let (client, _) = connected(&mut world, "198.51.100.1:4000");
    for (message, reason) in [
        (&[0x40, 0, 0, 9, 1][..], Dropped::Malformed),
        (&[0x40, 0, 0], Dropped::Malformed),
        (&[0x40], Dropped::Malformed),
        (&[0x40, 1, 0, 0], Dropped::NoChannel),
        (&[0x4F, 255, 0, 0], Dropped::NoChannel),
    ] {
        let before = world.dropped(reason);
        assert_eq!(world.send(&client.tuple, message), Became::Nothing);
        assert_eq!(world.dropped(reason), before + 1, "{message:?}");
    }
}

#[test]
fn an_allocation_has_so_much_bandwidth_in_each_direction() {
    let bandwidth = Some(Bitrate(8_000_000));
    let mut world = World::with(|settings| settings.limits.bandwidth = bandwidth);
    let (client, relayed) = connected(&mut world, "198.51.100.1:4000");
    let mut passed = [0_u32; 2];
    // Four times the limit in each direction, for ten seconds.
    for _ in 0..40_000 {
        world.now += Duration::from_micros(250);
        passed[0] += u32::from(client.send_on(&mut world, 0x4000, &[0; 1000]) != Became::Nothing);
        passed[1] += u32::from(world.media_sends(relayed, address(MEDIA), &[0; 1000]).is_some());
    }
    for passed in passed {
        assert!((10_000..=10_501).contains(&passed), "ten seconds and a burst of half a second: {passed}");
    }
    let dropped = world.dropped(Dropped::Bandwidth);
    assert_eq!(dropped, u64::from(80_000 - passed[0] - passed[1]));
    let (other, _) = connected(&mut world, "198.51.100.2:4000");
    assert_ne!(other.send_on(&mut world, 0x4000, &[0; 1000]), Became::Nothing, "another's is its own");
}

#[test]
fn what_is_not_turn_is_dropped() {
    let mut world = World::new();
    let (client, _) = connected(&mut world, "198.51.100.1:4000");
    for class in [Class::Success, Class::Error, Class::Indication, Class::Request] {
        // 0x00A is Connect of TURN with TCP to peers (RFC 6062).
        for method in [Method::DATA, Method::new(0x00A).unwrap(), Method::new(0xFFF).unwrap()] {
            let mut out = Vec::new();
            let _ = Writer::new(&mut out, class, method, INDICATION);
            assert_eq!(world.send(&client.tuple, &out), Became::Nothing);
        }
    }
    assert_eq!(world.dropped(Dropped::Unexpected), 12);
    assert_eq!(world.send(&client.tuple, b""), Became::Nothing);
    assert_eq!(world.send(&client.tuple, &[0; 19]), Became::Nothing);
    assert_eq!(world.dropped(Dropped::Malformed), 2);
    let mut forged = Vec::new();
    Writer::new(&mut forged, Class::Request, Method::ALLOCATE, INDICATION).fingerprint();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(world.send(&client.tuple, &forged), Became::Nothing);
    assert_eq!(world.dropped(Dropped::Fingerprint), 1);
}

#[test]
fn a_binding_request_is_answered_on_the_way() {
    let mut world = World::new();
    let client = Client::new("198.51.100.1:4000").over_tcp();
    let mut request = Vec::new();
    let _ = Writer::new(&mut request, Class::Request, Method::BINDING, INDICATION);
    let Became::Reply(reply) = world.send(&client.tuple, &request) else { panic!("nothing") };
    assert_eq!(Message::parse(&reply).unwrap().xor_mapped_address(), Some(client.tuple.client));
}

proptest! {
    #[test]
    fn any_data_arrives_as_it_was(
        data in proptest::collection::vec(any::<u8>(), 0..1400),
        channel in any::<bool>(),
        tcp in any::<bool>(),
    ) {
        let mut world = World::new();
        let mut client = Client::new("198.51.100.1:4000");
        if tcp {
            client = client.over_tcp();
        }
        let relayed = client.allocate(&mut world);
        prop_assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
        if channel {
            prop_assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
        }
        let there = if channel { client.send_on(&mut world, 0x4000, &data) } else { client.send(&mut world, MEDIA, &data) };
        prop_assert_eq!(there, Became::ToMedia(relayed, address(MEDIA), data.clone()));
        let (_, back) = world.media_sends(relayed, address(MEDIA), &data).unwrap();
        let unwrapped = if channel {
            crate::wire::channel::read(&back).unwrap().1
        } else {
            Message::parse(&back).unwrap().attribute(attribute::DATA).unwrap()
        };
        prop_assert_eq!(unwrapped, &data[..]);
        prop_assert!(!tcp || back.len() % 4 == 0);
    }

    /// Nothing that a stranger sends leads anywhere, whatever it is.
    #[test]
    fn strangers_reach_nothing(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 0..20),
        kind in 0_u16..0x4000,
        wears_header in any::<bool>(),
    ) {
        let mut world = World::new();
        let (client, _) = connected(&mut world, "198.51.100.1:4000");
        let stranger = Client::new("198.51.100.66:4000");
        for mut message in messages {
            if wears_header {
                let length = u16::try_from(message.len()).unwrap().to_be_bytes();
                let head = [&kind.to_be_bytes()[..], &length, &[0x21, 0x12, 0xA4, 0x42], &[0; 12]].concat();
                message.splice(0..0, head);
            }
            match world.send(&stranger.tuple, &message) {
                Became::Nothing => {}
                Became::Reply(reply) => prop_assert!(
                    Message::parse(&reply).unwrap().method() == Method::BINDING || !Reply(reply.clone()).is_success()
                ),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(world.server.allocations(), 1);
        prop_assert_ne!(client.send_on(&mut world, 0x4000, b"data"), Became::Nothing);
    }
}
