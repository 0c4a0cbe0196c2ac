//! The control plane: who is where, and what that means for the workers.

pub mod control;
pub mod directory;
pub mod room;
