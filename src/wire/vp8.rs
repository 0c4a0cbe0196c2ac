//! The VP8 payload descriptor (RFC 7741 section 4.2): read once when a packet comes, patched for each receiver.

/// What stands before the VP8 data of a packet.
///
/// The fields lie one behind the other from the third byte on, so that which of them are there also says where.
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
    /// The packet is the first of its frame.
    pub begins_frame: bool,
    /// TID, the temporal layer: 0 to 3, and 0 where there are no layers.
    pub temporal: u8,
    /// Y: the frame depends on nothing but the lowest temporal layer.
    pub sync: bool,
    /// The picture's height in pixels, which key frames tell.
    pub height: Option<u16>,
}

/// A PictureID with its width; a number wraps at the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureId {
    /// The number.
    pub value: u16,
    /// 15 bits instead of 7.
    pub long: bool,
}

impl PictureId {
    /// The bits that the width has.
    #[must_use]
    pub fn mask(self) -> u16 {
        if self.long { 0x7fff } else { 0x7f }
    }
}

/// What a descriptor is to say instead. A field that is `None` stays as it is; one that the descriptor does not have is
/// not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// PictureID: the low 7 or 15 bits are written, as wide as the field is.
    pub picture_id: Option<u16>,
    /// TL0PICIDX.
    pub tl0_pic_idx: Option<u8>,
    /// KEYIDX: the low 5 bits are written.
    pub key_idx: Option<u8>,
}

/// KEYIDX in the byte that it shares with the temporal layer.
const KEY_IDX: u8 = 0x1f;
/// Where the first field behind the two bytes of flags begins.
const FIELDS: usize = 2;

impl Descriptor {
    /// Writes other numbers into a copy of the payload that this descriptor was read from. In any other payload it changes
    /// at most the bytes where the fields would be.
    pub fn patch(&self, payload: &mut [u8], numbers: Numbers) {
        let mut fields = payload.iter_mut().skip(FIELDS);
        if let Some(id) = self.picture_id {
            let [high, low] = (numbers.picture_id.unwrap_or(id.value) & id.mask()).to_be_bytes();
            if id.long {
                write(fields.next(), 0x80 | high);
            }
            write(fields.next(), low);
        }
        if let Some(index) = self.tl0_pic_idx {
            write(fields.next(), numbers.tl0_pic_idx.unwrap_or(index));
        }
        if let (Some(_), Some(index), Some(byte)) = (self.key_idx, numbers.key_idx, fields.next()) {
            *byte = *byte & !KEY_IDX | index & KEY_IDX;
        }
    }

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
                descriptor.key_idx = (extensions & 0x10 != 0).then_some(tid_and_key & KEY_IDX);
                if extensions & 0x20 != 0 {
                    descriptor.temporal = tid_and_key >> 6;
                    descriptor.sync = tid_and_key & 0x20 != 0;
                }
            }
        }
        // The frame tag of RFC 6386 section 9.1 follows in the first packet of the first partition.
        descriptor.begins_frame = first & 0x10 != 0 && first & 0x07 == 0;
        descriptor.keyframe = bytes.next()? & 0x01 == 0 && descriptor.begins_frame;
        if descriptor.keyframe {
            descriptor.height = height(&mut bytes);
        }
        Some(descriptor)
    }
}

/// The height that a key frame's header tells, behind the first byte of the frame tag.
fn height(bytes: &mut impl Iterator<Item = u8>) -> Option<u16> {
    const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];
    let mut bytes = bytes.skip(2);
    if START_CODE.iter().any(|wanted| bytes.next() != Some(*wanted)) {
        return None;
    }
    // The width comes first. The two bits above 14 are a scale for the display.
    let mut bytes = bytes.skip(2);
    Some(u16::from_le_bytes([bytes.next()?, bytes.next()? & 0x3f]))
}

fn write(to: Option<&mut u8>, value: u8) {
    if let Some(byte) = to {
        *byte = value;
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
    fn layers_and_sizes_are_found() {
        let layered = Descriptor::parse(&[0x90, 0x20, 0xa0, 0x01]).expect("parses");
        assert_eq!((layered.temporal, layered.sync, layered.begins_frame), (2, true, true));
        assert_eq!(layered.height, None);
        let mut key = vec![0x10, 0x00, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x41];
        assert_eq!(Descriptor::parse(&key).and_then(|key| key.height), Some(0x168));
        key.truncate(10);
        assert_eq!(Descriptor::parse(&key).map(|key| key.height), Some(None));
        assert!(Descriptor::parse(&[0x00, 0x01]).is_some_and(|rest| !rest.begins_frame));
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
    fn numbers_are_written_where_they_stand_and_nowhere_else() {
        let patched = |payload: &[u8], numbers| {
            let mut copy = payload.to_vec();
            Descriptor::parse(payload).expect("parses").patch(&mut copy, numbers);
            copy
        };
        let all = Numbers { picture_id: Some(0x7fff), tl0_pic_idx: Some(200), key_idx: Some(31) };
        assert_eq!(
            patched(&[0x90, 0xf0, 0x92, 0x34, 7, 0x49, 0, 5], all),
            [0x90, 0xf0, 0xff, 0xff, 200, 0x5f, 0, 5]
        );
        assert_eq!(patched(&[0x90, 0xf0, 0x12, 7, 0x49, 0, 5], all), [0x90, 0xf0, 0x7f, 200, 0x5f, 0, 5]);
        assert_eq!(
            patched(&[0x90, 0x60, 7, 0x49, 0, 5], all),
            [0x90, 0x60, 200, 0x49, 0, 5],
            "no key index there"
        );
        assert_eq!(patched(&[0x10, 0, 5], all), [0x10, 0, 5]);
        let none = Numbers::default();
        assert_eq!(patched(&[0x90, 0xf0, 0x12, 7, 0x49, 0, 5], none), [0x90, 0xf0, 0x12, 7, 0x49, 0, 5]);
    }

    #[test]
    fn truncation_is_noticed() {
        let whole = [0x90, 0xf0, 0x92, 0x34, 7, 0x49, 0x00];
        for length in 0..whole.len() {
            assert_eq!(Descriptor::parse(whole.get(..length).expect("in range")), None, "{length} bytes");
        }
    }
}
