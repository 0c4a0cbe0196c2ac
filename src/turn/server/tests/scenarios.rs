//! What clients of other servers do, from first to last message.

use super::*;

/// A browser: a bare Allocate, the same with a password, a permission, checks by indications, a channel, a Refresh in
/// time, a stale nonce on the way, and a Refresh of zero in the end.
#[test]
fn the_life_of_a_browsers_relay() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000").with(Credential::until(WALL + 600, "bob", SECRET));
    let mut first = Vec::new();
    let transaction = client.transaction();
    let _ = Writer::new(&mut first, Class::Request, Method::ALLOCATE, transaction)
        .attribute(0x802F, b"https://meet.example.org")
        .attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    let Became::Reply(challenge) = world.send(&client.tuple, &first) else { panic!("no challenge") };
    client.nonce = Reply(challenge).get(attribute::NONCE).unwrap();
    let relayed = client.allocate(&mut world);
    assert_eq!(client.permit(&mut world, &[MEDIA]), 0);
    let check = b"a connectivity check";
    assert_eq!(
        client.send(&mut world, MEDIA, check),
        Became::ToMedia(relayed, address(MEDIA), check.to_vec())
    );
    assert!(world.media_sends(relayed, address(MEDIA), b"its response").is_some());
    assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
    for minute in 1..=120 {
        world.later(seconds(60));
        if minute % 4 == 0 {
            let mut code = client.permit(&mut world, &[MEDIA]);
            if code == 438 {
                client.nonce = client.refresh(&mut world, 600).get(attribute::NONCE).unwrap();
                code = client.permit(&mut world, &[MEDIA]);
            }
            assert_eq!(code, 0);
            assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
            assert_eq!(client.refresh(&mut world, 600).lifetime(), Some(600));
        }
        assert_ne!(client.send_on(&mut world, 0x4000, b"media"), Became::Nothing, "after {minute} minutes");
        assert!(world.media_sends(relayed, address(MEDIA), b"media").is_some());
    }
    assert!(world.server.counters().refused(Refused::StaleNonce) >= 2);
    assert_eq!(client.refresh(&mut world, 0).lifetime(), Some(0));
    assert_eq!(world.server.allocations(), 0);
}

/// A client that asks for RTP and RTCP on neighbouring ports, each with both families of passwords.
#[test]
fn neighbouring_ports_for_rtp_and_rtcp() {
    let mut world = World::new();
    let mut rtp = Client::new("198.51.100.1:4000").sha256();
    let reply = rtp.allocate_with(&mut world, &[(attribute::EVEN_PORT, vec![0x80])]);
    let token = reply.get(attribute::RESERVATION_TOKEN).unwrap();
    let mut rtcp = Client::new("198.51.100.1:4001").sha256();
    let second = rtcp.allocate_with(&mut world, &[(attribute::RESERVATION_TOKEN, token)]);
    assert_eq!(second.relayed().port(), reply.relayed().port() + 1);
    for (client, relayed) in [(&mut rtp, reply.relayed()), (&mut rtcp, second.relayed())] {
        assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
        let sent = client.send_on(&mut world, 0x4000, b"data");
        assert_eq!(sent, Became::ToMedia(relayed, address(MEDIA), b"data".to_vec()));
    }
}

/// A client whose replies are lost sends everything twice; nothing it does twice has another effect.
#[test]
fn everything_may_be_sent_twice() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000");
    client.greet(&mut world);
    let peer = client.peer(MEDIA);
    let number = (attribute::CHANNEL_NUMBER, vec![0x40, 0, 0, 0]);
    for (method, attributes) in [
        (Method::ALLOCATE, vec![udp()]),
        (Method::CREATE_PERMISSION, vec![peer.clone()]),
        (Method::CHANNEL_BIND, vec![number, peer]),
        (Method::REFRESH, vec![]),
    ] {
        let transaction = client.transaction();
        let attributes: Vec<_> = attributes
            .into_iter()
            .map(|(kind, value)| {
                let is_peer = kind == attribute::XOR_PEER_ADDRESS;
                (kind, if is_peer { xor(address(MEDIA), transaction) } else { value })
            })
            .collect();
        let request = client.request_again(method, &attributes, transaction);
        let first = world.send(&client.tuple, &request);
        assert!(matches!(&first, Became::Reply(reply) if Reply(reply.clone()).is_success()), "{method:?}");
        assert_eq!(world.send(&client.tuple, &request), first, "{method:?}");
    }
    assert_eq!(world.server.allocations(), 1);
}

/// The same client at the same port over UDP and TCP, and at two addresses of the server, is four clients.
#[test]
fn a_client_is_told_by_its_five_tuple() {
    let mut world = World::new();
    let udp = Client::new("198.51.100.1:4000");
    let tcp = udp.clone().over_tcp();
    let mut others = [udp.clone(), tcp.clone()];
    others.iter_mut().for_each(|client| client.tuple.server = address(MEDIA6));
    let mut relayed = Vec::new();
    for mut client in [udp, tcp].into_iter().chain(others) {
        relayed.push(client.allocate(&mut world));
        assert_eq!(client.bind(&mut world, 0x4000, MEDIA), 0);
        assert!(
            matches!(client.send_on(&mut world, 0x4000, b""), Became::ToMedia(from, ..) if Some(&from) == relayed.last())
        );
    }
    relayed.sort_unstable();
    relayed.dedup();
    assert_eq!(relayed.len(), 4);
}

/// A client with nothing but a server that has no users: it learns that it may not, and nothing breaks.
#[test]
fn a_server_without_users_lets_nobody_in() {
    let mut world = World::with(|settings| {
        settings.users.clear();
        settings.secrets.clear();
    });
    let mut ann = Client::new("198.51.100.1:4000");
    assert_eq!(ann.allocate_with(&mut world, &[]).code(), 401);
    let mut bob = Client::new("198.51.100.1:4000").with(Credential::until(WALL + 9, "bob", ""));
    assert_eq!(bob.allocate_with(&mut world, &[]).code(), 401);
}
