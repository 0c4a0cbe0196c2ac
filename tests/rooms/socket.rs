//! A WebSocket client by hand (RFC 6455), which can also do what no library would.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::PATIENCE;

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// An open WebSocket.
pub(crate) struct Socket {
    stream: TcpStream,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Pong(Vec<u8>),
    /// A close frame with this code.
    Close(Option<u16>),
    /// The connection ended without one.
    Cut,
}

impl Socket {
    /// Connects with additional header lines.
    pub(crate) async fn connect(server: SocketAddr, headers: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        Self::connect_by(socket, server, headers).await
    }

    /// One whose system takes little more in than it reads.
    pub(crate) async fn connect_narrow(server: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a size");
        Self::connect_by(socket, server, "").await
    }

    async fn connect_by(socket: TcpSocket, server: SocketAddr, headers: &str) -> Self {
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let mut stream = socket.connect(server).await.expect("the server listens");
        let host = if headers.contains("Host:") { String::new() } else { format!("Host: {server}\r\n") };
        let request = format!(
            "GET /ws HTTP/1.1\r\n{host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("it answers"));
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // The example of RFC 6455 section 1.3.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Self { stream }
    }

    /// Writes a frame. Its mask is of zeros, which leave the payload as it is.
    ///
    /// # Errors
    /// When the server has ended the connection.
    pub(crate) async fn write(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ ..126 => frame.push(0x80 | u8::try_from(length).expect("short")),
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        timeout(PATIENCE, self.stream.write_all(&frame)).await.expect("the server reads")
    }

    /// Writes bytes as they are.
    pub(crate) async fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the server reads")
    }

    pub(crate) async fn close(&mut self, code: Option<u16>) {
        let payload = code.map(u16::to_be_bytes);
        self.write(CLOSE, payload.as_ref().map_or(&[], |code| code)).await.expect("it is open");
    }

    /// Waits for the next frame; answers pings.
    pub(crate) async fn read(&mut self) -> Frame {
        loop {
            let frame = timeout(PATIENCE, self.read_frame()).await.expect("no frame comes, and no end");
            let Ok((opcode, payload)) = frame else { return Frame::Cut };
            match opcode {
                TEXT => return Frame::Text(String::from_utf8(payload).expect("UTF-8")),
                PING => drop(self.write(PONG, &payload).await),
                PONG => return Frame::Pong(payload),
                CLOSE => return Frame::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
                other => panic!("a frame of kind {other}"),
            }
        }
    }

    /// Waits for a ping and does not answer it. `false` when the connection ends before.
    pub(crate) async fn hear_ping(&mut self) -> bool {
        loop {
            let frame = timeout(PATIENCE, self.read_frame()).await.expect("no ping comes, and no end");
            let Ok((opcode, _)) = frame else { return false };
            if opcode == PING {
                return true;
            }
        }
    }

    async fn read_frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await?;
        assert_eq!(first & 0xf0, 0x80, "this server writes each message as one frame");
        let length = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).expect("it fits")];
        self.stream.read_exact(&mut payload).await?;
        Ok((first & 0x0f, payload))
    }

    /// Ends the connection as a machine does that forgot it: by a TCP reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    }
}
