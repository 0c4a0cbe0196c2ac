//! The test vectors of the RFCs, and what must never happen.

use super::cipher::{Cipher, CounterMode, Gcm, derive};
use super::keys::{Keys, Master, Profile};
use super::open::{OpenError, RtcpOpener};
use super::seal::{RtcpSealer, RtpSealer, SealError};
use crate::ids::Ssrc;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The master key and salt of RFC 3711 appendix B.3.
const MASTER: &str = "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6";

/// Keys with which this end is both sides, so that it can open what it sealed.
fn both_ways(profile: Profile, key_and_salt: &str) -> Keys {
    let bytes = hex(key_and_salt);
    let (key, salt) = bytes.split_at(profile.key_len());
    Keys::from_dtls(&[key, key, salt, salt].concat(), profile, true).unwrap()
}

fn keys_of(profile: Profile) -> Keys {
    let material: Vec<u8> = (0..=255).take(2 * (profile.key_len() + profile.salt_len())).collect();
    Keys::from_dtls(&material, profile, true).unwrap()
}

const PROFILES: [Profile; 3] = [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80];

#[test]
fn session_keys_are_those_of_rfc_3711() {
    let bytes = hex(MASTER);
    let master = Master::new(Profile::Aes128CmSha1_80, &bytes[..16], &bytes[16..]).unwrap();
    let derived = |label: u8, length: usize| {
        let mut out = vec![0xFF; length];
        derive(&master, label, &mut out).unwrap();
        out
    };
    assert_eq!(derived(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let long = "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE
                E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25
                6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2";
    assert_eq!(derived(1, 94), hex(long));
}

#[test]
fn the_key_stream_is_that_of_rfc_3711() {
    // Appendix B.2: SSRC, rollover counter and sequence number are 0, so that the salt alone makes the IV.
    let key = hex("2B7E151628AED2A6ABF7158809CF4F3C");
    let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
    let mode = CounterMode::new(&key.try_into().unwrap(), &[0; 20], salt.try_into().unwrap()).unwrap();
    let mut stream = vec![0; 0xFF02 * 16];
    mode.apply(Ssrc(0), 0, &mut stream).unwrap();
    assert_eq!(
        stream[..48],
        hex(
            "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0"
        )
    );
    assert_eq!(
        stream[0xFEFF * 16..],
        hex(
            "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44"
        )
    );
}

/// The packets of RFC 7714 sections 16 and 17.
struct Rfc7714 {
    key: &'static str,
    sealed_rtp: &'static str,
    sealed_rtcp: &'static str,
    tagged_rtcp_tag: &'static str,
}

const RFC_7714_SALT: &str = "517569642070726f2071756f";
const RFC_7714_RTP: &str = "8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e6973206469766973\
                            6120696e207061727465732074726573";
const RFC_7714_RTCP: &str = "81c8000d4d617273 4e5450314e545032525450200000042a0000e9304c756e61\
                             deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

const RFC_7714: [Rfc7714; 2] = [
    Rfc7714 {
        key: "000102030405060708090a0b0c0d0e0f",
        sealed_rtp: "8040f17b8041f8d35501a0b2 f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a\
                     51c7d19b36de3adf8833 899d7f27beb16a9152cf765ee4390cce",
        sealed_rtcp: "81c8000d4d617273 63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda\
                      4ce09b4686303ded0bb9275b c84aa45896cf4d2fc5abf87245d9eade 800005d4",
        tagged_rtcp_tag: "841dd9683dd78ec92ae58790125f62b3",
    },
    Rfc7714 {
        key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        sealed_rtp: "8040f17b8041f8d35501a0b2 32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a02\
                     76ffae0f1ba63799b87b 7aa3db36dfffd6b0f9bb7878d7a76c13",
        sealed_rtcp: "81c8000d4d617273 d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be\
                      8415f658c61de0476f1b6fad 1d1eb30c4446839f57ff6f6cb26ac3be 800005d4",
        tagged_rtcp_tag: "91db4afbfeee5a978fab4393ed2615fe",
    },
];

#[test]
fn packets_are_sealed_and_opened_as_in_rfc_7714() {
    for vector in RFC_7714 {
        let cipher = || {
            let salt = hex(RFC_7714_SALT).try_into().unwrap();
            Cipher::Gcm(Gcm::new(&hex(vector.key), salt).unwrap())
        };
        let mut arena = hex(RFC_7714_RTP);
        RtpSealer::with_cipher(cipher()).seal(&mut arena, 0, 12, Ssrc(0x5501_a0b2), 0xf17b).unwrap();
        assert_eq!(arena, hex(vector.sealed_rtp));

        let mut arena = hex(RFC_7714_RTCP);
        RtcpSealer::with_cipher(cipher(), 0x5d4).seal(&mut arena, 0).unwrap();
        assert_eq!(arena, hex(vector.sealed_rtcp));

        let tagged = [hex(RFC_7714_RTCP), hex(vector.tagged_rtcp_tag), hex("000005d4")].concat();
        for datagram in [hex(vector.sealed_rtcp), tagged] {
            let mut out = Vec::new();
            let opened = RtcpOpener::with_cipher(cipher()).open(&datagram, &mut out).map(<[u8]>::to_vec);
            assert_eq!(opened, Ok(hex(RFC_7714_RTCP)));
        }
    }
}

const LIBSRTP_RTP: &str = "800f1234decafbadcafebabe abababababababababababababababab";
const LIBSRTP_RTCP: &str = "81c8000bcafebabe abababababababababababababababab";

/// Sealed by another implementation, libSRTP, from the master keys on.
#[test]
fn packets_are_sealed_as_libsrtp_seals_them() {
    let vectors = [
        (
            Profile::Aes128CmSha1_80,
            MASTER,
            "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb",
            "81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798",
        ),
        (
            Profile::AeadAes128Gcm,
            "000102030405060708090a0b0c0d0e0f a0a1a2a3a4a5a6a7a8a9aaab",
            "800f1234decafbadcafebabe c5002ede04cfdd2eb91159e0880aa06e d2976826f796b201df3131a127e8a392",
            "81c8000bcafebabe c98b8b5df0392a55852b6c21ac8e7025 c52c6fbea2b3b446ea31123ba88ce61e 80000001",
        ),
    ];
    for (profile, master, rtp, rtcp) in vectors {
        let keys = both_ways(profile, master);
        let mut arena = hex(LIBSRTP_RTP);
        RtpSealer::new(&keys).unwrap().seal(&mut arena, 0, 12, Ssrc(0xcafe_babe), 0x1234).unwrap();
        assert_eq!(arena, hex(rtp), "{profile:?}");
        assert_eq!(arena.len(), hex(LIBSRTP_RTP).len() + profile.rtp_overhead());

        let cipher = Cipher::new(keys.local(), super::cipher::Purpose::Rtcp).unwrap();
        let mut arena = hex(LIBSRTP_RTCP);
        RtcpSealer::with_cipher(cipher, 1).seal(&mut arena, 0).unwrap();
        assert_eq!(arena, hex(rtcp), "{profile:?}");
        assert_eq!(arena.len(), hex(LIBSRTP_RTCP).len() + profile.rtcp_overhead());

        let mut out = vec![1, 2, 3];
        let opened = RtcpOpener::new(&keys).unwrap().open(&arena, &mut out).map(<[u8]>::to_vec);
        assert_eq!(opened, Ok(hex(LIBSRTP_RTCP)), "{profile:?}");
    }
}

/// The client's key is the first half for one end and the second for the other (RFC 5764 section 4.2).
#[test]
fn each_end_opens_what_the_other_sealed() {
    for profile in PROFILES {
        let material: Vec<u8> = (0..=255).take(2 * (profile.key_len() + profile.salt_len())).collect();
        let client = Keys::from_dtls(&material, profile, true).unwrap();
        let server = Keys::from_dtls(&material, profile, false).unwrap();
        for (from, to) in [(&client, &server), (&server, &client)] {
            let mut arena = hex(LIBSRTP_RTCP);
            RtcpSealer::new(from).unwrap().seal(&mut arena, 0).unwrap();
            let mut out = Vec::new();
            assert!(RtcpOpener::new(to).unwrap().open(&arena, &mut out).is_ok());
            assert_eq!(RtcpOpener::new(from).unwrap().open(&arena, &mut out), Err(OpenError::Forged));
        }
        assert!(Keys::from_dtls(&material[1..], profile, true).is_none());
        assert!(Keys::from_dtls(&[&material[..], &[0]].concat(), profile, true).is_none());
    }
}

#[test]
fn keys_are_never_printed() {
    let keys = keys_of(Profile::Aes128CmSha1_80);
    assert_eq!(format!("{keys:?}"), "Keys { profile: Aes128CmSha1_80, .. }");
    assert_eq!(format!("{:?}", RtpSealer::new(&keys).unwrap()), "RtpSealer(CounterMode)");
}

#[test]
fn what_cannot_be_sealed_does_not_stay_in_the_clear() {
    for profile in PROFILES {
        let keys = keys_of(profile);
        let rtp = RtpSealer::new(&keys).unwrap();
        let packet = [b"before".as_slice(), &hex(LIBSRTP_RTP)].concat();
        for (header_len, sequence, error) in [
            (29, 0, SealError::TooShort),
            (12, 1 << 48, SealError::Exhausted),
            (12, u64::MAX, SealError::Exhausted),
        ] {
            let mut arena = packet.clone();
            assert_eq!(rtp.seal(&mut arena, 6, header_len, Ssrc(1), sequence), Err(error));
            assert_eq!(arena, b"before");
        }
        let mut arena = packet.clone();
        rtp.seal(&mut arena, 6, 28, Ssrc(1), (1 << 48) - 1).unwrap();
        assert_eq!(arena[..packet.len()], packet, "a packet without payload is authenticated");
        assert_eq!(arena.len(), packet.len() + profile.rtp_overhead());
        assert_eq!(rtp.seal(&mut Vec::new(), 1, 0, Ssrc(1), 1), Err(SealError::TooShort));

        let mut arena = b"before1234567".to_vec();
        assert_eq!(RtcpSealer::new(&keys).unwrap().seal(&mut arena, 6), Err(SealError::TooShort));
        assert_eq!(arena, b"before");
    }
}

#[test]
fn an_srtcp_index_is_never_used_twice() {
    for profile in PROFILES {
        let keys = both_ways(profile, &"07".repeat(profile.key_len() + profile.salt_len()));
        let cipher = || Cipher::new(keys.local(), super::cipher::Purpose::Rtcp).unwrap();
        let mut sealer = RtcpSealer::with_cipher(cipher(), (1 << 31) - 2);
        let mut seal = || {
            let mut arena = hex(LIBSRTP_RTCP);
            sealer.seal(&mut arena, 0).map(|()| arena)
        };
        let sealed = [seal().unwrap(), seal().unwrap()];
        assert_eq!(seal(), Err(SealError::Exhausted));
        assert_eq!(seal(), Err(SealError::Exhausted));
        let mut opener = RtcpOpener::new(&keys).unwrap();
        let mut out = Vec::new();
        let mut first = hex(LIBSRTP_RTCP);
        RtcpSealer::new(&keys).unwrap().seal(&mut first, 0).unwrap();
        let word = [0xC0, 0, 0, 0];
        assert!(
            first.windows(4).any(|window| window == word),
            "the first index is 2^30, as no other sender has"
        );
        for datagram in sealed {
            assert_eq!(opener.open(&datagram, &mut out), Ok(hex(LIBSRTP_RTCP).as_slice()));
            assert_eq!(opener.open(&datagram, &mut out), Err(OpenError::Replayed));
            assert_eq!(out, [0; 0], "nothing of a refused packet is left");
        }
    }
}

#[test]
fn every_changed_bit_of_a_report_is_noticed() {
    for profile in PROFILES {
        let keys = both_ways(profile, &"5A".repeat(profile.key_len() + profile.salt_len()));
        let mut datagram = hex(LIBSRTP_RTCP);
        RtcpSealer::new(&keys).unwrap().seal(&mut datagram, 0).unwrap();
        let mut opener = RtcpOpener::new(&keys).unwrap();
        let mut out = Vec::new();
        for bit in 0..datagram.len() * 8 {
            datagram[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opener.open(&datagram, &mut out), Err(OpenError::Forged), "bit {bit}");
            assert_eq!(out, [0; 0]);
            datagram[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..datagram.len() {
            assert!(opener.open(&datagram[..length], &mut out).is_err());
        }
        assert_eq!(opener.open(&datagram[..7 + profile.rtcp_overhead()], &mut out), Err(OpenError::TooShort));
        assert!(opener.open(&datagram, &mut out).is_ok(), "forgeries do not move the window");
    }
}
