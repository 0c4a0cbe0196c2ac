//! The dependency descriptor, a header extension (RTP payload format for AV1, appendix A): which frame a packet is of, and
//! by which template that frame depends on others. Read once when a packet comes, patched for each receiver.

/// Template ids and the ids of structures have 6 bits, and wrap.
const TEMPLATE_ID: u8 = 0x3f;
/// A structure cannot have more templates than there are ids.
const MOST_TEMPLATES: u8 = 64;
/// The fields that every descriptor has; what is longer has flags behind them.
const MANDATORY: usize = 3;

/// What of a descriptor matters to who passes it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// The packet is the first of its frame.
    pub start_of_frame: bool,
    /// The packet is the last of its frame.
    pub end_of_frame: bool,
    /// The template that the frame follows, 6 bits.
    pub template_id: u8,
    /// The number of the frame, counted over all layers.
    pub frame_number: u16,
    /// The templates themselves, which come with each key frame.
    pub structure: Option<Structure>,
}

/// A set of templates. Theirs are `templates` ids from `id` on; they wrap behind 63.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structure {
    /// `template_id_offset`: the id of the first template, 6 bits.
    pub id: u8,
    /// How many decode targets there are, 1 to 32.
    pub decode_targets: u8,
    /// How many templates there are, 1 to 64.
    pub templates: u8,
}

/// What a descriptor is to say instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// The frame's number.
    pub frame_number: u16,
    /// What is added to the ids of templates and structures; they wrap behind 63.
    pub template_shift: u8,
}

impl Descriptor {
    /// Reads a descriptor, as far as its list of templates goes. `None` when it is too short for what its flags promise, or
    /// has more templates than there are ids.
    #[must_use]
    pub fn parse(extension: &[u8]) -> Option<Self> {
        let &[first, high, low] = extension.first_chunk::<MANDATORY>()?;
        let descriptor = Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & TEMPLATE_ID,
            frame_number: u16::from_be_bytes([high, low]),
            structure: None,
        };
        let Some(rest) = extension.get(MANDATORY..).filter(|rest| !rest.is_empty()) else {
            return Some(descriptor);
        };
        let mut bits = Bits::new(rest);
        let has_structure = bits.take(1)? == 1;
        // Whether decode targets, and the frame's own dependencies, are told: they stand behind the templates.
        bits.take(4)?;
        let structure = if has_structure { Some(Structure::parse(&mut bits)?) } else { None };
        Some(Self { structure, ..descriptor })
    }
}

impl Structure {
    fn parse(bits: &mut Bits<'_>) -> Option<Self> {
        let id = bits.take(6)?;
        let decode_targets = bits.take(5)? + 1;
        // Each template is followed by how the next differs in layers; 3 says that there is none.
        for templates in 1..=MOST_TEMPLATES {
            if bits.take(2)? == 3 {
                return Some(Self { id, decode_targets, templates });
            }
        }
        None
    }

    /// The id behind the last one of this structure, where the next structure may begin.
    #[must_use]
    pub fn next_id(self) -> u8 {
        self.id.wrapping_add(self.templates) & TEMPLATE_ID
    }

    /// The same structure with ids that are moved.
    #[must_use]
    pub fn shifted(self, by: u8) -> Self {
        Self { id: shifted(self.id, by), ..self }
    }
}

/// A template's id, moved.
#[must_use]
pub fn shifted(id: u8, by: u8) -> u8 {
    id.wrapping_add(by) & TEMPLATE_ID
}

/// Writes other numbers into a copy of a descriptor. What is too short to be one stays as it is.
pub fn patch(extension: &mut [u8], numbers: Numbers) {
    let Some((fields, rest)) = extension.split_first_chunk_mut::<MANDATORY>() else { return };
    let [first, high, low] = fields;
    *first = *first & !TEMPLATE_ID | shifted(*first, numbers.template_shift);
    [*high, *low] = numbers.frame_number.to_be_bytes();
    // The structure's id stands behind five flags, the first of which says that there is a structure.
    if let [flags, more, ..] = rest
        && *flags & 0x80 != 0
    {
        let id = shifted(*flags << 3 | *more >> 5, numbers.template_shift);
        *flags = *flags & 0xf8 | id >> 3;
        *more = *more & 0x1f | id << 5;
    }
}

/// Takes bits, the most significant first.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// How many bits were taken.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bits as a number: at most eight. `None` behind the end.
    pub(super) fn take(&mut self, count: usize) -> Option<u8> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | byte >> (7 - self.at % 8) & 1;
            self.at += 1;
        }
        Some(value)
    }

    /// Leaves bits out. `None` behind the end.
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// A number below `limit` in the AV1 format's `ns(n)`: as few bits as do, and one less for the lowest numbers.
    pub(super) fn non_symmetric(&mut self, limit: u8) -> Option<u8> {
        let width = 8 - limit.leading_zeros();
        let short = (1_u16 << width).checked_sub(u16::from(limit))?;
        let value = self.take(usize::try_from(width).ok()?.checked_sub(1)?)?;
        if u16::from(value) < short {
            return Some(value);
        }
        let whole = u16::from(value) << 1 | u16::from(self.take(1)?);
        u8::try_from(whole.checked_sub(short)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key frame's descriptor: the first packet of frame 258, template 62, and a structure of two decode targets with
    /// three templates (two temporal layers).
    ///
    /// Behind the frame's number: flags 10000, id 111110, targets less one 00001, layers 00 01 11, and what follows.
    const KEY: [u8; 7] = [0xbe, 0x01, 0x02, 0x87, 0xc1, 0x1c, 0xaa];

    #[test]
    fn fields_are_found() {
        let key = Descriptor::parse(&KEY).expect("parses");
        assert!(key.start_of_frame && !key.end_of_frame);
        assert_eq!((key.template_id, key.frame_number), (62, 258));
        assert_eq!(key.structure, Some(Structure { id: 62, decode_targets: 2, templates: 3 }));
        let short = Descriptor::parse(&[0x41, 0xff, 0xfe]).expect("parses");
        assert!(!short.start_of_frame && short.end_of_frame);
        assert_eq!((short.template_id, short.frame_number, short.structure), (1, 0xfffe, None));
        let flags = Descriptor::parse(&[0x41, 0xff, 0xfe, 0x40]).expect("parses");
        assert_eq!(flags.structure, None);
    }

    #[test]
    fn truncation_and_endless_templates_are_noticed() {
        for length in (0..3).chain(4..6) {
            assert_eq!(Descriptor::parse(KEY.get(..length).expect("in range")), None, "{length} bytes");
        }
        let mut endless = [0u8; 64];
        endless[3] = 0x80;
        assert_eq!(Descriptor::parse(&endless), None);
    }

    #[test]
    fn ids_move_together_and_wrap() {
        let mut bytes = KEY;
        patch(&mut bytes, Numbers { frame_number: 0xffff, template_shift: 5 });
        let moved = Descriptor::parse(&bytes).expect("parses");
        assert_eq!((moved.template_id, moved.frame_number), (3, 0xffff));
        assert_eq!(moved.structure, Some(Structure { id: 3, decode_targets: 2, templates: 3 }));
        assert_eq!(moved.structure.map(Structure::next_id), Some(6));
        patch(&mut bytes, Numbers { frame_number: 258, template_shift: 64 - 5 });
        assert_eq!(bytes, KEY, "nothing else was touched");
        let mut plain = [0xbe, 1, 2, 0x7f, 0xff];
        patch(&mut plain, Numbers { frame_number: 259, template_shift: 1 });
        assert_eq!(plain, [0xbf, 1, 3, 0x7f, 0xff], "flags without a structure");
    }
}
