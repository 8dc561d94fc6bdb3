//! RTMP connection of a publisher.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use headwater_rtmp::{ClientEvent, ClientSession, Metadata};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::Load;
use super::schedule::Schedule;
use crate::bench::recording::{Tag, Track};
use crate::target::Target;

/// How long the server may take to answer, a connection included. A proxy asks several transcode servers if need be.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may take nothing.
const STALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the server may take to take the rest.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection ended too soon.
pub enum Failed {
    /// The server won't have this publisher, and says why.
    Rejected { code: String, description: String },
    /// The server ended what it had accepted.
    Closed { code: String, description: String },
    /// There is no connection (any more).
    Broken(String),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.kind().to_string())
    }
}

impl From<headwater_rtmp::RtmpError> for Failed {
    fn from(error: headwater_rtmp::RtmpError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// A connection that the server has accepted for publishing.
pub struct Connection {
    socket: TcpStream,
    session: ClientSession,
    /// The server says little.
    heard: [u8; 1024],
}

impl Connection {
    /// Connects to the target, and waits until the server accepts the publisher.
    pub async fn open(target: &Target) -> Result<Self, Failed> {
        let opened = timeout(ACCEPT_TIMEOUT, Self::wait_for_acceptance(target)).await;
        opened.unwrap_or_else(|_| Err(Failed::Broken("the server did not answer".into())))
    }

    async fn wait_for_acceptance(target: &Target) -> Result<Self, Failed> {
        let socket = TcpStream::connect((target.host.trim_matches(['[', ']']), target.port)).await?;
        socket.set_nodelay(true)?;
        let session = ClientSession::new(target.session_config())?;
        let mut connection = Self { socket, session, heard: [0; 1024] };
        loop {
            connection.flush_output().await?;
            if connection.session.is_publishing() {
                return Ok(connection);
            }
            connection.wait_for_end().await?;
        }
    }

    /// Sends the recording until its end, or until all stop.
    pub async fn send_recording(&mut self, load: &Load) -> Result<(), Failed> {
        let mut schedule = Schedule::new(&load.recording, load.looped);
        let began = Instant::now();
        self.announce_stream(load)?;
        while let Some(due) = schedule.next_due() {
            tokio::select! {
                () = sleep_until(began + due) => {}
                heard = self.wait_for_end() => {
                    heard?;
                    self.flush_output().await?;
                    continue;
                }
                () = load.stop.cancelled() => break,
            }
            let mut tags = 0;
            let mut media = 0;
            while let Some((timestamp, tag)) = schedule.take_due(began.elapsed()) {
                self.push_tag(timestamp, tag)?;
                tags += 1;
                media += tag.payload.len() as u64;
            }
            let bytes = self.flush_output().await?;
            load.counts.count_sent(tags, media, bytes, began.elapsed().saturating_sub(due));
        }
        Ok(())
    }

    /// Ends the stream. The server has everything when this succeeds.
    pub async fn end_stream(mut self) -> Result<(), Failed> {
        let goodbye = async {
            self.session.finish()?;
            self.flush_output().await?;
            self.socket.shutdown().await?;
            // It closes its side when it has read to the end.
            while self.socket.read(&mut self.heard).await? > 0 {}
            Ok(())
        };
        let said = timeout(FINISH_TIMEOUT, goodbye).await;
        said.unwrap_or_else(|_| Err(Failed::Broken("the server did not take the end".into())))
    }

    fn announce_stream(&mut self, load: &Load) -> Result<(), Failed> {
        let video = load.recording.video;
        let audio = load.recording.audio;
        let encoder = Some(concat!("headwater bench ", env!("CARGO_PKG_VERSION")).into());
        self.session.metadata(&Metadata { video, audio, encoder, ..Metadata::default() })?;
        load.recording.headers.iter().try_for_each(|tag| self.push_tag(0, tag))
    }

    fn push_tag(&mut self, timestamp: u32, tag: &Tag) -> Result<(), Failed> {
        let payload = tag.payload.clone();
        let sent = match tag.track {
            Track::Video => self.session.video(timestamp, payload),
            Track::Audio => self.session.audio(timestamp, payload),
        };
        Ok(sent?)
    }

    /// Waits for a word from the server, and fails when it was the last one. Nothing is lost when it is cancelled;
    /// [`flush_output`](Self::flush_output) comes after it.
    async fn wait_for_end(&mut self) -> Result<(), Failed> {
        let count = self.socket.read(&mut self.heard).await?;
        if count == 0 {
            return Err(Failed::Broken("the server closed the connection".into()));
        }
        self.session.handle_input(Bytes::copy_from_slice(&self.heard[..count]))?;
        while let Some(event) = self.session.poll_event() {
            match event {
                // One that is to move away may stay until it is sent away: that is counted as what it is, a loss.
                ClientEvent::Connected | ClientEvent::Accepted | ClientEvent::ReconnectRequested { .. } => {}
                ClientEvent::Rejected { code, description } => {
                    return Err(Failed::Rejected { code, description });
                }
                ClientEvent::Closed { code, description } => {
                    return Err(Failed::Closed { code, description });
                }
            }
        }
        Ok(())
    }

    /// Writes what there is to send, and says how many bytes it was.
    async fn flush_output(&mut self) -> Result<u64, Failed> {
        let mut written = 0;
        while let Some(bytes) = self.session.poll_output() {
            let write = timeout(STALL_TIMEOUT, self.socket.write_all(&bytes)).await;
            write.map_err(|_| Failed::Broken("the server takes nothing".into()))??;
            written += bytes.len() as u64;
        }
        Ok(written)
    }
}
