use super::*;

#[test]
fn an_allocation_ends_when_nobody_refreshes_it() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    let relayed = client.allocate(&mut world);
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
    world.later(seconds(599));
    assert_eq!(world.server.allocations(), 1);
    world.later(seconds(1));
    assert_eq!(world.server.allocations(), 0);
    assert_eq!(world.server.counters().expired, 1);
    assert_eq!(client.send_on(&mut world, 0x4000, b"data"), Became::Nothing);
    assert_eq!(world.media_sends(relayed, address(MEDIA), b"data"), None);
    assert_eq!(client.refresh(&mut world, 600).code(), 437);
    assert_ne!(
        client.allocate(&mut world),
        relayed,
        "another address, for what is still on its way to the old one"
    );
}

#[test]
fn what_is_over_is_over_even_if_nobody_looked() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    let relayed = client.allocate(&mut world);
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
    assert_eq!(client.refresh(&mut world, 600).lifetime(), Some(600));
    // Nothing calls expire().
    world.now += seconds(600);
    assert_eq!(client.send_on(&mut world, 0x4000, b"data"), Became::Nothing);
    assert_eq!(world.media_sends(relayed, address(MEDIA), b"data"), None);
    assert_eq!(world.dropped(Dropped::NoAllocation), 2);
}

#[test]
fn the_lifetime_is_between_ten_minutes_and_an_hour() {
    for (asked, granted) in
        [(None, 600), (Some(1), 600), (Some(601), 601), (Some(3600), 3600), (Some(u32::MAX), 3600)]
    {
        let mut world = World::new();
        let mut client = Client::new("198.51.100.1:4000");
        let attributes: Vec<_> =
            asked.iter().map(|asked| (attribute::LIFETIME, u32::to_be_bytes(*asked).to_vec())).collect();
        let reply = client.allocate_with(&mut world, &attributes);
        assert_eq!(reply.lifetime(), Some(granted), "{asked:?}");
        assert_eq!(
            client.ask(&mut world, Method::REFRESH, &attributes).lifetime(),
            Some(granted),
            "{asked:?}"
        );
        world.later(seconds(u64::from(granted) - 1));
        assert_eq!(world.server.allocations(), 1);
        world.later(seconds(1));
        assert_eq!(world.server.allocations(), 0);
    }
}

#[test]
fn a_refresh_prolongs_and_zero_gives_back() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    let relayed = client.allocate(&mut world);
    for _ in 0..5 {
        world.later(seconds(500));
        assert!(client.refresh(&mut world, 600).is_success());
    }
    assert_eq!(client.refresh(&mut world, 0).lifetime(), Some(0));
    assert_eq!((world.server.allocations(), world.server.counters().released), (0, 1));
    assert_eq!(world.media_sends(relayed, address(MEDIA), b"data"), None);
    let broken = client.ask(&mut world, Method::REFRESH, &[]);
    assert_eq!(broken.code(), 437);
    client.allocate(&mut world);
    assert_eq!(client.ask(&mut world, Method::REFRESH, &[(attribute::LIFETIME, vec![0; 3])]).code(), 400);
}

#[test]
fn each_family_lives_for_itself() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.allocate_with(&mut world, &[(attribute::ADDITIONAL_ADDRESS_FAMILY, vec![2, 0, 0, 0])]);
    let family = |number: u8| (attribute::REQUESTED_ADDRESS_FAMILY, vec![number, 0, 0, 0]);
    let lifetime = |seconds: u32| (attribute::LIFETIME, seconds.to_be_bytes().to_vec());
    assert_eq!(client.permit(&mut world, &[MEDIA, MEDIA6]), 0);
    world.later(seconds(100));
    assert!(client.ask(&mut world, Method::REFRESH, &[family(2), lifetime(1000)]).is_success());
    assert!(client.ask(&mut world, Method::REFRESH, &[family(1), lifetime(0)]).is_success());
    assert_eq!(client.ask(&mut world, Method::REFRESH, &[family(1), lifetime(0)]).code(), 443);
    assert_eq!(client.ask(&mut world, Method::REFRESH, &[family(9)]).code(), 443);
    assert_eq!(
        client.ask(&mut world, Method::REFRESH, &[(attribute::REQUESTED_ADDRESS_FAMILY, vec![2])]).code(),
        400
    );
    assert_eq!(client.send(&mut world, MEDIA, b"data"), Became::Nothing);
    assert!(matches!(client.send(&mut world, MEDIA6, b"data"), Became::ToMedia(..)));
    assert_eq!(client.permit(&mut world, &[MEDIA]), 443);
    world.later(seconds(999));
    assert_eq!(world.server.allocations(), 1);
    world.later(seconds(1));
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn an_address_may_expire_before_the_other() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.allocate_with(&mut world, &[(attribute::ADDITIONAL_ADDRESS_FAMILY, vec![2, 0, 0, 0])]);
    let attributes =
        [(attribute::REQUESTED_ADDRESS_FAMILY, vec![1, 0, 0, 0]), (attribute::LIFETIME, vec![0, 0, 4, 0])];
    assert!(client.ask(&mut world, Method::REFRESH, &attributes).is_success());
    world.later(seconds(600));
    assert_eq!((world.server.allocations(), world.server.counters().expired), (1, 0));
    assert_eq!(client.permit(&mut world, &[MEDIA6]), 443);
    assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
    world.later(seconds(424));
    assert_eq!((world.server.allocations(), world.server.counters().expired), (0, 1));
}

#[test]
fn a_permission_lasts_five_minutes_and_data_does_not_prolong_it() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    let relayed = client.allocate(&mut world);
    assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
    world.later(seconds(299));
    assert_ne!(client.send(&mut world, MEDIA, b"data"), Became::Nothing);
    assert!(world.media_sends(relayed, address(MEDIA), b"data").is_some());
    world.later(seconds(1));
    assert_eq!(client.send(&mut world, MEDIA, b"data"), Became::Nothing);
    assert_eq!(world.media_sends(relayed, address(MEDIA), b"data"), None);
    assert_eq!(world.dropped(Dropped::NoPermission), 2);
    assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
    assert_ne!(client.send(&mut world, MEDIA, b"data"), Became::Nothing);
}

#[test]
fn a_channel_lasts_ten_minutes_and_its_permission_five() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    let relayed =
        client.allocate_with(&mut world, &[(attribute::LIFETIME, vec![0, 0, 0x0E, 0x10])]).relayed();
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
    world.later(seconds(300));
    assert_eq!(client.send_on(&mut world, 0x4000, b"data"), Became::Nothing, "the permission is over");
    assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
    assert_ne!(client.send_on(&mut world, 0x4000, b"data"), Became::Nothing, "the channel is not");
    world.later(seconds(299));
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
    world.later(seconds(299));
    assert_ne!(client.send_on(&mut world, 0x4000, b"data"), Became::Nothing, "both were prolonged");
    world.later(seconds(301));
    assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
    assert_eq!(client.send_on(&mut world, 0x4000, b"data"), Became::Nothing, "the channel is over");
    let (_, back) = world.media_sends(relayed, address(MEDIA), b"data").unwrap();
    assert_eq!(Message::parse(&back).unwrap().method(), Method::DATA);
    assert_eq!(client.bind(&mut world, 0x4001, MEDIA), 0, "its peer is free for another");
}

#[test]
fn a_closed_connection_takes_its_allocation_along() {
    let mut world = World::new();
    let mut tcp = Client::new("198.51.100.1:4000").over_tcp();
    let mut udp = Client::new("198.51.100.1:4000");
    tcp.allocate(&mut world);
    udp.allocate(&mut world);
    world.server.closed(&tcp.tuple);
    world.server.closed(&tcp.tuple);
    assert_eq!((world.server.allocations(), world.server.counters().released), (1, 1));
    assert!(udp.refresh(&mut world, 600).is_success());
}

/// Numbers that look random and are the same in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// A client that comes from somewhere and wants something; not all get it.
    fn arrive(&mut self, world: &mut World) -> Option<Client> {
        let host = self.below(5000);
        let source = format!("10.1.{}.{}:{}", host / 250, host % 250, 1024 + self.below(60_000));
        let user = format!("user{}", self.below(50));
        let mut client = Client::new(&source).with(Credential::until(WALL + 1_000_000, &user, SECRET));
        let extra = match self.below(4) {
            0 => vec![(attribute::EVEN_PORT, vec![0x80])],
            1 => vec![(attribute::ADDITIONAL_ADDRESS_FAMILY, vec![2, 0, 0, 0])],
            _ => vec![],
        };
        client.allocate_with(world, &extra).is_success().then_some(client)
    }

    /// A client that leaves, stays for long, or loses its connection.
    fn change(&mut self, world: &mut World, mut client: Client) {
        match self.below(3) {
            0 => assert!(matches!(client.refresh(world, 0).code(), 0 | 437 | 438)),
            1 => assert!(matches!(client.refresh(world, 3600).code(), 0 | 437 | 438)),
            _ => world.server.closed(&client.tuple),
        }
    }
}

/// Ten thousand allocations come and go in an hour of virtual time, in an order that a seed decides. In the end nothing
/// is left of them.
#[test]
fn whatever_came_is_gone_in_the_end() {
    let mut world = World::with(|settings| {
        settings.limits = Limits { per_user: usize::MAX, per_host: usize::MAX, ..Limits::default() };
    });
    let mut draw = Draw(0x9E37_79B9_7F4A_7C15);
    let mut clients: Vec<Client> = Vec::new();
    let (mut allocated, mut most, mut tries) = (0_u64, 0, 0);
    while allocated < 10_000 {
        tries += 1;
        assert!(tries < 20_000, "of {tries} only {allocated} succeeded");
        world.later(Duration::from_millis(draw.below(800)));
        if let Some(mut client) = draw.arrive(&mut world) {
            allocated += 1;
            client.bind(&mut world, 0x4000, MEDIA);
            clients.push(client);
        }
        if draw.below(3) == 0 && !clients.is_empty() {
            let number = usize::try_from(draw.below(clients.len() as u64)).unwrap();
            draw.change(&mut world, clients.swap_remove(number));
        }
        assert_eq!(world.server.table.counted(), [world.server.allocations(); 4]);
        most = most.max(world.server.allocations());
    }
    assert!(most > 500, "there were many at one time: {most}");
    while let Some(deadline) = world.server.deadline() {
        world.now = world.now.max(deadline);
        world.server.expire(world.now);
    }
    assert_eq!(world.server.sizes(), [0; 8], "nothing is left in any table");
    let counters = world.server.counters();
    assert_eq!((counters.allocated, counters.expired + counters.released), (10_000, 10_000));
    assert_eq!(world.server.relays.free_pairs(), 2 * (60_002 - 49_152) / 2, "all addresses are there again");
}
