//! Units. Each is a type of its own, so that bytes can never be taken for packets or for milliseconds.

/// An amount of memory in bytes, as the operating system takes it for socket buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u32);

impl ByteSize {
    /// The amount as the standard library counts memory.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}
