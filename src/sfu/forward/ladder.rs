//! What a video track can be received as: its encodings, and the layers inside them.

use super::packet::EncodingIndex;
use crate::units::Bitrate;

/// One way to receive a video track: an encoding, and the highest layers of it that are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Selection {
    /// The encoding.
    pub encoding: EncodingIndex,
    /// The highest spatial layer that is forwarded, from 0. 0 for an encoding without any.
    pub spatial: u8,
    /// The highest temporal layer that is forwarded, from 0. 0 for an encoding without any.
    pub temporal: u8,
}

/// A selection, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// What is forwarded.
    pub selection: Selection,
    /// What it costs: RTP payload of all forwarded layers, averaged over about a second.
    pub bitrate: Bitrate,
    /// The picture's height in pixels; 0 while it is not known.
    pub height: u16,
    /// Frames per second; 0 while it is not known.
    pub fps: u8,
}

/// All ways to receive a video track now, the worst picture first. Encodings that stopped are not among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ladder {
    /// The ways: each is a better picture than the one before it, and costs more as a rule.
    pub rungs: Vec<Rung>,
}
