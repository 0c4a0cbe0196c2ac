use super::*;
use crate::turn::strangers::{GRANT, GUESSES, MAX_HOSTS};

/// The shortest request that gets a reply.
fn bare() -> Vec<u8> {
    let mut out = Vec::new();
    let _ = Writer::new(&mut out, Class::Request, Method::REFRESH, TransactionId([1; 12]));
    out
}

fn length(became: &Became) -> u64 {
    match became {
        Became::Nothing => 0,
        Became::Reply(reply) => reply.len() as u64,
        other => panic!("{other:?}"),
    }
}

/// What is sent for what was received, over a minute of a flood under the name of one address.
#[test]
fn a_flood_under_a_forged_address_makes_less_than_itself() {
    for request in [bare(), {
        let mut client = Client::new("198.51.100.66:1");
        client.nonce = b"whatever".to_vec();
        client.request(Method::ALLOCATE, &[udp()])
    }] {
        let mut world = World::new();
        let (mut received, mut sent) = (0_u64, 0_u64);
        for number in 0..60_000 {
            world.now += Duration::from_millis(1);
            let source = format!("198.51.100.66:{}", 1024 + number % 60_000);
            let became = world.send(&Client::new(&source).tuple, &request);
            received += request.len() as u64;
            sent += length(&became);
        }
        assert!(sent <= received / 2 + 2 * GRANT, "{sent} of {received}");
        assert!(world.dropped(Dropped::Stranger) + world.dropped(Dropped::Guessing) > 30_000);
    }
}

/// The same from more addresses than can be remembered.
#[test]
fn a_flood_under_all_addresses_makes_less_than_itself() {
    let mut world = World::new();
    let request = bare();
    let (mut received, mut sent) = (0_u64, 0_u64);
    for number in 0..200_000_u32 {
        world.now += Duration::from_micros(10);
        let tuple = FiveTuple {
            transport: Transport::Udp,
            client: SocketAddr::new(std::net::Ipv4Addr::from(number * 7919).into(), 9),
            server: address(SERVER),
        };
        let became = world.send(&tuple, &request);
        received += request.len() as u64;
        sent += length(&became);
    }
    assert!(sent < received / 2 + MAX_HOSTS as u64 * 88, "{sent} of {received}");
    assert!(sent < received);
    // Somebody with a nonce gets in all the same.
    assert_eq!(world.server.strangers.len(), MAX_HOSTS);
    world.later(seconds(70));
    assert_eq!(world.server.strangers.len(), 0);
}

#[test]
fn a_crowd_behind_one_address_gets_in() {
    let mut world = World::with(|settings| settings.limits.per_user = 1000);
    for port in 0..200 {
        Client::new(&format!("198.51.100.1:{}", 4000 + port)).allocate(&mut world);
    }
    assert_eq!(world.dropped(Dropped::Stranger), 0);
}

#[test]
fn whoever_guesses_passwords_is_slowed_down() {
    let mut world = World::new();
    let mut guesser = Client::new("198.51.100.66:4000").over_tcp();
    let mut bystander = Client::new("198.51.100.66:4001").over_tcp();
    bystander.allocate(&mut world);
    guesser.greet(&mut world);
    for number in 0..10_000 {
        world.now += Duration::from_millis(6);
        guesser.password = format!("guess {number}");
        let request = guesser.request(Method::ALLOCATE, &[udp()]);
        world.send(&guesser.tuple, &request);
    }
    let tried = world.server.counters().wrong_passwords;
    assert!(tried <= GUESSES + 31, "{tried} in a minute");
    assert_eq!(world.dropped(Dropped::Guessing), 10_000 - tried);
    assert!(bystander.refresh(&mut world, 600).is_success(), "who is in goes on");
    assert!(Client::new("198.51.100.67:4000").over_tcp().allocate_with(&mut world, &[]).is_success());
    world.later(seconds(10));
    guesser.password = "ann's password".into();
    assert!(guesser.allocate_with(&mut world, &[]).is_success(), "it is not locked out for good");
}

#[test]
fn a_connection_is_always_told_what_to_prove() {
    let mut world = World::new();
    for _ in 0..1000 {
        assert_eq!(Client::new("198.51.100.1:4000").over_tcp().greet(&mut world).code(), 401);
    }
}
