//! The whole way of an offer: it is refused in words, or answered with SDP that our own reader takes.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use sluice::ids::{SessionId, TrackId, WorkerId};
use sluice::net::demux::{IceCredentials, Ufrag};
use sluice::sfu::session::dtls::Identity;
use sluice::sfu::session::negotiate::{Endpoint, NewSession, answer};
use sluice::sfu::session::offer::Role;
use sluice::wire::ntp::{Epoch, NtpTime};
use sluice::wire::sdp::Sdp;

static ENDPOINT: LazyLock<Endpoint> = LazyLock::new(|| Endpoint {
    identity: Identity::generate().expect("a certificate"),
    candidates: vec![SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 3478))].into(),
    epoch: Epoch { instant: Instant::now(), ntp: NtpTime::default() },
});

fn prepare() {
    // `answer` contains panics of str0m. Only those of our own code are found faults.
    std::panic::set_hook(Box::new(|panic| {
        if !panic.location().is_some_and(|place| place.file().contains("/registry/src/")) {
            eprintln!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
            std::process::abort();
        }
    }));
}

fuzz_target!(init: prepare(), |offer: &str| {
    for role in [Role::Publish, Role::Watch, Role::Join] {
        let new = NewSession {
            id: SessionId(1),
            ice: IceCredentials {
                ufrag: Ufrag::mint(WorkerId(0), [1; 10]),
                password: "0123456789abcdefghijklmn".to_owned(),
            },
            first_track: TrackId(1),
            seed: 1,
        };
        if let Ok(answered) = answer(offer, role, &new, &ENDPOINT, Instant::now()) {
            let read = Sdp::parse(&answered.answer).expect("our own answer can be read");
            let offered = Sdp::parse(offer).expect("it was read to be answered");
            assert_eq!(read.sections.len(), offered.sections.len(), "RFC 3264 section 6");
        }
    }
});
