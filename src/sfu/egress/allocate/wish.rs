//! What a subscriber makes of what it gets.

/// What a subscriber makes of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The height at which it is shown, in device pixels. 0 stands for as large as it is.
    pub height: u16,
    /// The most frames per second that are of use. 0 stands for all.
    pub fps: u8,
    /// How important it is: 0 least, 1 as the others, more is more.
    pub priority: u8,
    /// Whether it is a screen: these come before cameras of the same priority.
    pub screen: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self { height: 0, fps: 0, priority: 1, screen: false }
    }
}

impl Wish {
    /// In which order tracks get their lowest layer.
    pub(super) fn rank(self) -> u16 {
        2 * u16::from(self.priority) + u16::from(self.screen && self.priority > 0)
    }

    /// How much a gain counts.
    pub(super) fn weight(self) -> u64 {
        let weight = (4 * u64::from(self.priority)).max(1);
        if self.screen { 2 * weight } else { weight }
    }
}
