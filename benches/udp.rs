//! What sending a datagram costs, by each way out: one system call each, `sendmmsg`, and runs of equal
//! datagrams joined (UDP_SEGMENT).
//!
//! `cargo bench --bench udp`. Each turn sends 64 datagrams of 1,200 bytes to 32 destinations on loopback, in
//! runs of 1 to 8 per destination. The receivers take joined datagrams (UDP_GRO), as a network device does.
//! Nobody reads, so their queues are full and the kernel drops at the very end of its way: the time per
//! element is the sender's, with waking and reading left out.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sluice::net::datagram::SendBatch;
use sluice::net::udp::{SendPath, Sharing, UdpConfig, UdpPort};

const DATAGRAMS: usize = 64;
const SIZE: usize = 1_200;

fn send(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let _inside = runtime.enter();
    let bind = |listen| {
        UdpPort::bind(&UdpConfig {
            listen,
            receive_buffer: 1 << 16,
            send_buffer: 4 << 20,
            sharing: Sharing::Alone,
        })
    };
    let receivers = bind(vec![SocketAddr::from(([127, 0, 0, 1], 0)); 32]).expect("receivers");
    let destinations = receivers.local_addrs();
    let mut port = bind(vec![SocketAddr::from(([0, 0, 0, 0], 0))]).expect("a sender");
    let local = SocketAddr::from(([127, 0, 0, 1], port.local_addrs().first().map_or(0, SocketAddr::port)));

    let mut group = criterion.benchmark_group("udp_send");
    group.throughput(Throughput::Elements(DATAGRAMS as u64));
    group.measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1)).sample_size(50);
    let ways = [
        (SendPath::Portable, 1),
        (SendPath::Batched, 1),
        (SendPath::Batched, 8),
        (SendPath::Segmented, 1),
        (SendPath::Segmented, 2),
        (SendPath::Segmented, 4),
        (SendPath::Segmented, 8),
    ];
    for (path, run) in ways {
        port.set_send_path(path);
        let mut batch = SendBatch::new();
        let name = BenchmarkId::new(format!("{path:?}"), format!("runs of {run}"));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for to in destinations.iter().cycle().take(DATAGRAMS / run) {
                    (0..run).for_each(|_| batch.push(local, *to, black_box(&[0; SIZE])));
                }
                let report = port.send(&mut batch);
                assert_eq!(report.packets, DATAGRAMS as u64);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, send);
criterion_main!(benches);
