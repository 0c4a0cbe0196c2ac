use super::*;

fn family(number: u8) -> (u16, Vec<u8>) {
    (attribute::REQUESTED_ADDRESS_FAMILY, vec![number, 0, 0, 0])
}

fn both() -> (u16, Vec<u8>) {
    (attribute::ADDITIONAL_ADDRESS_FAMILY, vec![2, 0, 0, 0])
}

fn even_port(keep_next: bool) -> (u16, Vec<u8>) {
    (attribute::EVEN_PORT, vec![if keep_next { 0x80 } else { 0 }])
}

fn token(value: &[u8]) -> (u16, Vec<u8>) {
    (attribute::RESERVATION_TOKEN, value.to_vec())
}

#[test]
fn a_client_gets_an_address_of_its_own() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    let reply = client.allocate_with(&mut world, &[]);
    assert!(reply.is_success());
    assert_eq!(reply.address(attribute::XOR_MAPPED_ADDRESS), Some(client.tuple.client));
    assert_eq!(reply.lifetime(), Some(600));
    let relayed = reply.relayed();
    assert_eq!(relayed.ip(), address(MEDIA).ip());
    assert!((49_152..=60_001).contains(&relayed.port()) && relayed.port().is_multiple_of(2));
    assert_eq!(reply.message().attributes().count(), 4, "and no more");
    assert_ne!(Client::new("198.51.100.1:4001").allocate(&mut world), relayed);
    assert_eq!(world.server.allocations(), 2);
}

#[test]
fn a_mapped_address_is_told_as_ipv4() {
    let mut world = World::new();
    let mut client = Client::new("[::ffff:198.51.100.1]:4000");
    let reply = client.allocate_with(&mut world, &[]);
    assert_eq!(reply.address(attribute::XOR_MAPPED_ADDRESS), Some(address("198.51.100.1:4000")));
}

#[test]
fn an_allocate_that_is_sent_again_gets_the_same_reply() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.greet(&mut world);
    let request = client.request(Method::ALLOCATE, &[udp(), even_port(true)]);
    let first = world.send(&client.tuple, &request);
    world.later(seconds(3));
    assert_eq!(world.send(&client.tuple, &request), first);
    assert!(matches!(first, Became::Reply(reply) if Reply(reply.clone()).is_success()));
    assert_eq!(world.server.counters().allocated, 1);
    assert_eq!(client.allocate_with(&mut world, &[]).code(), 437, "another one is another matter");
}

#[test]
fn only_udp_is_relayed() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.greet(&mut world);
    for (attributes, code) in [
        (vec![], 400),
        (vec![(attribute::REQUESTED_TRANSPORT, vec![17])], 400),
        (vec![(attribute::REQUESTED_TRANSPORT, vec![6, 0, 0, 0])], 442),
        (vec![(attribute::REQUESTED_TRANSPORT, vec![0, 0, 0, 17])], 442),
    ] {
        assert_eq!(client.ask(&mut world, Method::ALLOCATE, &attributes).code(), code, "{attributes:?}");
    }
}

#[test]
fn what_is_not_understood_is_named() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    let fragile = (attribute::DONT_FRAGMENT, vec![]);
    let reply = client.allocate_with(&mut world, &[fragile, (0x7777, vec![1]), (0xC001, vec![2])]);
    assert_eq!(reply.code(), 420);
    assert_eq!(reply.get(attribute::UNKNOWN_ATTRIBUTES).unwrap(), [0, 0x1A, 0x77, 0x77]);
    client.allocate(&mut world);
    let reply = client.ask(&mut world, Method::REFRESH, &[(0x0003, vec![])]);
    assert_eq!((reply.code(), reply.get(attribute::UNKNOWN_ATTRIBUTES)), (420, Some(vec![0, 3])));
}

#[test]
fn both_families_are_lent() {
    let mut world = World::new();
    let v6 = Client::new("198.51.100.1:4000").allocate_with(&mut world, &[family(2)]).relayed();
    assert_eq!(v6.ip(), address(MEDIA6).ip());
    let v4 = Client::new("198.51.100.1:4001").allocate_with(&mut world, &[family(1)]).relayed();
    assert_eq!(v4.ip(), address(MEDIA).ip());
    let reply = Client::new("198.51.100.1:4002").allocate_with(&mut world, &[both()]);
    let relayed: Vec<_> = reply
        .message()
        .attributes()
        .filter(|it| it.kind == attribute::XOR_RELAYED_ADDRESS)
        .map(|it| reply.message().xor_address(it.value).unwrap().ip())
        .collect();
    assert_eq!(relayed, [address(MEDIA).ip(), address(MEDIA6).ip()]);
    assert_eq!(reply.get(attribute::ADDRESS_ERROR_CODE), None);
    for odd in [0, 3, 255] {
        assert_eq!(Client::new("198.51.100.1:4003").allocate_with(&mut world, &[family(odd)]).code(), 440);
    }
}

#[test]
fn a_family_that_is_not_there_is_440() {
    let mut world = World::with(|settings| settings.relayed.v6 = None);
    let mut client = Client::new("198.51.100.1:4000");
    assert_eq!(client.allocate_with(&mut world, &[family(2)]).code(), 440);
    let reply = client.allocate_with(&mut world, &[both()]);
    assert!(reply.is_success() && reply.relayed().is_ipv4());
    assert_eq!(reply.get(attribute::ADDRESS_ERROR_CODE).unwrap(), [2, 0, 4, 40]);

    let mut world = World::with(|settings| settings.relayed.v4 = None);
    let mut client = Client::new("198.51.100.1:4000");
    assert_eq!(client.allocate_with(&mut world, &[family(1)]).code(), 440);
    assert!(client.allocate(&mut world).is_ipv6(), "without a wish, the family that there is");

    let mut world = World::with(|settings| (settings.relayed.v4, settings.relayed.v6) = (None, None));
    let mut client = Client::new("198.51.100.1:4000");
    for attributes in [vec![], vec![both()], vec![family(1)], vec![family(2)]] {
        assert_eq!(client.allocate_with(&mut world, &attributes).code(), 440);
    }
}

#[test]
fn what_does_not_go_together_is_400() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    for attributes in [
        vec![token(&[1; 8]), even_port(false)],
        vec![token(&[1; 8]), family(1)],
        vec![token(&[1; 8]), both()],
        vec![token(&[1; 7])],
        vec![family(1), both()],
        vec![even_port(true), both()],
        vec![(attribute::ADDITIONAL_ADDRESS_FAMILY, vec![1, 0, 0, 0])],
        vec![(attribute::ADDITIONAL_ADDRESS_FAMILY, vec![2])],
        vec![(attribute::REQUESTED_ADDRESS_FAMILY, vec![1])],
        vec![(attribute::EVEN_PORT, vec![])],
        vec![(attribute::LIFETIME, vec![1, 2])],
    ] {
        assert_eq!(client.allocate_with(&mut world, &attributes).code(), 400, "{attributes:?}");
    }
    assert!(client.allocate_with(&mut world, &[even_port(false), both()]).is_success());
}

#[test]
fn the_port_behind_an_even_one_can_be_kept_and_fetched() {
    let mut world = World::new();
    let mut rtp = Client::new("198.51.100.1:4000");
    let reply = rtp.allocate_with(&mut world, &[even_port(true)]);
    let (even, kept) = (reply.relayed(), reply.get(attribute::RESERVATION_TOKEN).unwrap());
    assert_eq!((even.port() % 2, kept.len()), (0, 8));
    let mut stranger = Client::new("198.51.100.9:4000").with(Credential::until(WALL + 9, "bob", SECRET));
    assert_eq!(stranger.allocate_with(&mut world, &[token(&kept)]).code(), 508);
    let mut rtcp = Client::new("198.51.100.1:4001");
    assert_eq!(rtcp.allocate_with(&mut world, &[token(&[0; 8])]).code(), 508);
    let odd = rtcp.allocate_with(&mut world, &[token(&kept)]).relayed();
    assert_eq!((odd.ip(), odd.port()), (even.ip(), even.port() + 1));
    assert_eq!(Client::new("198.51.100.1:4002").allocate_with(&mut world, &[token(&kept)]).code(), 508);
    let plain = Client::new("198.51.100.1:4003").allocate_with(&mut world, &[even_port(false)]);
    assert!(plain.relayed().port().is_multiple_of(2) && plain.get(attribute::RESERVATION_TOKEN).is_none());
}

#[test]
fn a_kept_port_is_given_up_after_half_a_minute() {
    let mut world = World::new();
    let mut rtp = Client::new("198.51.100.1:4000");
    let kept = rtp.allocate_with(&mut world, &[even_port(true)]).get(attribute::RESERVATION_TOKEN).unwrap();
    world.later(seconds(30));
    assert_eq!(Client::new("198.51.100.1:4001").allocate_with(&mut world, &[token(&kept)]).code(), 508);
}

#[test]
fn quotas_are_per_user_per_address_and_for_all() {
    let limits = Limits { allocations: 6, per_user: 3, per_host: 4, ..Limits::default() };
    let mut world = World::with(|settings| settings.limits = limits);
    let mut port = 4000_u16;
    let mut code = |world: &mut World, host: &str, user: &str| {
        port += 1;
        // Each has a time of its own, and is the same user all the same.
        let credential = Credential::until(WALL + u64::from(port), user, SECRET);
        Client::new(&format!("{host}:{port}")).with(credential).allocate_with(world, &[]).code()
    };
    let mut codes = |world: &mut World, host: &str, user: &str, count: usize| -> Vec<u16> {
        (0..count).map(|_| code(world, host, user)).collect()
    };
    assert_eq!(codes(&mut world, "198.51.100.1", "bob", 4), [0, 0, 0, 486]);
    assert_eq!(codes(&mut world, "198.51.100.2", "bob", 1), [486], "wherever the user is");
    assert_eq!(codes(&mut world, "198.51.100.1", "eve", 2), [0, 486], "whoever is at the address");
    assert_eq!(codes(&mut world, "198.51.100.3", "eve", 3), [0, 0, 486]);
    assert_eq!(codes(&mut world, "198.51.100.4", "joe", 1), [508], "six are all");
    assert_eq!(world.server.allocations(), 6);
}

#[test]
fn what_is_given_back_counts_no_more() {
    let limits = Limits { allocations: 2, per_user: 2, per_host: 2, ..Limits::default() };
    let mut world = World::with(|settings| settings.limits = limits);
    Client::new("198.51.100.1:3999").allocate(&mut world);
    let mut first = Client::new("198.51.100.1:4000");
    first.allocate(&mut world);
    let mut second = Client::new("198.51.100.1:4001");
    assert_eq!(second.allocate_with(&mut world, &[]).code(), 486);
    assert_eq!(first.refresh(&mut world, 0).lifetime(), Some(0));
    second.allocate(&mut world);
}

#[test]
fn when_all_ports_are_lent_there_is_no_more() {
    let mut world = World::with(|settings| settings.ports = 50_000..=50_003);
    for port in 4000..4002 {
        Client::new(&format!("198.51.100.1:{port}")).allocate(&mut world);
    }
    let mut third = Client::new("198.51.100.1:4002");
    assert_eq!(third.allocate_with(&mut world, &[]).code(), 508);
    assert_eq!(
        third.allocate_with(&mut world, &[both()]).get(attribute::ADDRESS_ERROR_CODE),
        Some(vec![1, 0, 5, 8])
    );
}

#[test]
fn new_clients_can_be_sent_elsewhere() {
    let mut world = World::new();
    let mut old = Client::new("198.51.100.1:4000");
    old.allocate(&mut world);
    world.server.set_alternates(Some(address("203.0.113.5:3478")), None);
    let mut new = Client::new("198.51.100.1:4001");
    let reply = new.allocate_with(&mut world, &[]);
    assert_eq!(reply.code(), 300);
    assert_eq!(reply.get(attribute::ALTERNATE_SERVER).unwrap(), [0, 1, 0x0D, 0x96, 203, 0, 113, 5]);
    assert!(old.refresh(&mut world, 600).is_success());
    Client::new("[2001:db8:9::1]:4000").allocate(&mut world);
    world.server.set_alternates(None, None);
    new.allocate(&mut world);
}
