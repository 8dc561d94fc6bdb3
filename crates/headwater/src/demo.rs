//! `headwater demo`: a broadcast without an encoder.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use headwater_rtmp::{ClientEvent, ClientSession, Metadata};
use headwater_runtime::shutdown::Signals;
use headwater_transcode::demo::{Picture, Tag, TagKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::target::Target;

/// How long the other side may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Tags that may wait for the network: about two seconds.
const QUEUE_TAGS: usize = 150;

/// Arguments of `demo`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Address to publish to: rtmp://host[:port]/app/key
    #[arg(long, default_value = "rtmp://127.0.0.1:1935/live/demo", value_parser = Target::parse)]
    url: Target,
    /// Picture size in pixels
    #[arg(long, default_value = "1280x720", value_parser = parse_size)]
    size: (u32, u32),
    /// Frames a second
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: u32,
    /// Stop after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let fits =
        |(w, h): &(u32, u32)| (16..=4096).contains(w) && (16..=4096).contains(h) && w % 2 == 0 && h % 2 == 0;
    parsed.filter(fits).ok_or_else(|| "it looks like 1280x720, in even numbers from 16 to 4096".into())
}

/// Publishes the test picture until it is stopped.
#[expect(clippy::print_stderr, reason = "the command's own words to the person who typed it")]
pub fn run(arguments: &Arguments) -> ExitCode {
    let published = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let published = runtime.block_on(publish_picture(arguments));
        runtime.shutdown_background();
        published
    });
    match published {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the command's own words to the person who typed it")]
async fn publish_picture(arguments: &Arguments) -> anyhow::Result<()> {
    let Target { host, port, .. } = &arguments.url;
    headwater_transcode::demo::check()?;
    let mut signals = Signals::listen()?;
    let mut publisher = Publisher::connect_to(&arguments.url).await?;
    eprintln!("demo: publishing to {host}:{port}; Ctrl-C stops");
    let (width, height) = arguments.size;
    let picture = Picture { width, height, frame_rate: arguments.fps };
    publisher.announce_picture(&picture).await?;
    let (tags, mut made) = mpsc::channel(QUEUE_TAGS);
    let _running = headwater_transcode::demo::start(picture, move |tag| tags.blocking_send(tag).is_ok())?;
    let end = arguments.seconds.map_or(Duration::MAX, Duration::from_secs);
    let mut end = std::pin::pin!(sleep_for(end));
    loop {
        tokio::select! {
            tag = made.recv() => publisher.send_tag(tag.context("the test picture ended by itself")?).await?,
            heard = publisher.wait_for_end() => heard?,
            _ = signals.next() => break,
            () = &mut end => break,
        }
    }
    publisher.end_stream().await
}

async fn sleep_for(duration: Duration) {
    match duration {
        Duration::MAX => std::future::pending().await,
        duration => tokio::time::sleep(duration).await,
    }
}

/// A connection that is published on.
struct Publisher {
    socket: TcpStream,
    session: ClientSession,
    buffer: Vec<u8>,
}

impl Publisher {
    async fn connect_to(target: &Target) -> anyhow::Result<Self> {
        let Target { host, port, .. } = target;
        let connect = TcpStream::connect((host.trim_matches(['[', ']']), *port));
        let socket = tokio::time::timeout(CONNECT_TIMEOUT, connect).await;
        let socket = socket.map_err(anyhow::Error::from).and_then(|socket| Ok(socket?));
        let socket =
            socket.with_context(|| format!("{host}:{port} can't be reached: is the server running?"))?;
        socket.set_nodelay(true)?;
        let session = ClientSession::new(target.session_config())?;
        let mut publisher = Self { socket, session, buffer: vec![0; 4096] };
        let accepted = tokio::time::timeout(CONNECT_TIMEOUT, publisher.wait_accepted()).await;
        accepted.context("the server did not answer")??;
        Ok(publisher)
    }

    async fn wait_accepted(&mut self) -> anyhow::Result<()> {
        self.flush_output().await?;
        while !self.session.is_publishing() {
            self.wait_for_end().await?;
        }
        Ok(())
    }

    /// Waits for a word from the server, and fails when it was the last one.
    async fn wait_for_end(&mut self) -> anyhow::Result<()> {
        let count = self.socket.read(&mut self.buffer).await?;
        if count == 0 {
            bail!("the server closed the connection");
        }
        self.session.handle_input(bytes::Bytes::copy_from_slice(&self.buffer[..count]))?;
        while let Some(event) = self.session.poll_event() {
            match event {
                ClientEvent::Connected | ClientEvent::Accepted | ClientEvent::ReconnectRequested { .. } => {}
                ClientEvent::Rejected { code, description } => {
                    bail!("the server refused: {description} ({code})")
                }
                ClientEvent::Closed { code, description } => {
                    bail!("the server ended it: {description} ({code})")
                }
            }
        }
        self.flush_output().await
    }

    async fn announce_picture(&mut self, picture: &Picture) -> anyhow::Result<()> {
        self.session.metadata(&Metadata {
            video: true,
            audio: true,
            width: Some(picture.width),
            height: Some(picture.height),
            frame_rate: Some(picture.frame_rate.into()),
            encoder: Some(concat!("headwater demo ", env!("CARGO_PKG_VERSION")).into()),
            ..Metadata::default()
        })?;
        self.flush_output().await
    }

    async fn send_tag(&mut self, tag: Tag) -> anyhow::Result<()> {
        match tag.kind {
            TagKind::Video => self.session.video(tag.timestamp, tag.payload)?,
            TagKind::Audio => self.session.audio(tag.timestamp, tag.payload)?,
        }
        self.flush_output().await
    }

    async fn end_stream(mut self) -> anyhow::Result<()> {
        self.session.finish()?;
        self.flush_output().await?;
        Ok(self.socket.shutdown().await?)
    }

    async fn flush_output(&mut self) -> anyhow::Result<()> {
        while let Some(bytes) = self.session.poll_output() {
            self.socket.write_all(&bytes).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_even_and_not_absurd() {
        assert_eq!(parse_size("640x360"), Ok((640, 360)));
        assert!(parse_size("641x360").is_err() && parse_size("640").is_err() && parse_size("0x0").is_err());
    }
}
