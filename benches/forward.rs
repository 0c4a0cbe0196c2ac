//! What it costs the core to forward one packet to one subscriber: time, and allocations.
//!
//! `cargo bench --bench forward`. Clients are real str0m peers that connected by ICE and DTLS; the measured part is
//! the core's turn, from the publisher's datagram to the last sealed datagram in the batch. No sockets, no system calls.

#[path = "../tests/common/mod.rs"]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::World;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sluice::sfu::session::offer::Role;
use str0m::format::Codec;

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: all calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A VP8 packet of a usual size; the first of a key frame or of another one.
fn payload(keyframe: bool) -> Vec<u8> {
    let mut payload = vec![0x90, 0xe0, 0x80, 0x01, 7, 0x20, u8::from(!keyframe)];
    payload.resize(1_150, 0xaa);
    payload
}

/// One publisher and so many viewers, all connected and past the first key frame.
fn world(viewers: usize) -> World {
    let mut world = World::new();
    let (_, publisher) = world.join(Role::Publish, &[Codec::Vp8]);
    for _ in 0..viewers {
        let (_, viewer) = world.join(Role::Watch, &[Codec::Vp8]);
        world.watch(&viewer, &publisher);
    }
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    send(&mut world, true);
    world.run(Duration::from_millis(100));
    world
}

fn send(world: &mut World, keyframe: bool) {
    let (now, client) = (world.now, &mut world.clients[0]);
    let (video, timestamp) = (client.video, client.sent_packets() * 3_000);
    client.send(now, video, timestamp, true, &payload(keyframe));
}

/// Forwards `packets` packets one by one, as they come when they do not come in bursts. Returns the time and the
/// allocations of the core's turns alone.
fn forward(world: &mut World, packets: u64) -> (Duration, u64) {
    let (mut time, mut allocations) = (Duration::ZERO, 0);
    for _ in 0..packets {
        send(world, false);
        world.now += Duration::from_millis(5);
        world.drive_clients();
        let (before, began) = (ALLOCATIONS.load(Ordering::Relaxed), Instant::now());
        world.turn_core();
        time += began.elapsed();
        allocations += ALLOCATIONS.load(Ordering::Relaxed) - before;
        world.deliver();
        world.clients.iter_mut().for_each(|client| client.received.clear());
    }
    (time, allocations)
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    for viewers in [1_usize, 2, 10, 50, 100] {
        let mut world = world(viewers);
        let sent = world.core.counters().media_packets_out;
        let (_, allocations) = forward(&mut world, 200);
        let forwarded = world.core.counters().media_packets_out - sent;
        assert_eq!(forwarded, 200 * viewers as u64, "every packet reaches every viewer");
        println!(
            "{viewers} viewers: {:.2} allocations per forwarded packet",
            allocations as f64 / forwarded as f64
        );
        group.throughput(Throughput::Elements(viewers as u64));
        group.bench_function(BenchmarkId::from_parameter(viewers), |bencher| {
            bencher.iter_custom(|iterations| forward(&mut world, iterations).0);
        });
    }
    group.finish();
}

criterion_group!(forwarding, benches);
criterion_main!(forwarding);
