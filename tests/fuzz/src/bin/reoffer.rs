//! Offers of one participant, one after the other: each is answered with SDP that our own reader takes, or refused, and
//! then the session is as it was. The input is cut into offers at lines of `=`.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use sluice::ids::{RequestId, SessionId, TrackId, WorkerId};
use sluice::net::addresses::AddressMap;
use sluice::net::datagram::SendBatch;
use sluice::net::demux::{IceCredentials, Ufrag};
use sluice::sfu::session::dtls::Identity;
use sluice::sfu::session::negotiate::{Endpoint, NewSession, answer};
use sluice::sfu::session::offer::Role;
use sluice::sfu::{Core, CoreEvent};
use sluice::wire::ntp::{Epoch, NtpTime};
use sluice::wire::sdp::{MAX_SECTIONS, Sdp};

static ENDPOINT: LazyLock<Endpoint> = LazyLock::new(|| Endpoint {
    identity: Identity::generate().expect("a certificate"),
    candidates: vec![SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 3478))].into(),
    epoch: Epoch { instant: Instant::now(), ntp: NtpTime::default() },
});

fn prepare() {
    // The core contains panics of str0m, and no offer shall cause one in a session that goes on.
    std::panic::set_hook(Box::new(|panic| {
        if !panic.location().is_some_and(|place| place.file().contains("/registry/src/")) {
            eprintln!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
            std::process::abort();
        }
    }));
}

fuzz_target!(init: prepare(), |offers: &str| {
    let mut offers = offers.split("====\n");
    let (now, session) = (Instant::now(), SessionId(1));
    let new = NewSession {
        id: session,
        ice: IceCredentials {
            ufrag: Ufrag::mint(WorkerId(0), [1; 10]),
            password: "0123456789abcdefghijklmn".to_owned(),
        },
        first_track: TrackId(64),
        seed: 1,
    };
    let first = offers.next().unwrap_or_default();
    let Ok(answered) = answer(first, Role::Join, &new, &ENDPOINT, now) else { return };
    let (mut core, mut batch) = (Core::new(AddressMap::new(Vec::new(), &[])), SendBatch::new());
    core.join(now, answered.session);
    for offer in offers.chain([first]) {
        let before = core.counters();
        core.offer(now, session, RequestId(1), offer, &ice(), &mut batch);
        let after = core.counters();
        match core.take_events().next() {
            Some(CoreEvent::Answered { outcome: Ok(answered), .. }) => {
                let read = Sdp::parse(&answered.answer).expect("our own answer can be read");
                let offered = Sdp::parse(offer).expect("it was read to be answered");
                assert_eq!(read.sections.len(), offered.sections.len(), "RFC 3264 section 6");
                assert_eq!(after.tracks, answered.tracks.len() as u64);
                assert!(answered.tracks.iter().all(|track| track.id.0 < 64 + MAX_SECTIONS as u64));
            }
            Some(CoreEvent::Answered { outcome: Err(_), .. }) => assert_eq!(after.tracks, before.tracks),
            Some(CoreEvent::Ended(..)) => return,
            other => panic!("{other:?}"),
        }
    }
});

/// What a restart is given.
fn ice() -> IceCredentials {
    IceCredentials::mint(WorkerId(0), [2; 10], [2; 24])
}
