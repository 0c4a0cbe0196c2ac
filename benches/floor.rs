//! The floor: what the kernel alone takes to send what a forwarding server sends. No server can be cheaper on this
//! machine, so the ratio to it says how much is the server's own.
//!
//! `cargo bench --bench floor [-- --json]`, 20 seconds. One thread on CPU 0 sends datagrams of 1,200 bytes to 200
//! loopback addresses, 239 a second to each: one video of 1.5 Mbit/s with sound to 200 viewers. One on CPU 1 takes them
//! out once a millisecond, joined where the kernel can (UDP_GRO). Packets to one destination leave alone, or so many at
//! a time as one message (UDP_SEGMENT, "GSO"), which then happens as much more seldom.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::net::datagram::SendBatch;
use sluice::net::udp::{ReceiveBatch, SendPath, Sharing, UdpConfig, UdpPort};
use tokio::runtime::Runtime;

const DESTINATIONS: u16 = 200;
const SIZE: usize = 1_200;
/// Packets per second to each destination.
const RATE: f64 = 239.0;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(1_200);
const SENDER_CPU: &str = "0";
const RECEIVER_CPU: &str = "1";

/// Name, way out, and packets to one destination at a time.
const WAYS: [(&str, SendPath, u16); 5] = [
    ("sendmsg", SendPath::Portable, 1),
    ("sendmmsg", SendPath::Batched, 1),
    ("sendmmsg, GSO 2", SendPath::Segmented, 2),
    ("sendmmsg, GSO 4", SendPath::Segmented, 4),
    ("sendmmsg, GSO 8", SendPath::Segmented, 8),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["receive"] => receive(),
        ["send", port, way] => send(port.parse().expect("a port"), way.parse().expect("a way")),
        words => compare(words.contains(&"--json")),
    }
}

/// Runs all ways in turn, several times, and prints the medians.
fn compare(as_json: bool) {
    let counts = counts_instructions();
    let (mut receiver, port) = start_receiver();
    let mut results = vec![Vec::new(); WAYS.len()];
    for _ in 0..ROUNDS {
        for (way, results) in results.iter_mut().enumerate() {
            results.push(run_sender(port, way, counts));
        }
    }
    drop(receiver.stdin.take());
    let mut said = String::new();
    receiver.stdout.take().expect("piped").read_to_string(&mut said).expect("the receiver's count");
    receiver.wait().expect("the receiver ends");
    let sent: u64 = results.iter().flatten().filter_map(|run| run["packets"].as_u64()).sum();
    let arrived: u64 = said.trim().parse().expect("the receiver's count");

    let of = |runs: &[Value], key: &str| {
        let mut all: Vec<f64> = runs.iter().filter_map(|run| run[key].as_f64()).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).map(|middle| (*middle, all[0], all[all.len() - 1]))
    };
    if as_json {
        let us = |runs: &[Value], key| of(runs, key).map(|(middle, ..)| middle);
        let way = |(way, runs): (&(&str, SendPath, u16), &Vec<Value>)| {
            json!({
                "name": way.0, "run": way.2, "cpu_us_per_packet": us(runs, "us"),
                "instructions_per_packet": us(runs, "instructions"),
            })
        };
        let ways: Vec<Value> = WAYS.iter().zip(&results).map(way).collect();
        println!("{}", json!({"ways": ways, "sent": sent, "arrived": arrived}));
        return;
    }
    println!("CPU time of the sending thread, us per packet: median of {ROUNDS} (least to most)");
    for ((name, ..), runs) in WAYS.iter().zip(&results) {
        let (us, least, most) = of(runs, "us").expect("measured");
        let system = of(runs, "system").map_or(0.0, |(system, ..)| 100.0 * system);
        let instructions = of(runs, "instructions")
            .map_or(String::new(), |(count, ..)| format!(", {count:.0} instructions"));
        println!(
            "{name:<18} {us:.2} ({least:.2} to {most:.2}), about {system:.0} % in the kernel{instructions}"
        );
    }
    println!("{arrived} of {sent} packets arrived");
    if arrived * 10 < sent * 9 {
        println!("the figures are too low: what is dropped costs less (raise net.core.rmem_max to 8388608)");
    }
    if !counts {
        println!(
            "no counts of instructions: `perf stat` is missing, or this machine has no hardware counters"
        );
    }
}

/// Whether `perf` is there and can count.
fn counts_instructions() -> bool {
    let run = Command::new("perf").args(["stat", "-x,", "-e", "instructions:u", "true"]).output();
    run.is_ok_and(|run| run.status.success() && !String::from_utf8_lossy(&run.stderr).contains("not "))
}

fn on_cpu(cpu: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cpu]);
    command
}

fn this_program() -> std::path::PathBuf {
    std::env::current_exe().expect("this program has a path")
}

fn start_receiver() -> (Child, u16) {
    let mut command = on_cpu(RECEIVER_CPU);
    command.arg(this_program()).arg("receive").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("taskset (util-linux) and two CPUs");
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    said.read_line(&mut line).expect("the receiver's port");
    child.stdout = Some(said.into_inner());
    (child, line.trim().parse().expect("taskset (util-linux) and two CPUs"))
}

/// One way for one round, in a process of its own.
fn run_sender(port: u16, way: usize, counts: bool) -> Value {
    let mut command = on_cpu(SENDER_CPU);
    if counts {
        command.args(["perf", "stat", "-x,", "-e", "instructions"]);
    }
    command.arg(this_program()).args(["send", &port.to_string(), &way.to_string()]);
    let output = command.output().expect("taskset (util-linux) and two CPUs");
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the sender failed: {problem}");
    let mut result: Value = serde_json::from_slice(&output.stdout).expect("the sender's figures");
    if let (true, Some(packets)) = (counts, result["packets"].as_f64()) {
        let count: Option<f64> = problem.lines().find_map(|line| line.split(',').next()?.parse().ok());
        result["instructions"] = json!(count.map(|count| count / packets));
    }
    result
}

/// The runtime that sockets need, and one of them.
fn open() -> (Runtime, UdpPort) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let listen = vec![SocketAddr::from(([0, 0, 0, 0], 0))];
    let port = UdpPort::bind(&UdpConfig {
        listen,
        receive_buffer: 8 << 20,
        send_buffer: 4 << 20,
        sharing: Sharing::Alone,
    });
    (runtime, port.expect("a socket"))
}

/// Prints the port, takes datagrams out until its input ends, and prints how many they were.
#[expect(
    clippy::disallowed_methods,
    reason = "it looks once a millisecond, whether there is something or not"
)]
fn receive() {
    let is_over = Arc::new(AtomicBool::new(false));
    let told = is_over.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        told.store(true, Ordering::Relaxed);
    });
    let (runtime, mut port) = open();
    println!("{}", port.local_addrs()[0].port());
    let (mut batch, mut count) = (ReceiveBatch::new(), 0);
    runtime.block_on(async {
        while !is_over.load(Ordering::Relaxed) {
            // Waiting in the runtime would be waiting for the sockets, and the sender would pay for waking it.
            std::thread::sleep(Duration::from_millis(1));
            tokio::task::yield_now().await;
            loop {
                match port.receive(Instant::now(), &mut batch) {
                    0 => break,
                    received => count += received,
                }
            }
        }
    });
    println!("{count}");
}

#[expect(clippy::disallowed_methods, reason = "it sends by the clock")]
fn send(to: u16, way: usize) {
    let (_, path, run) = WAYS[way];
    let destination = |index: u16| {
        let [high, low] = (index + 1).to_be_bytes();
        SocketAddr::from(([127, 64, high, low], to))
    };
    let destinations: Vec<SocketAddr> = (0..DESTINATIONS).map(destination).collect();
    let (_runtime, mut port) = open();
    port.set_send_path(path);
    let local = SocketAddr::from(([127, 0, 0, 1], port.local_addrs()[0].port()));
    let (mut batch, mut packets) = (SendBatch::new(), 0);
    let (before, began) = (cpu_time(), Instant::now());
    let mut next = began;
    while next.duration_since(began) < ROUND {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next += Duration::from_secs_f64(f64::from(run) / RATE);
        for to in &destinations {
            (0..run).for_each(|_| batch.push(local, *to, &[0xaa; SIZE]));
        }
        let report = port.send(&mut batch);
        assert_eq!(report.packets, u64::from(DESTINATIONS * run), "the kernel takes all of a turn");
        packets += report.packets;
    }
    let (total, user, system) = cpu_time();
    let us = (total - before.0) as f64 / 1_000.0 / packets as f64;
    let (user, system) = (user - before.1, system - before.2);
    let share = system as f64 / (user + system).max(1) as f64;
    println!("{}", json!({"packets": packets, "us": us, "system": share}));
}

/// CPU time of this thread in nanoseconds, and its ticks outside and inside the kernel (proc(5)).
fn cpu_time() -> (u64, u64, u64) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/{name}")).expect("Linux");
    let total = read("schedstat").split_whitespace().next().and_then(|field| field.parse().ok());
    let stat = read("stat");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let mut ticks = fields.split_whitespace().skip(11).filter_map(|field| field.parse().ok());
    let mut tick = || ticks.next().expect("a count of ticks");
    (total.expect("CONFIG_SCHED_INFO, which every distribution has"), tick(), tick())
}
