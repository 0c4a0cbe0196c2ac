//! One stream, from its first frame to its end.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::counters::{Count, StreamCounters};
use super::mark::StreamId;
use super::outgoing::{self, Waiting};
use super::{Carries, Choose, Ends, LONGEST, StreamIn, What};
use crate::wire::framing::Frames;

/// How long a stream may be of no use: its client has not proved yet who it is, or has given up its allocation.
const OF_NO_USE: Duration = Duration::from_secs(30);

/// How long a client of use may be silent. It refreshes its permissions every five minutes (RFC 8656 section 9), and checks
/// the path of a session every few seconds.
const SILENT: Duration = Duration::from_secs(360);

/// A reader that took nothing for so long is gone.
const STALLED: Duration = Duration::from_secs(10);

/// How much is read at once, in bytes.
const READ: usize = 16 << 10;

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By its client, by its worker, or by the network.
    Closed,
    Unknown,
    Malformed,
    Idle,
    Stalled,
}

/// What is needed to carry a stream.
pub(super) struct Connection {
    pub(super) id: StreamId,
    pub(super) carries: Carries,
    pub(super) ends: Ends,
    pub(super) choose: Choose,
    pub(super) counters: Arc<StreamCounters>,
}

/// A reader of frames.
struct Frame<R> {
    stream: R,
    frames: Frames,
    arena: Vec<u8>,
    /// What of the arena was read and not yet looked at.
    unread: std::ops::Range<usize>,
}

impl<R: AsyncRead + Unpin> Frame<R> {
    /// The next frame. What was read is not lost when this future is dropped.
    async fn next(&mut self, counters: &StreamCounters) -> Result<Box<[u8]>, End> {
        loop {
            match self.frames.take() {
                Ok(Some(frame)) => {
                    counters.frames_in.add(1);
                    return Ok(frame.into());
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "a stream cannot be read on");
                    return Err(End::Malformed);
                }
            }
            if self.unread.is_empty() {
                let count = self.stream.read(&mut self.arena).await.map_err(|_| End::Closed)?;
                if count == 0 {
                    return Err(End::Closed);
                }
                counters.bytes_in.add(count as u64);
                self.unread = 0..count;
            }
            let unread = self.arena.get(self.unread.clone()).unwrap_or(&[]);
            self.unread.start += self.frames.push(unread);
        }
    }
}

impl Connection {
    /// Carries the stream until it ends.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) {
        let end = self.carry(stream).await;
        tracing::debug!(peer = %self.ends.peer, carries = ?self.carries, ?end, "a stream ended");
        if let Some(count) = self.count_of(end) {
            count.add(1);
        }
    }

    fn count_of(&self, end: End) -> Option<&Count> {
        match end {
            End::Closed => None,
            End::Unknown => Some(&self.counters.unknown),
            End::Malformed => Some(&self.counters.malformed),
            End::Idle => Some(&self.counters.idle),
            End::Stalled => Some(&self.counters.stalled),
        }
    }

    async fn carry<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> End {
        let (read, write) = tokio::io::split(stream);
        let frames = Frames::new(self.carries.framing(), LONGEST);
        let mut reader = Frame { stream: read, frames, arena: vec![0; READ], unread: 0..0 };
        let first = match timeout(OF_NO_USE, reader.next(&self.counters)).await {
            Ok(Ok(first)) => first,
            Ok(Err(end)) => return end,
            Err(_) => return End::Idle,
        };
        let Some(inbox) = (self.choose)(self.carries, &first) else { return End::Unknown };
        let (out, waiting) = outgoing::channel(self.carries);
        let opened = What::Opened { carries: self.carries, ends: self.ends, out };
        if self.tell(&inbox, opened).await.is_err() {
            return End::Closed;
        }
        let end = tokio::select! {
            end = self.read(reader, first, &inbox, &waiting) => end,
            end = self.write(write, &waiting) => end,
        };
        // The worker ends what it has of the stream, whoever closed it.
        let _ = self.tell(&inbox, What::Closed).await;
        self.counters.gone.add(waiting.clear());
        end
    }

    /// Where the worker is behind, its streams wait, and TCP lets their clients wait.
    fn tell<'a>(
        &self,
        inbox: &'a mpsc::Sender<StreamIn>,
        what: What,
    ) -> impl Future<Output = Result<(), mpsc::error::SendError<StreamIn>>> + use<'a> {
        inbox.send(StreamIn { id: self.id, what })
    }

    async fn read<R: AsyncRead + Unpin>(
        &self,
        mut reader: Frame<R>,
        first: Box<[u8]>,
        inbox: &mpsc::Sender<StreamIn>,
        waiting: &Waiting,
    ) -> End {
        let (mut frame, mut heard, mut of_use) = (first, Instant::now(), Instant::now());
        loop {
            if self.tell(inbox, What::Frame(frame)).await.is_err() {
                return End::Closed;
            }
            frame = loop {
                let was_admitted = waiting.is_admitted();
                let now = Instant::now();
                if was_admitted {
                    of_use = now;
                }
                let until = if was_admitted { heard + SILENT } else { of_use + OF_NO_USE };
                if now >= until {
                    return End::Idle;
                }
                // Whoever is late may have become of use, or of no use, meanwhile.
                if let Ok(next) = timeout_at(until, reader.next(&self.counters)).await {
                    match next {
                        Ok(frame) => break frame,
                        Err(end) => return end,
                    }
                }
            };
            heard = Instant::now();
        }
    }

    async fn write<W: AsyncWrite + Unpin>(&self, mut stream: W, waiting: &Waiting) -> End {
        let mut batch = Vec::new();
        loop {
            batch.clear();
            let taken = waiting.take(std::time::Instant::now(), &mut batch);
            self.counters.late.add(taken.late);
            self.counters.overflow.add(taken.overflow);
            if batch.is_empty() {
                if taken.is_closed {
                    let _ = timeout(STALLED, stream.shutdown()).await;
                    return End::Closed;
                }
                waiting.filled().await;
                continue;
            }
            match timeout(STALLED, write_all(&mut stream, &batch)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::Closed,
                Err(_) => return End::Stalled,
            }
            self.counters.frames_out.add(taken.frames);
            self.counters.bytes_out.add(batch.len() as u64);
        }
    }
}

async fn write_all<W: AsyncWrite + Unpin>(stream: &mut W, batch: &[u8]) -> io::Result<()> {
    stream.write_all(batch).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests;
