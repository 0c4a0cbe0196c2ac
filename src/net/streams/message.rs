//! What streams tell their workers.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::kind::Carries;
use super::mark::StreamId;
use super::outgoing::StreamOut;

/// Both ends of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The client's address.
    pub peer: SocketAddr,
    /// The address of this machine that it connected to.
    pub local: SocketAddr,
}

/// What a stream tells the worker that has it.
#[derive(Debug)]
pub struct StreamIn {
    /// Which stream.
    pub id: StreamId,
    /// What happened.
    pub what: What,
}

/// See [`StreamIn`].
#[derive(Debug)]
pub enum What {
    /// It is there, and its first frame follows.
    Opened {
        /// What it carries.
        carries: Carries,
        /// Its ends.
        ends: Ends,
        /// What is to go to its client. Dropping it closes the stream.
        out: StreamOut,
    },
    /// A message, without its framing.
    Frame(Box<[u8]>),
    /// It is gone.
    Closed,
}

/// Chooses the worker of a stream by what it carries and by its first frame: the queue into which it speaks. `None` closes
/// the stream: nobody here knows what it is for.
pub type Choose = Arc<dyn Fn(Carries, &[u8]) -> Option<mpsc::Sender<StreamIn>> + Send + Sync>;
