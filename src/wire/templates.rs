//! The templates of a dependency descriptor (RTP payload format for AV1, appendix A.8), and what they say of a frame: its
//! layer, and from which decode targets a receiver can go on to which others.

use super::dependency::Bits;

/// The bytes that every descriptor has.
const MANDATORY: usize = 3;
/// A structure cannot have more templates than there are ids.
const MOST_TEMPLATES: usize = 64;
/// Layers that are told apart. More of them mean that a structure is not read.
pub const MOST_LAYERS: u8 = 8;
/// What a decode target indication of two bits says.
const NOT_PRESENT: u8 = 0;
const SWITCH: u8 = 2;

/// What the frames of a coded video sequence are made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates {
    /// The id of the first template, 6 bits.
    offset: u8,
    templates: Vec<Template>,
    /// The highest layers of each decode target.
    targets: Vec<Layer>,
    chains: u8,
    /// The height of each spatial layer in pixels; 0 where it is not told.
    pub heights: [u16; MOST_LAYERS as usize],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Template {
    layer: Layer,
    /// The two bits of each decode target, the first in the lowest.
    indications: u64,
    refers: bool,
}

/// A spatial and a temporal layer, both from 0 to 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layer {
    /// The spatial layer.
    pub spatial: u8,
    /// The temporal layer.
    pub temporal: u8,
}

/// What a descriptor says of its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its layer.
    pub layer: Layer,
    /// The temporal layers, one bit each, that a receiver of this spatial layer can take up behind the frame.
    pub switches_to: u8,
    /// Whether it depends on other frames.
    pub refers: bool,
    /// The highest spatial layer that is sent, where the descriptor tells.
    pub top: Option<u8>,
}

impl Templates {
    /// Reads the structure that a descriptor brings. `None` when it brings none, or one that cannot be read.
    #[must_use]
    pub fn parse(extension: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(extension.get(MANDATORY..)?);
        let has_structure = bits.take(1)? == 1;
        bits.take(4)?;
        if has_structure { Self::read(&mut bits) } else { None }
    }

    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let offset = bits.take(6)?;
        let targets = usize::from(bits.take(5)?) + 1;
        let mut templates = read_layers(bits)?;
        for template in &mut templates {
            for target in 0..targets {
                template.indications |= u64::from(bits.take(2)?) << (2 * target);
            }
        }
        for template in &mut templates {
            while bits.take(1)? == 1 {
                bits.take(4)?;
                template.refers = true;
            }
        }
        let chains = bits.non_symmetric(u8::try_from(targets).ok()? + 1)?;
        if chains > 0 {
            for _ in 0..targets {
                bits.non_symmetric(chains)?;
            }
            for _ in 0..templates.len() * usize::from(chains) {
                bits.take(4)?;
            }
        }
        let mut heights = [0; MOST_LAYERS as usize];
        let top = templates.iter().map(|template| template.layer.spatial).max()?;
        if bits.take(1)? == 1 {
            for height in heights.iter_mut().take(usize::from(top) + 1) {
                bits.take(8)?;
                bits.take(8)?;
                *height = u16::from_be_bytes([bits.take(8)?, bits.take(8)?]).saturating_add(1);
            }
        }
        let targets = (0..targets).map(|target| highest(&templates, target)).collect();
        Some(Self { offset, templates, targets, chains, heights })
    }

    /// What a descriptor says of its frame. `None` when the frame follows none of these templates, or cannot be read.
    #[must_use]
    pub fn frame(&self, extension: &[u8]) -> Option<Frame> {
        let id = extension.first()? & 0x3f;
        let template = self.templates.get(usize::from(id.wrapping_sub(self.offset) & 0x3f))?;
        let (mut indications, mut refers, mut active) = (template.indications, template.refers, None);
        if let Some(rest) = extension.get(MANDATORY..).filter(|rest| !rest.is_empty()) {
            let mut bits = Bits::new(rest);
            let flags = bits.take(5)?;
            if flags & 0x10 != 0 {
                Self::read(&mut bits)?;
                active = Some(u32::MAX);
            }
            if flags & 0x08 != 0 {
                active = Some(self.mask(&mut bits)?);
            }
            if flags & 0x04 != 0 {
                indications = 0;
                for target in 0..self.targets.len() {
                    indications |= u64::from(bits.take(2)?) << (2 * target);
                }
            }
            if flags & 0x02 != 0 {
                refers = false;
                loop {
                    let size = usize::from(bits.take(2)?);
                    if size == 0 {
                        break;
                    }
                    bits.skip(4 * size)?;
                    refers = true;
                }
            }
            if flags & 0x01 != 0 {
                bits.skip(8 * usize::from(self.chains))?;
            }
        }
        let layer = template.layer;
        let switches_to = self.switches_to(layer.spatial, indications);
        Some(Frame { layer, switches_to, refers, top: active.and_then(|active| self.top(active)) })
    }

    fn mask(&self, bits: &mut Bits<'_>) -> Option<u32> {
        let mut mask = 0;
        for _ in &self.targets {
            mask = mask << 1 | u32::from(bits.take(1)?);
        }
        Some(mask)
    }

    /// The highest spatial layer of the decode targets that are active, one bit each, the first in the lowest.
    fn top(&self, active: u32) -> Option<u8> {
        let targets = self.targets.iter().enumerate();
        targets.filter(|(target, _)| active >> target & 1 == 1).map(|(_, layer)| layer.spatial).max()
    }

    fn switches_to(&self, spatial: u8, indications: u64) -> u8 {
        let targets = self.targets.iter().enumerate().filter(|(_, layer)| layer.spatial == spatial);
        let switches = targets.filter(|(target, _)| indication(indications, *target) == SWITCH);
        switches.fold(0, |mask, (_, layer)| mask | 1 << layer.temporal)
    }
}

fn indication(indications: u64, target: usize) -> u8 {
    (indications >> (2 * target)).to_le_bytes().first().map_or(NOT_PRESENT, |low| low & 3)
}

/// The highest layers of a decode target: those of all templates that are part of it.
fn highest(templates: &[Template], target: usize) -> Layer {
    let present = templates.iter().filter(|template| indication(template.indications, target) != NOT_PRESENT);
    present.fold(Layer::default(), |highest, template| Layer {
        spatial: highest.spatial.max(template.layer.spatial),
        temporal: highest.temporal.max(template.layer.temporal),
    })
}

/// Templates with their layers: each is followed by how the next differs; 3 says that there is none.
fn read_layers(bits: &mut Bits<'_>) -> Option<Vec<Template>> {
    let (mut templates, mut layer) = (Vec::new(), Layer::default());
    loop {
        if templates.len() == MOST_TEMPLATES || layer.spatial >= MOST_LAYERS || layer.temporal >= MOST_LAYERS
        {
            return None;
        }
        templates.push(Template { layer, ..Template::default() });
        match bits.take(2)? {
            0 => {}
            1 => layer.temporal += 1,
            2 => layer = Layer { spatial: layer.spatial + 1, temporal: 0 },
            _ => return Some(templates),
        }
    }
}

#[cfg(test)]
#[path = "templates_tests.rs"]
mod tests;
