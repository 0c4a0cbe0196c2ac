//! Control plane: who is where, and what that means for the workers.

pub mod event;
mod quality;
mod speakers;
mod participant;
mod encodings;
mod plan;
mod stream;
mod viewers;
pub mod watching;
pub mod resource;
pub mod room;
mod settling;
mod telling;
mod requests;
pub mod report;
pub mod history;
pub mod outbox;
pub mod directory;
pub mod control;
#[cfg(test)]
mod tests;

pub use self::viewers::WatchError;
