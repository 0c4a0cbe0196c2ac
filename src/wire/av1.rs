//! The AV1 aggregation header (RTP payload format for AV1, section 4.4), as far as finding key frames needs it.

/// Whether an AV1 payload begins a new coded video sequence: the N bit, which is set on the first packet of one.
#[must_use]
pub fn begins_keyframe(payload: &[u8]) -> bool {
    const N: u8 = 0x08;
    const Z: u8 = 0x80;
    payload.len() > 1 && payload.first().is_some_and(|header| header & N != 0 && header & Z == 0)
}

#[cfg(test)]
mod tests {
    use super::begins_keyframe;

    #[test]
    fn the_n_bit_decides() {
        assert!(begins_keyframe(&[0x18, 0x0a]));
        assert!(!begins_keyframe(&[0x10, 0x32]));
        assert!(!begins_keyframe(&[0x98, 0x0a]), "a continued fragment begins nothing");
        assert!(!begins_keyframe(&[0x18]));
    }
}
