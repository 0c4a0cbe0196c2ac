//! The VP9 payload descriptor (RFC 9628 section 4.2), as far as finding key frames needs it.

/// Whether a VP9 payload begins a key frame: the start (B) of a frame that is not predicted from another
/// picture (P), in the lowest spatial layer.
#[must_use]
pub fn begins_keyframe(payload: &[u8]) -> bool {
    let mut bytes = payload.iter().copied();
    let Some(first) = bytes.next() else { return false };
    let (picture_id, inter, layers, begins) = (first & 0x80, first & 0x40, first & 0x20, first & 0x08);
    if inter != 0 || begins == 0 {
        return false;
    }
    // The picture id has one more byte when its first has the top bit set.
    if picture_id != 0 && bytes.next().is_some_and(|id| id & 0x80 != 0) {
        bytes.next();
    }
    if layers == 0 {
        return bytes.next().is_some();
    }
    bytes.next().is_some_and(|ids| (ids >> 1) & 0x07 == 0)
}

#[cfg(test)]
mod tests {
    use super::begins_keyframe;

    #[test]
    fn key_frames_begin_in_the_lowest_layer() {
        assert!(begins_keyframe(&[0x8c, 0x91, 0x23, 0x00]), "long picture id, no layers");
        assert!(begins_keyframe(&[0xa8, 0x11, 0x00, 0]), "layer 0");
        assert!(!begins_keyframe(&[0xa8, 0x11, 0x02, 0]), "spatial layer 1 depends on layer 0");
        assert!(!begins_keyframe(&[0xcc, 0x91, 0x23, 0x00]), "predicted from another picture");
        assert!(!begins_keyframe(&[0x84, 0x11, 0x00]), "not the first packet of the frame");
        assert!(!begins_keyframe(&[0x88]), "nothing behind the descriptor");
        assert!(!begins_keyframe(&[]));
    }
}
