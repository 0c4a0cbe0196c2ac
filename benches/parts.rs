//! What the parts of egress cost by themselves, for one packet and subscriber, with warm caches: whether it is wanted and
//! with which numbers, the header, the seal.
//!
//! `cargo bench --bench parts`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use sluice::ids::Ssrc;
use sluice::sfu::egress::header::{Elements, ExtensionId, ExtensionIds, Fields, HeaderTemplate};
use sluice::sfu::egress::srtp::{Keys, Profile, RtpSealer};
use sluice::sfu::forward::layer::LayerFacts;
use sluice::sfu::forward::packet::{EncodingIndex, Extensions, Packet, SourceId, vp8_descriptor};
use sluice::sfu::forward::subscription::Subscription;
use sluice::sfu::forward::target::Target;
use sluice::units::{Codec, Format};

/// With a header of 32 bytes and a tag of 16, 1,200 bytes of UDP payload.
const PAYLOAD: usize = 1_152;

fn packet(sequence: u64, entry: bool) -> Packet {
    let mut payload = vec![0x90, 0xe0, 0x80, 1, 7, 0x20, u8::from(!entry)];
    payload.resize(PAYLOAD, 0xaa);
    let now = Instant::now();
    Packet {
        source: SourceId(1),
        encoding: EncodingIndex(0),
        sequence,
        timestamp: 3_000,
        marker: false,
        format: Format::new(Codec::Vp8, ""),
        entry,
        arrived: now,
        captured: now,
        extensions: Extensions::default(),
        vp8: vp8_descriptor(Codec::Vp8, &payload),
        dependency: None,
        layer: LayerFacts::default(),
        payload: Arc::from(payload),
    }
}

fn rewrite(criterion: &mut Criterion) {
    let mut subscription = Subscription::new(7, 7);
    subscription.accept(&packet(0, true), &Target::only(EncodingIndex(0)));
    let mut next = packet(0, false);
    criterion.bench_function("rewrite", |bencher| {
        bencher.iter(|| {
            next.sequence += 1;
            subscription.accept(black_box(&next), &Target::only(EncodingIndex(0)))
        });
    });
}

fn header(criterion: &mut Criterion) {
    let id = ExtensionId::new;
    let ids =
        ExtensionIds { mid: id(1), send_time: id(2), transport_number: id(3), ..ExtensionIds::default() };
    let template = HeaderTemplate::new(ids, "1");
    let fields = Fields { marker: true, payload_type: 96, sequence: 1, timestamp: 2, ssrc: 3, csrc: None };
    let passed = Extensions::default();
    let elements =
        Elements { send_time: [1, 2, 3], transport_number: 4, passed: &passed, dependency_descriptor: None };
    let mut arena = Vec::with_capacity(64);
    criterion.bench_function("header", |bencher| {
        bencher.iter(|| {
            arena.clear();
            template.write(black_box(&mut arena), &fields, &elements)
        });
    });
}

fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    for profile in [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80] {
        let material = vec![7; 2 * (profile.key_len() + profile.salt_len())];
        let keys = Keys::from_dtls(&material, profile, false).expect("as long as it has to be");
        let sealer = RtpSealer::new(&keys).expect("good keys");
        let (plain, mut arena, mut sequence) = (vec![0xaa; 32 + PAYLOAD], Vec::with_capacity(2_048), 0);
        group.bench_function(format!("{profile:?}"), |bencher| {
            bencher.iter(|| {
                arena.clear();
                arena.extend_from_slice(black_box(&plain));
                sequence += 1;
                sealer.seal(&mut arena, 0, 32, Ssrc(1), sequence).expect("sealed");
            });
        });
    }
    group.finish();
}

fn configured() -> Criterion {
    Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1))
}

criterion_group!(name = benches; config = configured(); targets = rewrite, header, seal);
criterion_main!(benches);
