//! The VP8 payload descriptor (RFC 7741 section 4.2).

/// What stands before the VP8 data of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// Whether the packet begins a key frame.
    pub keyframe: bool,
    /// PictureID, 7 or 15 bits.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX: the running number of base-layer frames.
    pub tl0_pic_idx: Option<u8>,
    /// KEYIDX, 5 bits.
    pub key_idx: Option<u8>,
}

/// A PictureID with its width; a number wraps at the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureId {
    /// The number.
    pub value: u16,
    /// 15 bits instead of 7.
    pub long: bool,
}

impl Descriptor {
    /// Reads a descriptor; `None` when the payload is too short for what its first bytes promise.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = payload.iter().copied();
        let first = bytes.next()?;
        let mut descriptor = Self::default();
        if first & 0x80 != 0 {
            let extensions = bytes.next()?;
            if extensions & 0x80 != 0 {
                descriptor.picture_id = Some(picture_id(&mut bytes)?);
            }
            if extensions & 0x40 != 0 {
                descriptor.tl0_pic_idx = Some(bytes.next()?);
            }
            if extensions & 0x30 != 0 {
                let tid_and_key = bytes.next()?;
                descriptor.key_idx = (extensions & 0x10 != 0).then_some(tid_and_key & 0x1f);
            }
        }
        // The frame tag of RFC 6386 section 9.1 follows in the first packet of the first partition.
        let begins_frame = first & 0x10 != 0 && first & 0x07 == 0;
        descriptor.keyframe = bytes.next()? & 0x01 == 0 && begins_frame;
        Some(descriptor)
    }
}

fn picture_id(bytes: &mut impl Iterator<Item = u8>) -> Option<PictureId> {
    let high = bytes.next()?;
    if high & 0x80 == 0 {
        return Some(PictureId { value: u16::from(high), long: false });
    }
    let value = u16::from_be_bytes([high & 0x7f, bytes.next()?]);
    Some(PictureId { value, long: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        // X, S; I L T K; 15 bit picture id 0x1234; tl0 7; tid 1, keyidx 9; frame tag of a key frame.
        let parsed = Descriptor::parse(&[0x90, 0xf0, 0x92, 0x34, 7, 0x40 | 9, 0x00]).expect("parses");
        assert!(parsed.keyframe);
        assert_eq!(parsed.picture_id, Some(PictureId { value: 0x1234, long: true }));
        assert_eq!((parsed.tl0_pic_idx, parsed.key_idx), (Some(7), Some(9)));
        let short = Descriptor::parse(&[0x90, 0x80, 0x55, 0x01]).expect("parses");
        assert_eq!((short.picture_id, short.keyframe), (Some(PictureId { value: 0x55, long: false }), false));
    }

    #[test]
    fn only_the_first_packet_of_a_key_frame_begins_one() {
        assert!(Descriptor::parse(&[0x10, 0x00]).is_some_and(|d| d.keyframe));
        assert!(
            Descriptor::parse(&[0x00, 0x00]).is_some_and(|d| !d.keyframe),
            "not the start of a partition"
        );
        assert!(Descriptor::parse(&[0x11, 0x00]).is_some_and(|d| !d.keyframe), "the second partition");
    }

    #[test]
    fn truncation_is_noticed() {
        let whole = [0x90, 0xf0, 0x92, 0x34, 7, 0x49, 0x00];
        for length in 0..whole.len() {
            assert_eq!(Descriptor::parse(whole.get(..length).expect("in range")), None, "{length} bytes");
        }
    }
}
