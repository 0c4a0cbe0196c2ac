//! Random numbers that nobody can guess. The floors below take them as arguments.

/// Bytes of the system's cryptographic generator.
///
/// # Panics
/// When the system has no randomness: then no session would be safe.
#[must_use]
#[expect(clippy::expect_used, reason = "a server without randomness must not run")]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}
