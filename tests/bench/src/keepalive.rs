//! The least that asks an HTTP/1.1 server again and again on one connection: no client library costs less.

use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::arrival;

/// No answer's head is longer.
const MAX_HEAD_BYTES: usize = 8 << 10;

/// Request with the headers that a browser sends along with hls.js.
pub fn request(host: SocketAddr, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
         Accept: */*\r\nOrigin: http://player.example\r\nReferer: http://player.example/\r\n\
         Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\n\r\n"
    )
    .into_bytes()
}

/// Needed parts of an answer's head.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    pub length: usize,
    /// Offset at which the body begins.
    pub end: usize,
}

impl Head {
    /// Parses a head; `None` while it has not come as a whole.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&bytes[..end])?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let (Some(status), Some(length)) = (status, length) else {
            bail!("not an answer with a length: {text}")
        };
        Ok(Some(Self { status, length, end: end + 4 }))
    }
}

pub struct Connection {
    socket: TcpStream,
    /// Read and not yet used up: an answer's head, and as much of its body as came along.
    buffer: Box<[u8]>,
    filled: usize,
    clock: Clock,
}

/// Whether it is to be known when answers come.
#[derive(Clone, Copy)]
enum Clock {
    Off,
    /// When the last bytes came, where the kernel has said it.
    Last(Option<SystemTime>),
}

impl Connection {
    /// With room for so many bytes of an answer at a time.
    pub async fn open(address: SocketAddr, room: usize) -> Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let buffer = vec![0; room.max(MAX_HEAD_BYTES)].into();
        Ok(Self { socket, buffer, filled: 0, clock: Clock::Off })
    }

    /// Notes when answers come, by the kernel's clock.
    pub fn clocked(self) -> Result<Self> {
        arrival::note(self.socket.as_fd())?;
        Ok(Self { clock: Clock::Last(None), ..self })
    }

    /// When the end of the last answer came.
    pub fn came(&self) -> Option<SystemTime> {
        match self.clock {
            Clock::Off => None,
            Clock::Last(time) => time,
        }
    }

    /// Asks, and hands the body over in pieces as they come.
    pub async fn get(&mut self, request: &[u8], mut take: impl FnMut(&[u8])) -> Result<Head> {
        self.socket.write_all(request).await?;
        let head = self.head().await?;
        let whole = head.end + head.length;
        ensure!(self.filled <= whole, "more bytes than the answer has");
        take(&self.buffer[head.end..self.filled]);
        let mut left = whole - self.filled;
        while left > 0 {
            let room = left.min(self.buffer.len());
            let read = self.read(0, room).await?;
            ensure!(read > 0, "closed in the middle of an answer");
            take(&self.buffer[..read]);
            left -= read;
        }
        self.filled = 0;
        Ok(head)
    }

    async fn head(&mut self) -> Result<Head> {
        loop {
            let read = self.read(self.filled, self.buffer.len()).await.context("no answer")?;
            ensure!(read > 0, "closed before an answer");
            self.filled += read;
            if let Some(head) = Head::parse(&self.buffer[..self.filled])? {
                return Ok(head);
            }
            ensure!(self.filled < self.buffer.len(), "a head without an end");
        }
    }
}

impl Connection {
    /// Into this part of the buffer.
    async fn read(&mut self, from: usize, to: usize) -> Result<usize> {
        let Self { socket, buffer, clock, .. } = self;
        let room = &mut buffer[from..to];
        match clock {
            Clock::Off => Ok(socket.read(room).await?),
            Clock::Last(time) => {
                let receive = || arrival::receive(socket.as_fd(), room);
                let (read, came) = socket.async_io(Interest::READABLE, receive).await?;
                *time = came;
                Ok(read)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_parsed_once_it_is_whole() {
        let text = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 17\r\nx: y\r\n\r\nbody";
        let head = Head { status: 206, length: 17, end: text.len() - 4 };
        assert_eq!(Head::parse(text).unwrap(), Some(head));
        assert_eq!(Head::parse(&text[..text.len() - 5]).unwrap(), None);
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Head::parse(b"nonsense\r\n\r\n").is_err());
    }
}
