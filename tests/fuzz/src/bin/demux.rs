//! Demultiplexing: a datagram from an unknown address reaches a session only if it names the session's ufrag.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use sluice::net::datagram::Datagram;
use sluice::net::demux::{Demux, Route, Ufrag};

const UFRAG: &[u8] = b"AAcwMTIzNDU2Nzg5";

fuzz_target!(|payload: &[u8]| {
    let mut demux = Demux::new();
    demux.insert_ufrag(Ufrag::parse(UFRAG).expect("it is one"), 7_u64);
    let (source, local) =
        (SocketAddr::from((Ipv4Addr::LOCALHOST, 9)), SocketAddr::from((Ipv4Addr::LOCALHOST, 3478)));
    if let Route::Session(session) = demux.route(&Datagram { source, local, payload }) {
        assert_eq!(session, 7);
        assert!(payload.windows(UFRAG.len()).any(|window| window == UFRAG));
    }
});
