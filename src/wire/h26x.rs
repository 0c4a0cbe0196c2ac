//! H.264 (RFC 6184) and H.265 (RFC 7798) payloads: can a decoder begin with this packet?

/// Whether a decoder can begin with an H.264 payload: it contains a sequence parameter set, alone, in an aggregate, or
/// as the first fragment. An IDR slice without one is a key frame too, but of no use to whoever has just come.
#[must_use]
pub fn h264_is_entry(payload: &[u8]) -> bool {
    const SPS: u8 = 7;
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    let begins = |nal_type: u8| nal_type == SPS;
    let Some((header, rest)) = payload.split_first() else { return false };
    match header & 0x1f {
        STAP_A => units(rest).any(|unit| unit.first().is_some_and(|header| begins(header & 0x1f))),
        FU_A => rest.first().is_some_and(|fu| fu & 0x80 != 0 && begins(fu & 0x1f)),
        single => begins(single),
    }
}

/// The first sequence parameter set of an H.264 payload that stands there whole: alone, or in an aggregate.
#[must_use]
pub fn h264_parameters(payload: &[u8]) -> Option<&[u8]> {
    const SPS: u8 = 7;
    const STAP_A: u8 = 24;
    let (header, rest) = payload.split_first()?;
    match header & 0x1f {
        STAP_A => units(rest).find(|unit| unit.first().is_some_and(|header| header & 0x1f == SPS)),
        SPS => Some(payload),
        _ => None,
    }
}

/// Whether a decoder can begin with an H.265 payload: it contains a video or sequence parameter set.
#[must_use]
pub fn h265_is_entry(payload: &[u8]) -> bool {
    const AP: u8 = 48;
    const FU: u8 = 49;
    const VPS: u8 = 32;
    const SPS: u8 = 33;
    let begins = |nal_type: u8| nal_type == VPS || nal_type == SPS;
    let Some((header, rest)) = payload.split_first_chunk::<2>() else { return false };
    match (header[0] >> 1) & 0x3f {
        AP => units(rest).any(|unit| unit.first().is_some_and(|header| begins((header >> 1) & 0x3f))),
        FU => rest.first().is_some_and(|fu| fu & 0x80 != 0 && begins(fu & 0x3f)),
        single => begins(single),
    }
}

/// The units of an aggregation packet, each behind its 16 bit length.
fn units(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (unit, next) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = next;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_entries() {
        assert!(h264_is_entry(&[0x67, 1]), "SPS");
        assert!(!h264_is_entry(&[0x65, 1]), "IDR without its SPS");
        assert!(
            h264_is_entry(&[0x78, 0, 2, 0x09, 1, 0, 2, 0x67, 1]),
            "STAP-A with an SPS behind a delimiter"
        );
        assert!(h264_is_entry(&[0x7c, 0x87, 1]), "first FU-A of an SPS");
        assert!(!h264_is_entry(&[0x7c, 0x07, 1]), "later FU-A");
        assert!(!h264_is_entry(&[0x41, 1]), "P slice");
        assert!(!h264_is_entry(&[0x68, 1]), "a PPS follows its SPS");
        assert!(!h264_is_entry(&[0x78, 0, 9, 0x67]), "truncated STAP-A");
        assert!(!h264_is_entry(&[]));
    }

    #[test]
    fn parameters_are_found_alone_and_among_others() {
        assert_eq!(h264_parameters(&[0x67, 1]), Some([0x67, 1].as_slice()));
        assert_eq!(h264_parameters(&[0x78, 0, 2, 9, 1, 0, 2, 0x67, 1]), Some([0x67, 1].as_slice()));
        assert_eq!(h264_parameters(&[0x65, 1]), None);
    }

    #[test]
    fn h265_entries() {
        assert!(h265_is_entry(&[0x40, 1, 0]), "VPS");
        assert!(!h265_is_entry(&[19 << 1, 1, 0]), "IDR_W_RADL without its parameter sets");
        assert!(h265_is_entry(&[48 << 1, 1, 0, 3, 0x42, 1, 0]), "aggregate with an SPS");
        assert!(h265_is_entry(&[49 << 1, 1, 0x80 | 33]), "first fragment");
        assert!(!h265_is_entry(&[49 << 1, 1, 33]), "later fragment");
        assert!(!h265_is_entry(&[1 << 1, 1, 0]), "TRAIL_R");
        assert!(!h265_is_entry(&[0x40]));
    }
}
