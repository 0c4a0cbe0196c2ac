//! Datagrams that nobody wants: what strangers, and those who forge addresses, send to a media port.

use std::net::{Ipv4Addr, SocketAddrV4};

use clap::ValueEnum;

/// What a hostile datagram looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Random bytes.
    Random,
    /// STUN Binding requests without credentials, which a STUN server answers.
    Binding,
    /// Connectivity checks for sessions that are not there.
    UnknownUfrag,
    /// Connectivity checks for a session that is there, with a wrong MESSAGE-INTEGRITY.
    WrongIntegrity,
    /// TURN Allocate requests without credentials.
    Allocate,
    /// TURN Allocate requests with the realm, a nonce and a wrong password.
    WrongPassword,
    /// DTLS ClientHello records full of junk.
    Dtls,
    /// RTP of nobody.
    Rtp,
    /// RTCP of nobody.
    Rtcp,
    /// TURN ChannelData of nobody.
    Channel,
    /// RTP that bears the address of somebody in the call, with a wrong authentication tag.
    ForgedRtp,
    /// RTCP that bears the address of somebody in the call, with a wrong authentication tag.
    ForgedRtcp,
    /// DTLS records that bear the address of somebody in the call: alerts in the clear, and junk.
    ForgedDtls,
}

impl Kind {
    /// Whether it bears the address and port of a client of ours.
    pub fn is_forged(self) -> bool {
        matches!(self, Self::ForgedRtp | Self::ForgedRtcp | Self::ForgedDtls)
    }
}

/// A session of the server, as its answer tells it.
#[derive(Debug, Clone)]
pub struct Target {
    pub server: SocketAddrV4,
    pub ufrag: String,
    /// The client whose session it is.
    pub client: Ipv4Addr,
}

impl Target {
    /// Reads the first UDP candidate for IPv4 and the ufrag of an answer.
    pub fn read(sdp: &str, client: Ipv4Addr) -> Option<Self> {
        fn values<'s>(sdp: &'s str, name: &'static str) -> impl Iterator<Item = &'s str> {
            sdp.lines().filter_map(move |line| line.strip_prefix(name)?.get(1..)).map(str::trim)
        }
        let server = values(sdp, "a=candidate").find_map(|candidate| {
            let words: Vec<_> = candidate.split_whitespace().collect();
            let is_udp = words.get(2)?.eq_ignore_ascii_case("udp");
            let address = SocketAddrV4::new(words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?);
            is_udp.then_some(address)
        })?;
        Some(Self { server, ufrag: values(sdp, "a=ice-ufrag").next()?.to_owned(), client })
    }
}

/// What a TURN server told with its first 401.
#[derive(Debug, Clone, Default)]
pub struct Challenge {
    pub realm: Vec<u8>,
    pub nonce: Vec<u8>,
}

impl Challenge {
    /// Reads REALM and NONCE of a 401.
    pub fn read(reply: &[u8]) -> Option<Self> {
        let mut rest = reply.get(20..)?;
        let mut found = Self::default();
        while let [k0, k1, l0, l1, tail @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*l0, *l1]));
            let value = tail.get(..length)?;
            match u16::from_be_bytes([*k0, *k1]) {
                REALM => found.realm = value.to_vec(),
                NONCE => found.nonce = value.to_vec(),
                _ => {}
            }
            rest = tail.get(length.next_multiple_of(4)..)?;
        }
        (!found.nonce.is_empty()).then_some(found)
    }
}

/// Random numbers, the same in every run (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }

    fn text(&mut self, count: usize) -> Vec<u8> {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        self.bytes(count).into_iter().map(|byte| LETTERS[usize::from(byte % 64)]).collect()
    }
}

const BINDING: u16 = 0x0001;
const ALLOCATE: u16 = 0x0003;
const USERNAME: u16 = 0x0006;
const INTEGRITY: u16 = 0x0008;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const TRANSPORT: u16 = 0x0019;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const CONTROLLING: u16 = 0x802A;
const FINGERPRINT: u16 = 0x8028;

/// One datagram of a kind.
pub fn make(kind: Kind, random: &mut Random, target: &Target, challenge: &Challenge) -> Vec<u8> {
    match kind {
        Kind::Random => {
            let length = 20 + random.next() as usize % 1_180;
            random.bytes(length)
        }
        Kind::Binding => Stun::new(BINDING, random).finish(),
        Kind::UnknownUfrag => {
            // In the form of a ufrag of Sluice's first worker.
            let ufrag = [&b"AAA"[..], &random.text(13)].concat();
            check(random, &ufrag)
        }
        Kind::WrongIntegrity => check(random, target.ufrag.as_bytes()),
        Kind::Allocate => Stun::new(ALLOCATE, random).with(TRANSPORT, &[17, 0, 0, 0]).finish(),
        Kind::WrongPassword => {
            let user = random.text(12);
            let request = Stun::new(ALLOCATE, random).with(TRANSPORT, &[17, 0, 0, 0]).with(USERNAME, &user);
            let request = request.with(REALM, &challenge.realm).with(NONCE, &challenge.nonce);
            request.with(INTEGRITY, &random.bytes(20)).finish()
        }
        Kind::Dtls => record(22, &random.bytes(180)),
        Kind::Rtp | Kind::ForgedRtp => [vec![0x80, 96], random.bytes(998)].concat(),
        Kind::Rtcp | Kind::ForgedRtcp => [vec![0x81, 201, 0, 7], random.bytes(42)].concat(),
        Kind::Channel => [&[0x40, 0, 0, 200][..], &random.bytes(200)].concat(),
        Kind::ForgedDtls if random.next() & 1 == 0 => record(21, &[2, 40]),
        Kind::ForgedDtls => record(23, &random.bytes(100)),
    }
}

/// A connectivity check as a controlling agent sends it, but for its integrity.
fn check(random: &mut Random, ufrag: &[u8]) -> Vec<u8> {
    let name = [ufrag, b":", &random.text(4)].concat();
    let tie = random.bytes(8);
    let request = Stun::new(BINDING, random).with(USERNAME, &name).with(CONTROLLING, &tie);
    let request = request.with(USE_CANDIDATE, &[]).with(PRIORITY, &[0x6E, 0, 0x1E, 0xFF]);
    request.with(INTEGRITY, &random.bytes(20)).finish()
}

/// A DTLS 1.2 record of epoch 0 (RFC 6347 section 4.1).
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [&[kind, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0][..], &length, body].concat()
}

/// A STUN request that is being written.
struct Stun(Vec<u8>);

impl Stun {
    fn new(method: u16, random: &mut Random) -> Self {
        let mut out = method.to_be_bytes().to_vec();
        out.extend([0, 0, 0x21, 0x12, 0xA4, 0x42]);
        out.extend(random.bytes(12));
        Self(out)
    }

    fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(kind.to_be_bytes());
        self.0.extend((value.len() as u16).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// With FINGERPRINT, whose CRC covers a length that has it in already (RFC 8489 section 14.7).
    fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() + 8 - 20) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
        let crc = crc32(&self.0) ^ 0x5354_554E;
        self.with(FINGERPRINT, &crc.to_be_bytes()).0
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn an_answer_tells_where_and_whose() {
        let sdp = "v=0\r\na=ice-ufrag:AAAcw\r\na=candidate:1 1 udp 2130706431 10.77.0.1 3478 typ host\r\n";
        let target = Target::read(sdp, Ipv4Addr::new(10, 78, 0, 1)).unwrap();
        assert_eq!((target.server.to_string().as_str(), target.ufrag.as_str()), ("10.77.0.1:3478", "AAAcw"));
    }

    #[test]
    fn a_challenge_is_read_out_of_its_message() {
        let reply =
            Stun::new(0x0113, &mut Random::new(1)).with(REALM, b"sluice").with(NONCE, b"12345").finish();
        let found = Challenge::read(&reply).unwrap();
        assert_eq!((&found.realm[..], &found.nonce[..]), (&b"sluice"[..], &b"12345"[..]));
        assert!(Challenge::read(&reply[..30]).is_none());
    }
}
