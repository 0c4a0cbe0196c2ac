//! Deciding what each subscriber gets of each packet, without touching the packet. Knows no str0m, no sockets.

pub mod packet;
pub mod ladder;
pub mod layer;
mod reader;
pub mod target;
mod cut;
mod encoding;
pub mod habits;
pub mod history;
pub mod group;
pub mod histories;
mod stretch;
mod used;
pub mod rewrite;
pub mod subscription;
pub mod keyframe;
pub mod level;
pub mod gate;
pub mod track;
