use super::*;

/// The requests that need a password.
const METHODS: [Method; 4] =
    [Method::ALLOCATE, Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND];

fn until(expires: u64, secret: &str) -> Credential {
    Credential::until(expires, "bob", secret)
}

#[test]
fn a_request_without_a_password_is_told_what_to_prove() {
    let mut world = World::new();
    for (number, method) in METHODS.into_iter().enumerate() {
        let client = Client::new(&format!("198.51.100.{number}:4000"));
        let mut request = Vec::new();
        Writer::new(&mut request, Class::Request, method, TransactionId([4; 12])).fingerprint();
        let Became::Reply(reply) = world.send(&client.tuple, &request) else { panic!("no reply") };
        let reply = Reply(reply);
        assert_eq!((reply.message().method(), reply.code()), (method, 401));
        assert_eq!(reply.message().fingerprint(), Fingerprint::Valid, "as the request has one");
        assert_eq!(reply.get(attribute::REALM).unwrap(), REALM.as_bytes());
        assert!(reply.get(attribute::NONCE).unwrap().starts_with(b"obMatJos2AAAB"));
        assert_eq!(reply.get(attribute::PASSWORD_ALGORITHMS).unwrap(), [0, 2, 0, 0, 0, 1, 0, 0]);
        assert_eq!(reply.message().attributes().count(), 5, "and no more");
        assert!(reply.0.len() <= 96, "{} bytes", reply.0.len());
    }
    assert_eq!(world.server.counters().refused(Refused::Unauthenticated), 4);
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn all_combinations_of_hashes_are_good() {
    for algorithm in [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256] {
        for integrity in [Integrity::Sha1, Integrity::Sha256] {
            let mut world = World::new();
            let mut client = Client { algorithm, integrity, ..Client::new("198.51.100.1:4000") };
            client.allocate(&mut world);
            assert!(
                client.refresh(&mut world, 600).is_success(),
                "the reply's own proof is checked in ask()"
            );
        }
    }
}

#[test]
fn a_wrong_password_or_name_is_401_with_a_fresh_nonce() {
    let mut world = World::new();
    for (username, password) in [("ann", "another password"), ("bob", "ann's password"), ("", "")] {
        let credential = Credential { username: username.into(), password: password.into() };
        for mut client in [Client::new("198.51.100.1:4000"), Client::new("198.51.100.1:4000").sha256()] {
            client = client.with(credential.clone());
            let reply = client.allocate_with(&mut world, &[]);
            assert_eq!(reply.code(), 401);
            assert!(reply.get(attribute::NONCE).is_some() && reply.get(attribute::REALM).is_some());
            assert_eq!(reply.message().integrity(), None, "there is no key that both know");
        }
    }
    assert_eq!(world.server.counters().wrong_passwords, 6);
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn a_proof_that_lacks_a_part_is_400() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.greet(&mut world);
    let parts = [
        (attribute::USERNAME, b"ann".to_vec()),
        (attribute::REALM, REALM.as_bytes().to_vec()),
        (attribute::NONCE, client.nonce.clone()),
    ];
    for missing in 0..parts.len() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, Class::Request, Method::ALLOCATE, client.transaction());
        for (number, (kind, value)) in parts.iter().enumerate() {
            if number != missing {
                writer = writer.attribute(*kind, value);
            }
        }
        let _ = writer.integrity(Integrity::Sha1, client.key().bytes());
        let Became::Reply(reply) = world.send(&client.tuple, &out) else { panic!("no reply") };
        assert_eq!(Reply(reply).code(), 400, "without {:#06x}", parts[missing].0);
    }
    client.username = "a".repeat(509);
    assert_eq!(client.allocate_with(&mut world, &[]).code(), 400);
}

#[test]
fn another_realm_is_401() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.greet(&mut world);
    let mut out = Vec::new();
    let _ = Writer::new(&mut out, Class::Request, Method::ALLOCATE, client.transaction())
        .attribute(attribute::USERNAME, b"ann")
        .attribute(attribute::REALM, b"elsewhere")
        .attribute(attribute::NONCE, &client.nonce)
        .integrity(Integrity::Sha1, client.key().bytes());
    let Became::Reply(reply) = world.send(&client.tuple, &out) else { panic!("no reply") };
    assert_eq!(Reply(reply).code(), 401);
}

#[test]
fn a_nonce_that_is_old_or_foreign_is_438_and_the_new_one_works() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.allocate(&mut world);
    for _ in 0..7 {
        world.later(seconds(590));
        if client.refresh(&mut world, 600).code() == 438 {
            break;
        }
    }
    let stale = client.refresh(&mut world, 600);
    assert_eq!(stale.code(), 438);
    let fresh = stale.get(attribute::NONCE).unwrap();
    assert_ne!(fresh, client.nonce);
    client.nonce = fresh;
    assert!(client.refresh(&mut world, 600).is_success());

    let mut neighbour = Client::new("198.51.100.2:4000");
    neighbour.nonce = client.nonce.clone();
    assert_eq!(neighbour.allocate_with(&mut world, &[]).code(), 438, "made for another address");
    let mut moved = Client::new("198.51.100.1:4001");
    moved.nonce = client.nonce.clone();
    assert!(moved.allocate_with(&mut world, &[]).is_success(), "another port of the same address");
    client.nonce = b"of another server".to_vec();
    assert_eq!(client.refresh(&mut world, 600).code(), 438);
}

#[test]
fn who_takes_a_better_algorithm_out_is_found_out() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.greet(&mut world);
    let algorithms = |value: &[u8]| (attribute::PASSWORD_ALGORITHMS, value.to_vec());
    let algorithm = |value: &[u8]| (attribute::PASSWORD_ALGORITHM, value.to_vec());
    let offered = PasswordAlgorithm::OFFERED;
    for (attributes, code) in [
        (vec![algorithms(&[0, 1, 0, 0]), algorithm(&[0, 1, 0, 0])], 400),
        (vec![algorithms(&offered)], 400),
        (vec![algorithm(&[0, 1, 0, 0])], 400),
        (vec![algorithms(&offered), algorithm(&[0, 3, 0, 0])], 400),
        (vec![algorithms(&offered), algorithm(&[0, 1])], 400),
        (vec![algorithms(&offered), algorithm(&[0, 1, 0, 0])], 0),
    ] {
        assert_eq!(client.allocate_with(&mut world, &attributes).code(), code, "{attributes:?}");
    }
}

#[test]
fn a_timed_name_is_good_until_its_time() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000").with(until(WALL + 10, SECRET));
    world.later(seconds(10));
    client.allocate(&mut world);
    world.later(seconds(1));
    let mut late = Client::new("198.51.100.1:4001").with(until(WALL + 10, SECRET));
    assert_eq!(late.allocate_with(&mut world, &[]).code(), 401);
    let counters = world.server.counters();
    assert_eq!((counters.expired_credentials, counters.wrong_passwords), (1, 0));
    // Whoever is in goes on.
    world.later(seconds(500));
    assert!(client.refresh(&mut world, 600).is_success());
    assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
}

#[test]
fn the_clock_may_be_set_right() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000").with(until(WALL + 10, SECRET));
    world.server.set_clock(world.now, seconds(WALL + 11));
    assert_eq!(client.allocate_with(&mut world, &[]).code(), 401);
    world.server.set_clock(world.now, seconds(WALL));
    client.allocate(&mut world);
}

#[test]
fn several_secrets_are_good_at_one_time_and_can_be_changed() {
    let mut world = World::new();
    let mut old = Client::new("198.51.100.1:4000").with(until(WALL + 99, "the secret before"));
    old.allocate(&mut world);
    let mut other = Client::new("198.51.100.1:4001").with(until(WALL + 99, "no secret of ours"));
    assert_eq!(other.allocate_with(&mut world, &[]).code(), 401);
    world.server.set_credentials(&[], &["the secret after".into()]);
    let mut new = Client::new("198.51.100.1:4002").with(until(WALL + 99, "the secret after"));
    new.allocate(&mut world);
    assert!(old.refresh(&mut world, 600).is_success(), "an allocation outlives its secret");
    let mut late = Client::new("198.51.100.1:4003").with(until(WALL + 99, "the secret before"));
    assert_eq!(late.allocate_with(&mut world, &[]).code(), 401);
    assert_eq!(Client::new("198.51.100.1:4004").allocate_with(&mut world, &[]).code(), 401, "ann is gone");
}

#[test]
fn an_allocation_is_its_users_alone() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.allocate(&mut world);
    let mut other = client.clone().with(until(WALL + 99, SECRET));
    assert_eq!(other.refresh(&mut world, 0).code(), 441);
    assert_eq!(other.permit(&mut world, &[MEDIA]), 441);
    assert_eq!(other.bind(&mut world, 0x4000, MEDIA), 441);
    assert_eq!(other.allocate_with(&mut world, &[]).code(), 437);
    assert_eq!(world.server.allocations(), 1);
}
