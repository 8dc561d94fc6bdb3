//! An encoder that follows a request to connect again, which neither ffmpeg nor GStreamer can (Enhanced RTMP v2,
//! § "Reconnect Request"). It sends a file at its own pace.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use headwater_rtmp::{ClientConfig, ClientEvent, ClientSession};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a proxy may take to accept, and to take the end of a stream.
const ANSWER: Duration = Duration::from_secs(15);
/// FLV 10.1 §E.3, §E.4.1: the file's header with the first back pointer, and the header of a tag.
const FILE_HEADER: usize = 13;
const TAG_HEADER: usize = 11;
const BACK_POINTER: usize = 4;

/// First action of an encoder that is asked to connect again. Either way it changes at a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// It ends the old stream, and sends what has come meanwhile when it is accepted.
    Leaves,
    /// It connects anew, and sends to the old proxy until it is accepted and the next keyframe comes.
    Connects,
}

/// Publishes the file to the first of these proxies, and on being asked to the next one. Gives how many pictures each
/// was sent.
pub async fn publish(file: &Path, proxies: &[String], stream: &str, first: First) -> Result<Vec<usize>> {
    let tags = tags(&std::fs::read(file)?.into())?;
    let mut proxies = proxies.iter();
    let mut next = || proxies.next().context("it was asked to connect again once too often");
    let mut connection = Connection::open(next()?, stream, &tags).await?;
    let mut successor = None;
    let mut pictures = vec![0];
    let began = Instant::now();
    for tag in tags.iter().filter(|tag| !tag.is_header()) {
        connection.wait(began + Duration::from_millis(tag.time.into())).await?;
        if connection.is_asked && tag.is_keyframe() {
            match first {
                First::Leaves => {
                    connection.finish().await?;
                    connection = Connection::open(next()?, stream, &tags).await?;
                    pictures.push(0);
                }
                First::Connects if successor.is_none() => {
                    let proxy = next()?.clone();
                    let stream = stream.to_owned();
                    let tags = tags.clone();
                    successor =
                        Some(tokio::spawn(async move { Connection::open(&proxy, &stream, &tags).await }));
                }
                First::Connects => {}
            }
            if let Some(accepted) = successor.take_if(|task| task.is_finished()) {
                std::mem::replace(&mut connection, accepted.await??).finish().await?;
                pictures.push(0);
            }
        }
        connection.send(tag).await?;
        *pictures.last_mut().context("it has a connection")? += usize::from(tag.kind == VIDEO);
    }
    ensure!(successor.is_none(), "the source was too short for the change");
    connection.finish().await?;
    Ok(pictures)
}

/// A connection that the proxy has accepted.
struct Connection {
    socket: TcpStream,
    session: ClientSession,
    /// Whether it is to connect again.
    is_asked: bool,
    /// A proxy says little.
    heard: [u8; 1024],
}

impl Connection {
    /// Sends the headers, too.
    async fn open(proxy: &str, stream: &str, tags: &[Tag]) -> Result<Self> {
        let opened = async {
            let config = ClientConfig {
                reconnects: true,
                ..ClientConfig::new("live", format!("rtmp://{proxy}/live"), stream)
            };
            let socket = TcpStream::connect(proxy).await?;
            let session = ClientSession::new(config)?;
            let mut connection = Self { socket, session, is_asked: false, heard: [0; 1024] };
            connection.flush().await?;
            while !connection.session.is_publishing() {
                connection.listen().await?;
            }
            for tag in tags.iter().filter(|tag| tag.is_header()) {
                connection.send(tag).await?;
            }
            anyhow::Ok(connection)
        };
        timeout(ANSWER, opened).await.context("the proxy has not accepted")?
    }

    /// Listens until then.
    async fn wait(&mut self, until: Instant) -> Result<()> {
        loop {
            tokio::select! {
                biased;
                () = sleep_until(until) => return Ok(()),
                heard = self.socket.readable() => heard?,
            }
            self.listen().await?;
        }
    }

    async fn listen(&mut self) -> Result<()> {
        let count = self.socket.read(&mut self.heard).await?;
        ensure!(count > 0, "the proxy has closed the connection");
        self.session.handle_input(Bytes::copy_from_slice(&self.heard[..count]))?;
        while let Some(event) = self.session.poll_event() {
            match event {
                ClientEvent::Connected | ClientEvent::Accepted => {}
                // By the same URL.
                ClientEvent::ReconnectRequested { tc_url: None, .. } => self.is_asked = true,
                other => bail!("the proxy said {other:?}"),
            }
        }
        self.flush().await
    }

    async fn send(&mut self, tag: &Tag) -> Result<()> {
        match tag.kind {
            VIDEO => self.session.video(tag.time, tag.body.clone())?,
            _ => self.session.audio(tag.time, tag.body.clone())?,
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<()> {
        while let Some(bytes) = self.session.poll_output() {
            self.socket.write_all(&bytes).await?;
        }
        Ok(())
    }

    /// Ends the stream, and waits until the proxy has read all of it.
    async fn finish(mut self) -> Result<()> {
        let goodbye = async {
            self.session.finish()?;
            self.flush().await?;
            self.socket.shutdown().await?;
            while self.socket.read(&mut self.heard).await? > 0 {}
            anyhow::Ok(())
        };
        timeout(ANSWER, goodbye).await.context("the proxy has not taken the end")?
    }
}

const VIDEO: u8 = 9;
const AUDIO: u8 = 8;

/// A tag of an FLV file with H.264 or AAC.
#[derive(Clone)]
pub(crate) struct Tag {
    kind: u8,
    /// Milliseconds.
    pub(crate) time: u32,
    pub(crate) body: Bytes,
}

impl Tag {
    /// FLV 10.1 §E.4.2.1, §E.4.3.1: the second byte of a configuration is 0.
    pub(crate) fn is_header(&self) -> bool {
        self.body.get(1) == Some(&0)
    }

    pub(crate) fn is_audio(&self) -> bool {
        self.kind == AUDIO
    }

    pub(crate) fn is_keyframe(&self) -> bool {
        self.kind == VIDEO && self.body.first() == Some(&0x17)
    }
}

pub(crate) fn tags(file: &Bytes) -> Result<Vec<Tag>> {
    ensure!(file.starts_with(b"FLV") && file.len() >= FILE_HEADER, "it is no FLV file");
    let mut rest = file.slice(FILE_HEADER..);
    let mut tags = Vec::new();
    while let Some(header) = rest.get(..TAG_HEADER) {
        let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        // The highest byte of the time stands last.
        let time = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
        let kind = header[0];
        let end = TAG_HEADER + length;
        ensure!(rest.len() >= end + BACK_POINTER, "it is cut short");
        tags.push(Tag { kind, time, body: rest.slice(TAG_HEADER..end) });
        rest = rest.slice(end + BACK_POINTER..);
    }
    // ffmpeg ends the video with a tag that says so and holds nothing.
    tags.retain(|tag| matches!(tag.kind, VIDEO | AUDIO) && tag.body.get(1).is_some_and(|kind| *kind < 2));
    Ok(tags)
}
