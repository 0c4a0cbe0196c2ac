use super::*;

/// Addresses that are not this server's, among them all the ways to write an address of this machine or its network.
const FOREIGN: [&str; 20] = [
    "0.0.0.0:3478",
    "127.0.0.1:3478",
    "10.0.0.1:80",
    "169.254.169.254:80",
    "172.16.0.1:22",
    "192.168.1.1:53",
    "192.0.2.2:3478",
    "224.0.0.1:5353",
    "255.255.255.255:9",
    "198.51.100.1:4000",
    "[::]:3478",
    "[::1]:3478",
    "[fe80::1]:3478",
    "[fd00::1]:3478",
    "[ff02::1]:3478",
    "[::ffff:127.0.0.1]:3478",
    "[::ffff:0.0.0.0]:3478",
    "[::192.0.2.1]:3478",
    "[2002:c000:201::1]:3478",
    "[64:ff9b::c000:201]:3478",
];

fn dual(world: &mut World, source: &str) -> Client {
    let mut client = Client::new(source);
    let both = (attribute::ADDITIONAL_ADDRESS_FAMILY, vec![2, 0, 0, 0]);
    assert!(client.allocate_with(world, &[both]).is_success());
    client
}

#[test]
fn peers_are_this_server_and_nobody_else() {
    let mut world = World::new();
    let mut client = dual(&mut world, "198.51.100.1:4000");
    for foreign in FOREIGN {
        assert_eq!(client.permit(&mut world, &[foreign]), 403, "{foreign}");
        assert_eq!(client.bind(&mut world, 0x4000, foreign), 403, "{foreign}");
        assert_eq!(client.permit(&mut world, &[MEDIA, foreign]), 403, "{foreign} beside one that is ours");
        assert_eq!(client.send(&mut world, foreign, b"data"), Became::Nothing, "{foreign}");
    }
    assert_eq!(client.send(&mut world, MEDIA, b"data"), Became::Nothing, "no request gave the permission");
    assert_eq!(client.permit(&mut world, &[MEDIA, MEDIA6]), 0);
    assert!(matches!(client.send(&mut world, MEDIA, b"data"), Became::ToMedia(..)));
    let before = world.server.counters().outward.packets;
    for foreign in FOREIGN {
        assert_eq!(client.send(&mut world, foreign, b"data"), Became::Nothing, "{foreign}");
    }
    assert_eq!(world.server.counters().outward.packets, before);
}

#[test]
fn another_port_of_the_media_address_is_not_a_peer() {
    let mut world = World::new();
    let mut client = dual(&mut world, "198.51.100.1:4000");
    for other in ["192.0.2.1:22", "192.0.2.1:8080", "192.0.2.1:0", "[2001:db8::1]:22"] {
        assert_eq!(client.bind(&mut world, 0x4000, other), 403, "{other}");
        assert_eq!(client.permit(&mut world, &[other]), 0, "a permission is for all ports");
        assert_eq!(client.send(&mut world, other, b"data"), Became::Nothing, "{other}");
    }
    assert_eq!(world.dropped(Dropped::Forbidden), 4);
}

#[test]
fn an_address_in_disguise_is_the_address() {
    let mut world = World::new();
    let mut client = dual(&mut world, "198.51.100.1:4000");
    assert_eq!(client.permit(&mut world, &["[::ffff:192.0.2.1]:3478"]), 0);
    let became = client.send(&mut world, "[::ffff:192.0.2.1]:3478", b"data");
    let Became::ToMedia(relayed, media, _) = became else { panic!("{became:?}") };
    assert!(relayed.is_ipv4());
    assert_eq!(media, address(MEDIA));
}

#[test]
fn the_peer_has_the_family_of_the_relayed_address() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.allocate(&mut world);
    assert_eq!(client.permit(&mut world, &[MEDIA6]), 443);
    assert_eq!(client.permit(&mut world, &[MEDIA, MEDIA6]), 443);
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA6), 443);
    assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
}

#[test]
fn a_request_without_a_peer_is_400() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.allocate(&mut world);
    let number = (attribute::CHANNEL_NUMBER, vec![0x40, 0, 0, 0]);
    let broken = (attribute::XOR_PEER_ADDRESS, vec![0, 3, 1, 2, 3, 4, 5, 6]);
    let short = (attribute::XOR_PEER_ADDRESS, vec![0, 1, 1, 2, 3, 4, 5]);
    let peer = client.peer(MEDIA);
    for (method, attributes) in [
        (Method::CREATE_PERMISSION, vec![]),
        (Method::CREATE_PERMISSION, vec![broken.clone()]),
        (Method::CREATE_PERMISSION, vec![peer, broken]),
        (Method::CHANNEL_BIND, vec![number.clone()]),
        (Method::CHANNEL_BIND, vec![number, short]),
    ] {
        assert_eq!(client.ask(&mut world, method, &attributes).code(), 400, "{attributes:?}");
    }
    let peer = client.peer(MEDIA);
    assert_eq!(client.ask(&mut world, Method::CHANNEL_BIND, &[peer]).code(), 400);
}

#[test]
fn without_an_allocation_it_is_437() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.greet(&mut world);
    assert_eq!(client.permit(&mut world, &[MEDIA]), 437);
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 437);
    assert_eq!(client.refresh(&mut world, 600).code(), 437);
    assert_eq!(client.send(&mut world, MEDIA, b"data"), Became::Nothing);
    assert_eq!(client.send_on(&mut world, 0x4000, b"data"), Became::Nothing);
    assert_eq!(world.dropped(Dropped::NoAllocation), 2);
}

#[test]
fn a_channel_has_one_peer_and_a_peer_one_channel() {
    const OTHER: &str = "192.0.2.1:3479";
    let mut world = World::with(|settings| settings.media.push(address(OTHER)));
    let mut client = Client::new("198.51.100.1:4000");
    client.allocate(&mut world);
    for outside in [0, 0x3FFF, 0x8000, 0xFFFF] {
        assert_eq!(client.bind(&mut world, outside, MEDIA), 400, "{outside:#x}");
    }
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0, "again");
    assert_eq!(client.bind(&mut world, 0x4000, OTHER), 400);
    assert_eq!(client.bind(&mut world, 0x7FFF, MEDIA), 400);
    assert_eq!(client.bind(&mut world, 0x7FFF, OTHER), 0);
    let Became::ToMedia(_, media, data) = client.send_on(&mut world, 0x7FFF, b"data") else {
        panic!("nothing")
    };
    assert_eq!((media, &data[..]), (address(OTHER), &b"data"[..]));
}

#[test]
fn permissions_and_channels_are_limited() {
    let media = |count: u16| (0..count).map(|port| SocketAddr::new(address(MEDIA).ip(), 5000 + port));
    let limits = Limits { permissions: 2, channels: 3, ..Limits::default() };
    let mut world = World::with(|settings| {
        settings.limits = limits;
        settings.media = media(9).chain([address("192.0.2.3:1"), address("192.0.2.4:1")]).collect();
    });
    let mut client = Client::new("198.51.100.1:4000");
    client.allocate(&mut world);
    assert_eq!(client.permit(&mut world, &["192.0.2.1:1", "192.0.2.3:1", "192.0.2.4:1"]), 508);
    assert_eq!(client.permit(&mut world, &["192.0.2.1:1", "192.0.2.3:1", "192.0.2.1:2"]), 0, "two addresses");
    assert_eq!(client.permit(&mut world, &["192.0.2.4:1"]), 508);
    assert_eq!(client.bind(&mut world, 0x4FFF, "192.0.2.4:1"), 508);
    let codes: Vec<_> =
        (0..4).map(|n| client.bind(&mut world, 0x4000 + n, &format!("192.0.2.1:{}", 5000 + n))).collect();
    assert_eq!(codes, [0, 0, 0, 508]);
    world.later(seconds(301));
    assert_eq!(client.permit(&mut world, &["192.0.2.4:1"]), 0, "what expired makes room");
}

#[test]
fn what_is_no_media_address_any_more_is_not_reached_any_more() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.allocate(&mut world);
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
    world.server.set_media(&[address("192.0.2.9:3478")]);
    assert_eq!(client.send_on(&mut world, 0x4000, b"data"), Became::Nothing);
    assert_eq!(client.send(&mut world, MEDIA, b"data"), Became::Nothing);
    assert_eq!(world.dropped(Dropped::Forbidden), 2);
    assert_eq!(client.bind(&mut world, 0x4001, "192.0.2.9:3478"), 0);
}
