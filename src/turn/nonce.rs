//! Nonces that need no memory (RFC 8489 section 9.2): each says when it was made, and proves that it was made here for
//! the address it comes back from.
//!
//! So nobody can fill a table by asking for nonces, and whoever presents one has received a reply of ours.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use super::base64;

/// The nonce cookie and the security features (RFC 8489 section 9.2): the first bit, "password algorithms", is set. So
/// a client knows that PASSWORD-ALGORITHMS was there, even if somebody on the way took it out.
const COOKIE: &str = "obMatJos2AAAB";

/// How much of the HMAC is sent: it cannot be guessed by trying within an hour, and replies to strangers stay short.
const PROOF: usize = 8;

/// Makes and checks nonces.
pub(super) struct Nonces {
    key: hmac::Key,
    began: Instant,
    max_age: Duration,
}

impl Nonces {
    /// Servers with the same `key` and the same beginning take each other's nonces.
    pub(super) fn new(key: &[u8; 32], began: Instant, max_age: Duration) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), began, max_age }
    }

    /// A nonce for `address`.
    pub(super) fn make(&self, now: Instant, address: IpAddr) -> String {
        self.at(self.seconds(now), address)
    }

    /// Whether `nonce` was made for `address`, and not too long ago.
    pub(super) fn is_good(&self, now: Instant, address: IpAddr, nonce: &[u8]) -> bool {
        let now = self.seconds(now);
        let Some(made) = made_at(nonce).filter(|made| *made <= now) else { return false };
        let expected = self.at(made, address);
        let genuine = verify_slices_are_equal(expected.as_bytes(), nonce).is_ok();
        genuine && u64::from(now - made) <= self.max_age.as_secs()
    }

    fn at(&self, made: u32, address: IpAddr) -> String {
        let time = made.to_be_bytes();
        let address = match address {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"nonce");
        context.update(&time);
        context.update(&Ipv6Addr::octets(&address));
        let proof = context.sign();
        let mut bytes = [0; 4 + PROOF];
        bytes.iter_mut().zip(time.iter().chain(proof.as_ref())).for_each(|(to, from)| *to = *from);
        format!("{COOKIE}{}", base64::encode(&bytes))
    }

    /// Whole seconds since the beginning.
    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.began).as_secs()).unwrap_or(u32::MAX)
    }
}

/// The time in a nonce, which is in its first six letters behind the cookie: 4 bytes are 5 letters and a third.
fn made_at(nonce: &[u8]) -> Option<u32> {
    let letters = nonce.strip_prefix(COOKIE.as_bytes())?.get(..6)?;
    let mut bits = 0_u64;
    for letter in letters {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u64::from(value);
    }
    u32::try_from(bits >> 4).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_nonce_is_good_for_an_hour_at_its_address() {
        let began = Instant::now();
        let nonces = Nonces::new(&[1; 32], began, HOUR);
        let made = began + Duration::from_secs(5);
        for address in ["198.51.100.7", "2001:db8::7"] {
            let nonce = nonces.make(made, ip(address));
            let good = |now, address| nonces.is_good(now, ip(address), nonce.as_bytes());
            assert!(good(made, address) && good(made + HOUR, address));
            assert!(!good(made + HOUR + Duration::from_secs(1), address), "too old");
            assert!(!good(began, address), "from the future");
            assert!(!good(made, "198.51.100.8") && !good(made, "2001:db8::8"), "somebody else's");
        }
    }

    #[test]
    fn servers_with_the_same_key_take_each_others_nonces() {
        let began = Instant::now();
        let nonce = Nonces::new(&[1; 32], began, HOUR).make(began, ip("192.0.2.1"));
        assert!(Nonces::new(&[1; 32], began, HOUR).is_good(began, ip("192.0.2.1"), nonce.as_bytes()));
        assert!(!Nonces::new(&[2; 32], began, HOUR).is_good(began, ip("192.0.2.1"), nonce.as_bytes()));
    }

    #[test]
    fn it_starts_with_the_cookie_and_is_short() {
        let began = Instant::now();
        let nonce = Nonces::new(&[1; 32], began, HOUR).make(began, ip("192.0.2.1"));
        assert!(nonce.starts_with("obMatJos2AAAB"));
        assert_eq!(nonce.len(), 29);
    }

    #[test]
    fn no_letter_can_be_changed() {
        let began = Instant::now();
        let nonces = Nonces::new(&[1; 32], began, HOUR);
        let now = began + Duration::from_secs(1_000_000);
        let nonce = nonces.make(now, ip("192.0.2.1")).into_bytes();
        for place in 0..nonce.len() {
            for letter in [b'A', b'B', b'z', b'=', b' ', 0, 255] {
                let mut changed = nonce.clone();
                changed[place] = letter;
                assert_eq!(
                    nonces.is_good(now, ip("192.0.2.1"), &changed),
                    changed == nonce,
                    "letter {place}"
                );
            }
        }
        assert!(!nonces.is_good(now, ip("192.0.2.1"), &nonce[..28]));
        assert!(!nonces.is_good(now, ip("192.0.2.1"), &[&nonce[..], b"A"].concat()));
    }

    proptest! {
        #[test]
        fn the_time_is_read_back(seconds in any::<u32>()) {
            let nonces = Nonces::new(&[3; 32], Instant::now(), HOUR);
            prop_assert_eq!(made_at(nonces.at(seconds, ip("192.0.2.1")).as_bytes()), Some(seconds));
        }

        #[test]
        fn nothing_else_is_good(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let now = Instant::now();
            let nonces = Nonces::new(&[3; 32], now, HOUR);
            prop_assert!(!nonces.is_good(now, ip("192.0.2.1"), &text));
            let cookie = [COOKIE.as_bytes(), &text].concat();
            prop_assert!(!nonces.is_good(now, ip("192.0.2.1"), &cookie));
        }
    }
}
