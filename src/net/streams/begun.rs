//! A connection of which something was read already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::opening::{self, ENOUGH, Opening};

/// A connection whose first bytes were read to see what it is for, and are read again by whoever gets it.
#[derive(Debug)]
pub struct Begun<S> {
    first: [u8; ENOUGH],
    /// Where in `first` the bytes are that are to be read again.
    from: u8,
    to: u8,
    stream: S,
}

impl<S: AsyncRead + Unpin> Begun<S> {
    /// A connection of which nothing was read.
    pub fn new(stream: S) -> Self {
        Self { first: [0; ENOUGH], from: 0, to: 0, stream }
    }

    /// Reads until it is clear what the connection is for.
    ///
    /// # Errors
    /// The stream's, and when it ends before that.
    pub async fn tell(&mut self) -> io::Result<Opening> {
        loop {
            let read = usize::from(self.to);
            if let Some(opening) = opening::tell(self.first.get(..read).unwrap_or(&[])) {
                return Ok(opening);
            }
            let Some(room) = self.first.get_mut(read..) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            let more = self.stream.read(room).await?;
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.to = u8::try_from(read + more).unwrap_or(0);
        }
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    fn unread(&self) -> &[u8] {
        self.first.get(usize::from(self.from)..usize::from(self.to)).unwrap_or(&[])
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let unread = this.unread();
        if unread.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let count = unread.len().min(buffer.remaining());
        buffer.put_slice(unread.get(..count).unwrap_or(&[]));
        this.from += u8::try_from(count).unwrap_or(0);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn what_was_read_to_tell_is_read_again() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut begun = Begun::new(server);
        client.write_all(&[0, 0x14, 0, 1, 0, 0, 0x21]).await.unwrap();
        client.write_all(&[0x12, 0xA4, 0x42, 7, 8]).await.unwrap();
        assert_eq!(begun.tell().await.unwrap(), Opening::Ice);
        drop(client);
        let mut all = Vec::new();
        begun.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, [0, 0x14, 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 7, 8]);
    }

    #[tokio::test]
    async fn a_connection_that_ends_early_is_for_nothing() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(&[0, 1]).await.unwrap();
        drop(client);
        assert!(Begun::new(server).tell().await.is_err());
    }
}
