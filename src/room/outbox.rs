//! The queue in front of a participant's WebSocket, bounded in texts and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::ids::{ParticipantId, RoomName, SocketId};

/// How many texts wait for a client that reads slowly. A room of hundreds causes a few dozen a second.
const MOST_TEXTS: usize = 512;
/// With more than so many bytes waiting, nothing is added: as much as waits for a data channel. One text of any length
/// fits behind that.
const MOST_BYTES: usize = 1024 * 1024;

/// Whose WebSocket it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The room.
    pub room: RoomName,
    /// The participant.
    pub participant: ParticipantId,
    /// The WebSocket, to tell it from the participant's earlier ones.
    pub socket: SocketId,
}

/// The way to a participant's WebSocket. Dropping it closes the WebSocket; what was sent before still arrives.
#[derive(Debug)]
pub struct Outbox {
    /// Whose it is.
    pub seat: Seat,
    sender: Sender<Arc<str>>,
    bytes: Arc<AtomicUsize>,
}

/// The texts of an [`Outbox`], on their way into the WebSocket.
#[derive(Debug)]
pub struct Texts {
    receiver: Receiver<Arc<str>>,
    bytes: Arc<AtomicUsize>,
}

impl Outbox {
    /// A new queue, and its other end.
    #[must_use]
    pub fn new(seat: Seat) -> (Self, Texts) {
        let (sender, receiver) = channel(MOST_TEXTS);
        let bytes = Arc::new(AtomicUsize::new(0));
        (Self { seat, sender, bytes: bytes.clone() }, Texts { receiver, bytes })
    }

    /// Adds a text. `false` when too much waits already, or when the WebSocket is gone.
    #[must_use]
    pub fn put(&self, text: Arc<str>) -> bool {
        let length = text.len();
        if self.bytes.fetch_add(length, Ordering::Relaxed) <= MOST_BYTES && self.sender.try_send(text).is_ok()
        {
            return true;
        }
        self.bytes.fetch_sub(length, Ordering::Relaxed);
        false
    }

    /// Adds the last text of all, once there is a place for it.
    pub async fn put_last(self, text: Arc<str>) {
        self.bytes.fetch_add(text.len(), Ordering::Relaxed);
        // Where the WebSocket is gone, nobody is left to read it.
        let _ = self.sender.send(text).await;
    }
}

impl Texts {
    /// The next text. `None` once the outbox was dropped and all is through.
    pub async fn next(&mut self) -> Option<Arc<str>> {
        let text = self.receiver.recv().await?;
        self.bytes.fetch_sub(text.len(), Ordering::Relaxed);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> (Outbox, Texts) {
        let room = "team".parse().expect("a name");
        Outbox::new(Seat { room, participant: ParticipantId(1), socket: SocketId(1) })
    }

    #[tokio::test]
    async fn long_texts_fill_it_as_many_texts_do_and_reading_makes_room() {
        let (short, _texts) = outbox();
        assert_eq!((0..1_000).filter(|_| short.put(Arc::from("{}"))).count(), MOST_TEXTS);

        let (long, mut texts) = outbox();
        let text: Arc<str> = Arc::from("x".repeat(MOST_BYTES / 4));
        let fit = (0..100).filter(|_| long.put(text.clone())).count();
        assert_eq!(fit, 5, "a mebibyte, and one text behind it");
        assert!(!long.put(Arc::from("{}")));
        assert!(texts.next().await.is_some());
        assert!(long.put(text));
    }
}
