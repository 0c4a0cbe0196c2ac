use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::net::report::SendDrops;

const PATHS: [SendPath; 3] = [SendPath::Portable, SendPath::Batched, SendPath::Segmented];

fn port(listen: &[&str]) -> UdpPort {
    let listen = listen.iter().map(|address| address.parse().unwrap()).collect();
    UdpPort::bind(&UdpConfig {
        listen,
        receive_buffer: 1 << 20,
        send_buffer: 1 << 20,
        sharing: Sharing::Alone,
    })
    .unwrap()
}

/// The time, which some tests stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn only_address(port: &UdpPort) -> SocketAddr {
    port.local_addrs()[0]
}

/// What a port receives until it has `wanted` datagrams: (source, local, payload).
async fn receive(port: &mut UdpPort, wanted: usize) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
    let mut batch = ReceiveBatch::new();
    let mut all = Vec::new();
    let all_of_them = async {
        while all.len() < wanted {
            port.readable().await.unwrap();
            let count = port.receive(now(), &mut batch);
            let before = all.len();
            while let Some(datagram) = batch.take() {
                all.push((datagram.source, datagram.local, datagram.payload.to_vec()));
            }
            assert_eq!((all.len() - before, batch.len(), batch.is_empty()), (count, 0, true));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all_of_them).await.expect("datagrams were lost");
    all
}

/// A payload that tells its place in the test.
fn payload(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|offset| u8::try_from((number * 31 + offset) % 256).unwrap()).collect()
}

/// The sizes of a turn to one destination: single ones, runs, shorter last ones.
fn sizes() -> Vec<usize> {
    let mut sizes = vec![1, 1200, 1200, 1200, 1200, 700, 1200, 90, 90, 90, 91, 5];
    sizes.extend([1100; 70]);
    sizes
}

#[tokio::test]
async fn all_sizes_reach_all_destinations_in_order_by_every_path() {
    for path in PATHS {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let mut sender = port(&[address]);
            sender.set_send_path(path);
            let mut receivers = [port(&[address]), port(&[address]), port(&[address])];
            let from = only_address(&sender);
            let mut batch = SendBatch::new();
            for receiver in &receivers {
                for (number, size) in sizes().into_iter().enumerate() {
                    batch.push(from, only_address(receiver), &payload(number, size));
                }
            }
            let (packets, bytes) = (batch.len(), sizes().iter().sum::<usize>() * 3);
            let report = sender.send(&mut batch);
            assert!(batch.is_empty());
            assert_eq!((report.packets, report.bytes), (packets as u64, bytes as u64), "{path:?}");
            assert_eq!((report.dropped, report.causes), (0, SendDrops::default()));
            for receiver in &mut receivers {
                let to = only_address(receiver);
                let got = receive(receiver, sizes().len()).await;
                for (number, (datagram, size)) in got.iter().zip(sizes()).enumerate() {
                    assert_eq!(*datagram, (from, to, payload(number, size)), "{path:?} {number}");
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_better_path_needs_fewer_system_calls() {
    let mut receiver = port(&["127.0.0.1:0"]);
    let to = only_address(&receiver);
    let calls = PATHS.map(|path| {
        let mut sender = port(&["127.0.0.1:0"]);
        sender.set_send_path(path);
        let mut batch = SendBatch::new();
        (0..130).for_each(|_| batch.push(only_address(&sender), to, &[0; 100]));
        sender.send(&mut batch).syscalls
    });
    // 130 datagrams are three times 64 messages, or three runs in one call.
    assert_eq!(calls, [130, 3, 1]);
    receive(&mut receiver, 390).await;
}

#[tokio::test]
async fn a_wildcard_socket_tells_and_keeps_the_address_it_was_spoken_to() {
    for path in PATHS {
        let mut server = port(&["0.0.0.0:0"]);
        server.set_send_path(path);
        let number = only_address(&server).port();
        for last in [1, 7, 200] {
            let spoken_to = SocketAddr::from(([127, 0, 0, last], number));
            let mut client = port(&["127.0.0.1:0"]);
            let client_address = only_address(&client);
            let mut batch = SendBatch::new();
            batch.push(client_address, spoken_to, b"who are you?");
            client.send(&mut batch);
            let asked = receive(&mut server, 1).await;
            assert_eq!(asked, [(client_address, spoken_to, b"who are you?".to_vec())]);
            // Three of a size, so that a run carries the source too.
            (0..3).for_each(|_| batch.push(spoken_to, client_address, b"me"));
            assert_eq!(server.send(&mut batch).packets, 3);
            let answers = receive(&mut client, 3).await;
            assert_eq!(answers, vec![(spoken_to, client_address, b"me".to_vec()); 3], "{path:?}");
        }
    }
}

#[tokio::test]
async fn both_families_are_served_by_their_own_socket() {
    for path in PATHS {
        let mut server = port(&["0.0.0.0:0", "[::]:0"]);
        server.set_send_path(path);
        let [v4, v6] = server.local_addrs()[..] else { panic!("two sockets") };
        let locals = [
            SocketAddr::from(([127, 0, 0, 1], v4.port())),
            SocketAddr::new("::1".parse().unwrap(), v6.port()),
        ];
        let mut clients = [port(&["127.0.0.1:0"]), port(&["[::1]:0"])];
        let mut batch = SendBatch::new();
        for (client, local) in clients.iter_mut().zip(locals) {
            batch.push(only_address(client), local, b"hello");
            client.send(&mut batch);
        }
        let mut asked = receive(&mut server, 2).await;
        asked.sort();
        assert_eq!(asked.iter().map(|(_, local, _)| *local).collect::<Vec<_>>(), locals);
        // Interleaved, and once with the source left to the system.
        for (source, local, _) in asked.iter().chain(&asked) {
            batch.push(*local, *source, b"hi");
        }
        batch.push(v6, asked[1].0, b"hi");
        assert_eq!(server.send(&mut batch).packets, 5, "{path:?}");
        for (client, (local, count)) in clients.iter_mut().zip(locals.into_iter().zip([2, 3])) {
            let got = receive(client, count).await;
            assert!(got.iter().all(|(source, _, payload)| *source == local && payload == b"hi"), "{got:?}");
        }
    }
}

/// 65,508 bytes are one more than IPv4 can carry in a datagram (RFC 768 and RFC 791).
#[tokio::test]
async fn what_cannot_be_sent_harms_no_neighbour() {
    for path in PATHS {
        let mut sender = port(&["0.0.0.0:0"]);
        sender.set_send_path(path);
        let mut receiver = port(&["127.0.0.1:0"]);
        let to = only_address(&receiver);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, only_address(&sender).port()));
        let mut batch = SendBatch::new();
        batch.push(local, to, &payload(1, 400));
        batch.push(local, to, &payload(2, 400));
        batch.push(local, to, &[0; 65_508]);
        batch.push(local, to, &payload(3, 300));
        batch.push(SocketAddr::from(([203, 0, 113, 7], local.port())), to, b"not our address");
        batch.push(local, SocketAddr::from(([127, 0, 0, 1], 0)), b"no such port");
        batch.push(SocketAddr::from(([127, 0, 0, 1], 1)), to, b"no such socket");
        batch.push("[::1]:9".parse().unwrap(), "[::1]:9".parse().unwrap(), b"no such family");
        batch.push(local, to, &payload(4, 20));
        let report = sender.send(&mut batch);
        assert_eq!((report.packets, report.bytes, report.dropped), (4, 1120, 5), "{path:?} {report:?}");
        let expected = SendDrops { too_large: 1, unreachable: 1, bad_address: 3, ..SendDrops::default() };
        assert_eq!(report.causes, expected, "{path:?}");
        let got = receive(&mut receiver, 4).await;
        let expected = [(1, 400), (2, 400), (3, 300), (4, 20)].map(|(n, length)| payload(n, length));
        assert_eq!(got.into_iter().map(|(_, _, payload)| payload).collect::<Vec<_>>(), expected);
    }
}

/// Three of 30,000 bytes do not fit one message, so runs of two leave; a run as long as IP allows passes.
#[tokio::test]
async fn long_runs_are_cut_where_the_kernel_wants_it() {
    let mut sender = port(&["127.0.0.1:0"]);
    let mut receiver = port(&["127.0.0.1:0"]);
    let (from, to) = (only_address(&sender), only_address(&receiver));
    let sizes = [30_000, 30_000, 30_000, 1_300, 1_300];
    let mut batch = SendBatch::new();
    for (number, size) in sizes.into_iter().enumerate() {
        batch.push(from, to, &payload(number, size));
    }
    assert_eq!(sender.send(&mut batch).packets, 5);
    for _ in 0..50 {
        batch.push(from, to, &payload(9, 1_300));
    }
    let first = receive(&mut receiver, 5).await;
    assert_eq!(first.iter().map(|(_, _, payload)| payload.len()).collect::<Vec<_>>(), sizes);
    assert_eq!(sender.send(&mut batch).packets, 50);
    assert_eq!(receive(&mut receiver, 50).await.len(), 50);
}

#[tokio::test]
async fn every_datagram_is_sent_or_counted() {
    for path in PATHS {
        let mut sender = port(&["127.0.0.1:0"]);
        sender.set_send_path(path);
        let receiver = port(&["127.0.0.1:0"]);
        let mut batch = SendBatch::new();
        for number in 0..500 {
            let local = if number % 7 == 0 { "127.0.0.1:1".parse().unwrap() } else { only_address(&sender) };
            batch.push(local, only_address(&receiver), &payload(number, 100 + number % 3));
        }
        let report = sender.send(&mut batch);
        assert_eq!(report.packets + report.dropped, 500);
        assert_eq!(report.dropped, report.causes.named().iter().map(|(_, count)| count).sum::<u64>());
        assert_eq!(report.causes.bad_address, 72);
    }
}

#[tokio::test]
async fn more_than_one_batch_is_received_without_a_new_wake_up() {
    let mut sender = port(&["127.0.0.1:0"]);
    sender.set_send_path(SendPath::Portable);
    let mut receiver = port(&["127.0.0.1:0"]);
    let mut batch = SendBatch::new();
    for number in 0..100 {
        batch.push(only_address(&sender), only_address(&receiver), &payload(number, 50));
    }
    assert_eq!(sender.send(&mut batch).packets, 100);
    let got = receive(&mut receiver, 100).await;
    for (number, (_, _, bytes)) in got.iter().enumerate() {
        assert_eq!(*bytes, payload(number, 50));
    }
    // Nothing is left, and asking costs nothing and does not wait.
    assert_eq!(receiver.receive(now(), &mut ReceiveBatch::new()), 0);
    // What comes after the queue was found empty wakes again.
    batch.push(only_address(&sender), only_address(&receiver), b"again");
    sender.send(&mut batch);
    assert_eq!(receive(&mut receiver, 1).await[0].2, b"again");
}

#[tokio::test]
async fn an_empty_datagram_is_sent_and_not_reported() {
    for path in PATHS {
        let mut sender = port(&["127.0.0.1:0"]);
        sender.set_send_path(path);
        let mut receiver = port(&["127.0.0.1:0"]);
        let mut batch = SendBatch::new();
        batch.push(only_address(&sender), only_address(&receiver), b"");
        batch.push(only_address(&sender), only_address(&receiver), b"x");
        assert_eq!(sender.send(&mut batch).packets, 2);
        assert_eq!(receive(&mut receiver, 1).await[0].2, b"x");
    }
}

#[tokio::test]
async fn bind_says_what_is_wrong() {
    let taken = port(&["127.0.0.1:0"]);
    let fail = |listen: Vec<SocketAddr>| {
        let config =
            UdpConfig { listen, receive_buffer: 1 << 16, send_buffer: 1 << 16, sharing: Sharing::Alone };
        UdpPort::bind(&config).err().unwrap().to_string()
    };
    let text = fail(vec![only_address(&taken)]);
    assert!(text.contains(&only_address(&taken).to_string()) && text.contains("another program"), "{text}");
    let text = fail(vec!["203.0.113.7:9".parse().unwrap()]);
    assert!(text.contains("203.0.113.7:9") && text.contains("no such address"), "{text}");
    assert!(fail(vec![]).contains("media.listen"));
}

#[test]
fn only_a_wildcard_may_lack_ipv6() {
    let lacking = io::Error::from_raw_os_error(libc::EAFNOSUPPORT);
    let gone = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let taken = io::Error::from(io::ErrorKind::AddrInUse);
    let [any6, one6, any4] = ["[::]:1", "[2001:db8::1]:1", "0.0.0.0:1"].map(|a| a.parse().unwrap());
    assert!(is_missing_ipv6(any6, &lacking) && is_missing_ipv6(any6, &gone));
    assert!(!is_missing_ipv6(any6, &taken));
    assert!(!is_missing_ipv6(one6, &lacking) && !is_missing_ipv6(one6, &gone));
    assert!(!is_missing_ipv6(any4, &gone));
}

#[tokio::test]
async fn a_sender_may_move_to_another_thread() {
    fn assert_send<T: Send>(_: &T) {}
    assert_send(&port(&["127.0.0.1:0"]));
}

/// GRO joins what one source sends in one piece; several sources must not be mixed up.
#[tokio::test]
async fn joined_datagrams_keep_their_source() {
    let mut receiver = port(&["127.0.0.1:0"]);
    let mut senders: Vec<_> = (0..4).map(|_| port(&["127.0.0.1:0"])).collect();
    let mut batch = SendBatch::new();
    for (number, sender) in senders.iter_mut().enumerate() {
        for _ in 0..10 {
            batch.push(only_address(sender), only_address(&receiver), &payload(number, 500));
        }
        assert_eq!(sender.send(&mut batch).packets, 10);
    }
    let mut by_source = HashMap::<_, usize>::new();
    for (source, _, bytes) in receive(&mut receiver, 40).await {
        let number = senders.iter().position(|sender| only_address(sender) == source).unwrap();
        assert_eq!(bytes, payload(number, 500));
        *by_source.entry(source).or_default() += 1;
    }
    assert_eq!(by_source.into_values().collect::<Vec<_>>(), [10; 4]);
}

/// As long as a socket is broken, the other's datagrams arrive and nothing spins; then it is read again.
#[tokio::test(start_paused = true)]
async fn a_broken_socket_harms_no_neighbour() {
    let mut receiver = port(&["127.0.0.1:0", "127.0.0.2:0"]);
    let mut sender = port(&["0.0.0.0:0"]);
    let from = only_address(&sender);
    let [broken, whole] = receiver.local_addrs()[..] else { panic!("two sockets") };
    let mut batch = SendBatch::new();
    let mut send = |text: &[u8]| {
        [broken, whole].iter().for_each(|to| batch.push(from, *to, text));
        assert_eq!(sender.send(&mut batch).packets, 2);
    };
    let mut received = ReceiveBatch::new();
    let mut texts = |receiver: &mut UdpPort| {
        receiver.receive(now(), &mut received);
        let mut texts = Vec::new();
        while let Some(datagram) = received.take() {
            texts.push((datagram.local, datagram.payload.to_vec()));
        }
        texts
    };
    receiver.sockets[0].call = |_, _, _, _| Err(io::Error::from_raw_os_error(libc::ENOMEM));
    send(b"one");
    for socket in &receiver.sockets {
        socket.io.readable().await.unwrap();
    }
    assert_eq!(texts(&mut receiver), [(whole, b"one".to_vec())]);
    let began = now();
    for turn in 1..=3 {
        receiver.readable().await.unwrap();
        assert_eq!(now() - began, Duration::from_millis(100) * turn);
        assert_eq!(texts(&mut receiver), []);
    }
    send(b"two");
    receiver.sockets[1].io.readable().await.unwrap();
    receiver.readable().await.unwrap();
    assert_eq!(now() - began, Duration::from_millis(300), "the other wakes at once");
    assert_eq!(texts(&mut receiver), [(whole, b"two".to_vec())]);
    receiver.sockets[0].call = quinn_udp::UdpSocketState::recv;
    receiver.readable().await.unwrap();
    assert_eq!(texts(&mut receiver), [(broken, b"one".to_vec()), (broken, b"two".to_vec())]);
}

/// A row of datagrams that the kernel joined can be taken one by one, with other work in between.
#[tokio::test]
async fn what_is_not_taken_stays() {
    let (mut sender, mut receiver) = (port(&["127.0.0.1:0"]), port(&["127.0.0.1:0"]));
    let mut batch = SendBatch::new();
    for (number, size) in sizes().into_iter().enumerate() {
        batch.push(only_address(&sender), only_address(&receiver), &payload(number, size));
    }
    sender.send(&mut batch);
    receiver.readable().await.unwrap();
    let mut received = ReceiveBatch::new();
    let count = receiver.receive(now(), &mut received);
    assert!(count > 0);
    for (number, size) in sizes().into_iter().enumerate().take(count) {
        assert_eq!((received.len(), received.is_empty()), (count - number, false));
        assert_eq!(received.take().unwrap().payload, payload(number, size));
    }
    assert!(received.is_empty() && received.take().is_none());
}
