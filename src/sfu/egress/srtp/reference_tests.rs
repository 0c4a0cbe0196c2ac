//! str0m's SRTP as the reference: it opens what is sealed here, and what it sealed is opened here.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use str0m::change::DirectApi;
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion, KeyingMaterial};
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{self, CryptoError};
use str0m::media::MediaKind;
use str0m::net::{Protocol, Receive};
use str0m::rtp::RawPacket;
use str0m::rtp::rtcp::Rtcp;
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::{Keys, OpenError, Profile, RtcpOpener, RtcpSealer, RtpSealer};
use crate::ids::Ssrc;

const LEFT: &str = "192.0.2.1:1000";
const RIGHT: &str = "192.0.2.2:2000";
const MEDIA: u32 = 0x1234_5678;

/// DTLS whose handshake is over before it begins, with keys that are known.
#[derive(Debug)]
struct Agreed(SrtpProfile);

#[derive(Debug)]
struct Handshake {
    is_active: Option<bool>,
    outputs: u8,
    profile: SrtpProfile,
    now: Instant,
}

fn material(profile: SrtpProfile) -> Vec<u8> {
    (1..=255).take(profile.keying_material_len()).collect()
}

impl DtlsProvider for Agreed {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        static CERTIFICATE: OnceLock<DtlsCert> = OnceLock::new();
        let generate = || dimpl::certificate::generate_self_signed_certificate().unwrap();
        Some(CERTIFICATE.get_or_init(generate).clone())
    }

    fn new_dtls(
        &self,
        _: &DtlsCert,
        now: Instant,
        _: DtlsVersion,
        _: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        Ok(Box::new(Handshake { is_active: None, outputs: 0, profile: self.0, now }))
    }
}

impl DtlsInstance for Handshake {
    fn set_active(&mut self, active: bool) {
        self.is_active = Some(active);
    }

    fn handle_packet(&mut self, _: &[u8]) -> Result<(), DtlsImplError> {
        Ok(())
    }

    fn poll_output<'a>(&mut self, _: &'a mut [u8]) -> DtlsOutput<'a> {
        if self.is_active.is_some() {
            self.outputs = self.outputs.saturating_add(1);
        }
        match self.outputs {
            1 => DtlsOutput::Connected,
            2 => DtlsOutput::KeyingMaterial(KeyingMaterial::new(&material(self.profile)), self.profile),
            _ => DtlsOutput::Timeout(self.now + Duration::from_secs(1_000_000)),
        }
    }

    fn handle_timeout(&mut self, _: Instant) -> Result<(), DtlsImplError> {
        Ok(())
    }

    fn send_application_data(&mut self, _: &[u8]) -> Result<usize, DtlsImplError> {
        Ok(0)
    }

    fn is_active(&self) -> bool {
        self.is_active == Some(true)
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        None
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        Ok(())
    }
}

/// Each profile's provider lives as long as the process, as str0m wants it.
fn provider(profile: SrtpProfile) -> Arc<CryptoProvider> {
    static AGREED: [Agreed; 3] = [
        Agreed(SrtpProfile::AEAD_AES_128_GCM),
        Agreed(SrtpProfile::AEAD_AES_256_GCM),
        Agreed(SrtpProfile::AES128_CM_SHA1_80),
    ];
    let mut provider = crypto::from_feature_flags();
    provider.dtls_provider = AGREED.iter().find(|agreed| agreed.0 == profile).unwrap();
    Arc::new(provider)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A viewer made of str0m alone. It is the client of the handshake, as browsers are.
struct Viewer {
    rtc: Rtc,
    now: Instant,
}

/// What a viewer decrypted, or sent.
#[derive(Debug, Default)]
struct Seen {
    rtp: Vec<(str0m::rtp::RtpHeader, Vec<u8>)>,
    rtcp: Vec<Rtcp>,
    sent: Vec<Vec<u8>>,
}

impl Viewer {
    fn new(profile: SrtpProfile, is_client: bool) -> Self {
        let now = Instant::now();
        let rtc = Rtc::builder()
            .set_crypto_provider(provider(profile))
            .set_rtp_mode(true)
            .enable_raw_packets(true)
            .clear_extension_map()
            .clear_codecs()
            .enable_vp8(true)
            .build(now);
        let mut viewer = Self { rtc, now };
        let mut direct = viewer.direct();
        direct.declare_media("v".into(), MediaKind::Video);
        direct.expect_stream_rx(MEDIA.into(), None, "v".into(), None);
        direct.start_dtls(is_client).unwrap();
        viewer.advance(Duration::from_millis(1));
        viewer
    }

    fn direct(&mut self) -> DirectApi<'_> {
        self.rtc.direct_api()
    }

    fn advance(&mut self, passed: Duration) -> Seen {
        self.now += passed;
        self.rtc.handle_input(Input::Timeout(self.now)).unwrap();
        self.drain()
    }

    fn receive(&mut self, from: &str, to: &str, datagram: &[u8]) -> Seen {
        let receive = Receive::new(Protocol::Udp, address(from), address(to), datagram).unwrap();
        self.rtc.handle_input(Input::Receive(self.now, receive)).unwrap();
        self.drain()
    }

    fn drain(&mut self) -> Seen {
        let mut seen = Seen::default();
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(_) => return seen,
                Output::Transmit(transmit) => seen.sent.push(transmit.contents.to_vec()),
                Output::Event(Event::RawPacket(packet)) => match *packet {
                    RawPacket::RtpRx(header, payload) => seen.rtp.push((header, payload)),
                    RawPacket::RtcpRx(rtcp) => seen.rtcp.push(rtcp),
                    _ => {}
                },
                Output::Event(_) => {}
            }
        }
    }
}

/// The keys of the end that the viewer is connected to.
fn server_keys(profile: SrtpProfile) -> Keys {
    Keys::from_dtls(&material(profile), Profile::from_str0m(profile).unwrap(), false).unwrap()
}

/// What a packet is made of.
#[derive(Debug, Clone)]
struct Plain {
    marker: bool,
    csrcs: Vec<u32>,
    /// The profile and the words of the extension block.
    extension: Option<(u16, Vec<u32>)>,
    payload: Vec<u8>,
    /// Bytes of padding, if any.
    padding: Option<u8>,
}

impl Plain {
    fn small() -> Self {
        Self { marker: false, csrcs: vec![], extension: None, payload: vec![7; 20], padding: None }
    }

    /// The packet, and the length of its header.
    fn write(&self, sequence: u64) -> (Vec<u8>, usize) {
        let bit = |set: bool, place: u8| u8::from(set) << place;
        let count = u8::try_from(self.csrcs.len()).unwrap();
        let first = 0x80 | bit(self.padding.is_some(), 5) | bit(self.extension.is_some(), 4) | count;
        let mut packet = vec![first, bit(self.marker, 7) | 96];
        packet.extend(&sequence.to_be_bytes()[6..]);
        packet.extend(90_000u32.to_be_bytes());
        packet.extend(MEDIA.to_be_bytes());
        packet.extend(self.csrcs.iter().flat_map(|csrc| csrc.to_be_bytes()));
        if let Some((profile, words)) = &self.extension {
            packet.extend(profile.to_be_bytes());
            packet.extend(u16::try_from(words.len()).unwrap().to_be_bytes());
            packet.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
        let header_len = packet.len();
        packet.extend(&self.payload);
        if let Some(padding) = self.padding {
            packet.resize(packet.len() + usize::from(padding), padding);
        }
        (packet, header_len)
    }
}

prop_compose! {
    fn plain()(
        marker: bool,
        csrcs in vec(any::<u32>(), 0..=15),
        // Both forms of RFC 8285, with elements that nobody knows.
        extension in proptest::option::of((proptest::sample::select(&[0xBEDE, 0x1000]), vec(any::<u32>(), 0..20))),
        payload in vec(any::<u8>(), 1..1_300),
        padding in proptest::option::of(1u8..),
    ) -> Plain {
        Plain { marker, csrcs, extension, payload, padding }
    }
}

fn seal(sealer: &RtpSealer, plain: &Plain, sequence: u64) -> Vec<u8> {
    let (packet, header_len) = plain.write(sequence);
    // Something before it, as in a batch.
    let mut arena = vec![0xEE; 33];
    arena.extend(packet);
    sealer.seal(&mut arena, 33, header_len, Ssrc(MEDIA), sequence).unwrap();
    assert_eq!(arena[..33], [0xEE; 33]);
    arena.split_off(33)
}

fn profiles() -> impl Strategy<Value = SrtpProfile> {
    proptest::sample::select(SrtpProfile::ALL)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn str0m_opens_what_is_sealed_here(
        profile in profiles(),
        rollovers in prop_oneof![0..4u64, 65_534..65_538u64, Just((1 << 32) - 2)],
        first in prop_oneof![0..=u16::MAX, 65_500..=u16::MAX],
        packets in vec((plain(), 1..9_000u64), 1..12),
    ) {
        let sealer = RtpSealer::new(&server_keys(profile)).unwrap();
        let mut viewer = Viewer::new(profile, true);
        viewer.direct().stream_rx(&MEDIA.into()).unwrap().reset_roc(rollovers);
        let mut sequence = (rollovers << 16) + u64::from(first);
        for (plain, step) in &packets {
            let seen = viewer.receive(LEFT, RIGHT, &seal(&sealer, plain, sequence));
            prop_assert_eq!(seen.rtp.len(), 1, "str0m opens packet {}", sequence);
            let (header, payload) = &seen.rtp[0];
            prop_assert_eq!(payload, &plain.payload);
            prop_assert_eq!(u64::from(header.sequence_number), sequence & 0xFFFF);
            prop_assert_eq!(header.marker, plain.marker);
            prop_assert_eq!(&header.csrc[..header.csrc_count], &plain.csrcs[..]);
            sequence += step;
        }
    }

    #[test]
    fn str0m_opens_no_packet_that_was_changed(profile in profiles(), plain in plain(), at: prop::sample::Index) {
        let sealer = RtpSealer::new(&server_keys(profile)).unwrap();
        let mut datagram = seal(&sealer, &plain, 5);
        let mut viewer = Viewer::new(profile, true);
        // Behind the fixed header, so that it still belongs to the stream.
        let at = 12 + at.index(datagram.len() - 12);
        datagram[at] ^= 0x10;
        prop_assert!(viewer.receive(LEFT, RIGHT, &datagram).rtp.is_empty());
    }
}

/// 7.2 million packets: more than a hundred times the sequence number begins anew.
#[test]
fn after_two_hours_str0m_still_opens_everything() {
    for &profile in SrtpProfile::ALL {
        let sealer = RtpSealer::new(&server_keys(profile)).unwrap();
        let mut reports = RtcpSealer::new(&server_keys(profile)).unwrap();
        let mut viewer = Viewer::new(profile, true);
        let mut rollovers = 0;
        for sequence in (60_000u64..60_000 + 7_200_000).step_by(16_381) {
            // The packets around each wrap, besides those of the stride.
            let wrap = (sequence >> 16 > rollovers).then_some(sequence & !0xFFFF);
            rollovers = sequence >> 16;
            let around = wrap.into_iter().flat_map(|wrap| wrap - 2..wrap + 2).filter(|&near| near < sequence);
            for sequence in around.chain([sequence]) {
                viewer.now += Duration::from_secs(1);
                let seen = viewer.receive(LEFT, RIGHT, &seal(&sealer, &Plain::small(), sequence));
                assert_eq!(seen.rtp.len(), 1, "{profile}: packet {sequence}");
            }
            let mut report = sender_report();
            reports.seal(&mut report, 0).unwrap();
            assert_eq!(viewer.receive(LEFT, RIGHT, &report).rtcp.len(), 1, "{profile}: report");
        }
        assert_eq!(rollovers, 110);
    }
}

fn sender_report() -> Vec<u8> {
    let words = [0x80c8_0006, MEDIA, 0xe800_0001, 0x8000_0000, 90_000, 55, 66_000];
    words.iter().copied().flat_map(u32::to_be_bytes).collect()
}

#[test]
fn str0m_reads_the_reports_that_are_sealed_here() {
    for &profile in SrtpProfile::ALL {
        let mut sealer = RtcpSealer::new(&server_keys(profile)).unwrap();
        let mut viewer = Viewer::new(profile, true);
        let mut report = sender_report();
        sealer.seal(&mut report, 0).unwrap();
        let seen = viewer.receive(LEFT, RIGHT, &report);
        let [Rtcp::SenderReport(read)] = &seen.rtcp[..] else { panic!("{profile}: {seen:?}") };
        assert_eq!(*read.sender_info.ssrc, MEDIA);
        assert_eq!(read.sender_info.sender_packet_count, 55);
        assert_eq!(read.sender_info.sender_octet_count, 66_000);
    }
}

/// Two of them, with ICE done, so that they send.
fn connected(profile: SrtpProfile) -> (Viewer, Viewer) {
    let (mut left, mut right) = (Viewer::new(profile, true), Viewer::new(profile, false));
    let host = |text: &str| Candidate::host(address(text), "udp").unwrap();
    for (viewer, own, other) in [(&mut left, LEFT, RIGHT), (&mut right, RIGHT, LEFT)] {
        viewer.rtc.add_local_candidate(host(own));
        viewer.rtc.add_remote_candidate(host(other));
    }
    let credentials = left.direct().local_ice_credentials();
    right.direct().set_remote_ice_credentials(credentials);
    let credentials = right.direct().local_ice_credentials();
    left.direct().set_remote_ice_credentials(credentials);
    left.direct().set_ice_controlling(true);
    right.direct().set_ice_controlling(false);
    for _ in 0..100 {
        let mut to_right = left.advance(Duration::from_millis(50)).sent;
        let mut to_left = right.advance(Duration::from_millis(50)).sent;
        while !to_left.is_empty() || !to_right.is_empty() {
            let sent = |seen: Seen| seen.sent;
            let more: Vec<_> = to_right.iter().flat_map(|d| sent(right.receive(LEFT, RIGHT, d))).collect();
            to_right = to_left.iter().flat_map(|d| sent(left.receive(RIGHT, LEFT, d))).collect();
            to_left = more;
        }
        if left.rtc.is_connected() && right.rtc.is_connected() {
            return (left, right);
        }
    }
    panic!("the two do not connect");
}

#[test]
fn reports_that_str0m_sealed_are_opened_once() {
    for &profile in SrtpProfile::ALL {
        let (mut viewer, _) = connected(profile);
        let mut opener = RtcpOpener::new(&server_keys(profile)).unwrap();
        let mut out = Vec::new();
        for request in 0..50 {
            viewer.direct().send_pli_feedback(77.into(), (1_000 + request).into());
            let sent = viewer.advance(Duration::from_millis(1)).sent;
            let is_rtcp = |datagram: &&Vec<u8>| (128..192).contains(&datagram[0]);
            let datagrams: Vec<_> = sent.iter().filter(is_rtcp).collect();
            assert!(!datagrams.is_empty(), "{profile}: str0m asks for a key frame");
            let mut asked = false;
            for datagram in datagrams {
                let opened = opener.open(datagram, &mut out).expect("str0m's packet is authentic");
                let pli = [[0x81, 206, 0, 2], 77u32.to_be_bytes(), (1_000 + request).to_be_bytes()].concat();
                asked |= opened.windows(12).any(|window| window == pli);
                assert_eq!(opener.open(datagram, &mut out), Err(OpenError::Replayed));
            }
            assert!(asked, "{profile}: the request is in there");
        }
    }
}
