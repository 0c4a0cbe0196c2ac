//! Which layer of its encoding a packet is of.

/// What forwarding needs to know of a packet's layer. An encoding without layers has one, 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerFacts {
    /// The spatial layer, 0 to 7.
    pub spatial: u8,
    /// The temporal layer, 0 to 7.
    pub temporal: u8,
    /// The highest spatial layer that the source sends now.
    pub top: u8,
    /// The packet is the first of its layer's frame.
    pub begins: bool,
    /// The packet is the last of its layer's frame.
    pub ends: bool,
    /// The temporal layers, one bit each, that a receiver of this spatial layer who gets this frame can take up behind it.
    pub switches_to: u8,
    /// Whoever gets the lowest temporal layer can begin with the frame's own temporal layer here.
    pub sync: bool,
}
