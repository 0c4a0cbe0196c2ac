//! The control plane: who is where, and what that means for the workers.

pub mod room;
pub mod directory;
pub mod control;
