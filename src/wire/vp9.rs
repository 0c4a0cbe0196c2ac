//! The VP9 payload descriptor (RFC 9628 section 4.2): which layer of which picture a packet is of.

/// How many spatial layers a descriptor can tell of.
pub const MOST_SPATIAL: usize = 8;

/// What stands before the VP9 data of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// The picture's number, 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// P: the frame is predicted from other pictures.
    pub inter_picture: bool,
    /// F: frames name the pictures that they depend on themselves.
    pub flexible: bool,
    /// B: the packet is the first of its layer's frame.
    pub begins_frame: bool,
    /// E: the packet is the last of its layer's frame.
    pub ends_frame: bool,
    /// Z: no higher spatial layer of the picture depends on the frame.
    pub not_a_reference: bool,
    /// The layer; `None` for a stream without any.
    pub layer: Option<Layer>,
    /// TL0PICIDX, in streams that are not flexible.
    pub tl0_pic_idx: Option<u8>,
    /// What the picture consists of, which key pictures tell.
    pub structure: Option<Structure>,
}

/// Which layer a frame is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layer {
    /// TID, 0 to 7.
    pub temporal: u8,
    /// U: no later picture of a higher temporal layer depends on one of such a layer before this picture.
    pub switching_up_point: bool,
    /// SID, 0 to 7.
    pub spatial: u8,
    /// D: the frame depends on the spatial layer below.
    pub inter_layer: bool,
}

/// The scalability structure, as far as it tells of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Structure {
    /// How many spatial layers there are, 1 to 8.
    pub spatial_layers: u8,
    /// Their heights in pixels; 0 where they are not told.
    pub heights: [u16; MOST_SPATIAL],
}

impl Descriptor {
    /// Reads a descriptor; `None` when the payload is too short for what it promises, or has no data behind it.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = payload.iter().copied();
        let first = bytes.next()?;
        let flag = |bit: u8| first & bit != 0;
        let mut descriptor = Self {
            inter_picture: flag(0x40),
            flexible: flag(0x10),
            begins_frame: flag(0x08),
            ends_frame: flag(0x04),
            not_a_reference: flag(0x01),
            ..Self::default()
        };
        if flag(0x80) {
            let id = bytes.next()?;
            let long = if id & 0x80 != 0 { Some(bytes.next()?) } else { None };
            descriptor.picture_id =
                Some(long.map_or(u16::from(id), |low| u16::from_be_bytes([id & 0x7f, low])));
        }
        if flag(0x20) {
            let layer = bytes.next()?;
            descriptor.layer = Some(Layer {
                temporal: layer >> 5,
                switching_up_point: layer & 0x10 != 0,
                spatial: layer >> 1 & 0x07,
                inter_layer: layer & 0x01 != 0,
            });
            if !descriptor.flexible {
                descriptor.tl0_pic_idx = Some(bytes.next()?);
            }
        }
        if descriptor.flexible && descriptor.inter_picture {
            // Three references at most; the last bit says that another follows.
            let mut references = 1;
            while bytes.next()? & 0x01 != 0 {
                references += 1;
                if references > 3 {
                    return None;
                }
            }
        }
        if flag(0x02) {
            descriptor.structure = Some(Structure::parse(&mut bytes)?);
        }
        bytes.next()?;
        Some(descriptor)
    }

    /// Whether a decoder can begin with the packet: the start of a frame that is not predicted from another picture, in
    /// the lowest spatial layer.
    #[must_use]
    pub fn begins_keyframe(&self) -> bool {
        self.begins_frame && !self.inter_picture && self.layer.is_none_or(|layer| layer.spatial == 0)
    }
}

impl Structure {
    fn parse(bytes: &mut impl Iterator<Item = u8>) -> Option<Self> {
        let first = bytes.next()?;
        let mut structure = Self { spatial_layers: (first >> 5) + 1, ..Self::default() };
        if first & 0x10 != 0 {
            for height in structure.heights.iter_mut().take(usize::from(structure.spatial_layers)) {
                // The width comes first.
                bytes.nth(1)?;
                *height = u16::from_be_bytes([bytes.next()?, bytes.next()?]);
            }
        }
        if first & 0x08 != 0 {
            for _ in 0..bytes.next()? {
                let references = bytes.next()? >> 2 & 0x03;
                for _ in 0..references {
                    bytes.next()?;
                }
            }
        }
        Some(structure)
    }
}

/// Whether a VP9 payload begins a key frame.
#[must_use]
pub fn begins_keyframe(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_some_and(|descriptor| descriptor.begins_keyframe())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn key_frames_begin_in_the_lowest_layer() {
        assert!(begins_keyframe(&[0x8c, 0x91, 0x23, 0x00]), "long picture id, no layers");
        assert!(begins_keyframe(&[0xa8, 0x11, 0x00, 0, 0x82]), "layer 0");
        assert!(!begins_keyframe(&[0xa8, 0x11, 0x02, 0, 0x82]), "spatial layer 1 depends on layer 0");
        assert!(!begins_keyframe(&[0xcc, 0x91, 0x23, 0x00]), "predicted from another picture");
        assert!(!begins_keyframe(&[0x84, 0x11, 0x00]), "not the first packet of the frame");
        assert!(!begins_keyframe(&[0x88]), "nothing behind the descriptor");
        assert!(!begins_keyframe(&[]));
    }

    /// The first packet of a key picture with three spatial layers, their sizes and a group of two pictures.
    const KEY: [u8; 23] = [
        0xaa, 0x91, 0x23, 0x10, 7, 0x58, 1, 64, 0, 180, 2, 128, 1, 104, 5, 0, 2, 208, 2, 0x10, 0x24, 2, 0x82,
    ];

    #[test]
    fn layers_and_sizes_are_found() {
        let key = Descriptor::parse(&KEY).expect("parses");
        assert!(key.begins_keyframe() && !key.flexible && !key.ends_frame);
        assert_eq!((key.picture_id, key.tl0_pic_idx), (Some(0x1123), Some(7)));
        let layer = Layer { switching_up_point: true, ..Layer::default() };
        assert_eq!(key.layer, Some(layer));
        let heights = [180, 360, 720, 0, 0, 0, 0, 0];
        assert_eq!(key.structure, Some(Structure { spatial_layers: 3, heights }));
        let flexible = Descriptor::parse(&[0xf5, 0x05, 0x53, 0x03, 0x04, 0x82]).expect("parses");
        assert!(
            flexible.flexible && flexible.inter_picture && flexible.ends_frame && flexible.not_a_reference
        );
        let layer = Layer { temporal: 2, switching_up_point: true, spatial: 1, inter_layer: true };
        assert_eq!((flexible.layer, flexible.tl0_pic_idx), (Some(layer), None));
    }

    #[test]
    fn truncation_and_endless_references_are_noticed() {
        for length in 0..KEY.len() {
            assert_eq!(Descriptor::parse(KEY.get(..length).expect("in range")), None, "{length} bytes");
        }
        assert_eq!(Descriptor::parse(&[0x50, 3, 3, 3, 2, 0x82]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(descriptor) = Descriptor::parse(&payload) {
                prop_assert!(descriptor.layer.is_none_or(|layer| layer.temporal < 8 && layer.spatial < 8));
                prop_assert!(descriptor.structure.is_none_or(|structure| structure.spatial_layers <= 8));
            }
        }
    }
}
