//! Reads which layers an encoding's packets are of, whatever tells.

use super::layer::LayerFacts;
use super::packet::Packet;
use crate::units::Codec;
use crate::wire::templates::{MOST_LAYERS, Templates};
use crate::wire::{h26x, sps, vp9};

/// Reads the layers of an encoding's packets. Remembers what only key frames tell.
#[derive(Debug, Default)]
pub(super) struct LayerReader {
    /// The structure in use and the one before it, for packets that come late.
    templates: [Option<Box<Templates>>; 2],
    top: u8,
    /// The heights of the spatial layers in pixels; 0 where not known.
    pub(super) heights: [u16; MOST_LAYERS as usize],
}

impl LayerReader {
    /// Tells a packet's layer, and whether a decoder can begin with the packet. A dependency descriptor decides alone, where
    /// there is one: then the payload may be encrypted.
    pub(super) fn read(&mut self, packet: &Packet) -> (LayerFacts, bool) {
        if packet.payload.is_empty() {
            return (LayerFacts::default(), false);
        }
        if packet.dependency.is_some()
            && let Some(told) = self.described(packet)
        {
            return told;
        }
        match packet.format.codec {
            Codec::Vp8 => (self.vp8(packet), packet.entry),
            Codec::Vp9 => (self.vp9(packet), packet.entry),
            Codec::H264 if packet.entry => {
                let parameters = h26x::h264_parameters(&packet.payload);
                self.heights[0] = parameters.and_then(sps::height).unwrap_or(self.heights[0]);
                (LayerFacts { ends: packet.marker, ..LayerFacts::default() }, true)
            }
            _ => (LayerFacts { ends: packet.marker, ..LayerFacts::default() }, packet.entry),
        }
    }

    fn described(&mut self, packet: &Packet) -> Option<(LayerFacts, bool)> {
        let descriptor = packet.dependency?;
        let extension = packet.extensions.dependency_descriptor.as_deref()?;
        if descriptor.structure.is_some()
            && let Some(new) = Templates::parse(extension)
            && self.templates[0].as_deref() != Some(&new)
        {
            self.heights = new.heights;
            self.templates.swap(0, 1);
            self.templates[0] = Some(Box::new(new));
        }
        let frame = self.templates.iter().flatten().find_map(|templates| templates.frame(extension))?;
        self.top = frame.top.unwrap_or(self.top);
        let facts = LayerFacts {
            spatial: frame.layer.spatial,
            temporal: frame.layer.temporal,
            top: self.top,
            begins: descriptor.start_of_frame,
            ends: descriptor.end_of_frame,
            switches_to: frame.switches_to,
            sync: false,
        };
        let entry = descriptor.start_of_frame && descriptor.structure.is_some() && !frame.refers;
        Some((facts, entry))
    }

    fn vp8(&mut self, packet: &Packet) -> LayerFacts {
        let Some(vp8) = packet.vp8 else { return LayerFacts::default() };
        if let Some(height) = vp8.height {
            self.heights[0] = height;
        }
        LayerFacts {
            temporal: vp8.temporal,
            begins: vp8.begins_frame,
            ends: packet.marker,
            sync: vp8.sync,
            ..LayerFacts::default()
        }
    }

    fn vp9(&mut self, packet: &Packet) -> LayerFacts {
        let Some(vp9) = vp9::Descriptor::parse(&packet.payload) else { return LayerFacts::default() };
        if let Some(structure) = vp9.structure {
            self.heights = structure.heights;
            self.top = structure.spatial_layers.saturating_sub(1);
        }
        let layer = vp9.layer.unwrap_or_default();
        LayerFacts {
            spatial: layer.spatial,
            temporal: layer.temporal,
            top: self.top,
            begins: vp9.begins_frame,
            ends: vp9.ends_frame,
            // All layers above this one.
            switches_to: if layer.switching_up_point { (0xfe_u8) << layer.temporal } else { 0 },
            sync: false,
        }
    }
}
