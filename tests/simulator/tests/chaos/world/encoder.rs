//! An encoder: publishes numbered tags in real time, and connects again as OBS does when its connection is lost.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use headwater_media::lock::MutexExt;
use headwater_rtmp::{ClientConfig, ClientEvent, ClientSession};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::tag::{self, FRAME_MS, Number};
use crate::kernel::log::event;
use crate::kernel::net::{self, Host, Net};
use crate::kernel::socket::Socket;
use crate::kernel::system;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// OBS waits for so long before it connects again, half as long again each time.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Connection of an encoder.
#[derive(Clone, Debug)]
pub struct Take {
    pub stream: &'static str,
    /// The encoder's host, and that of the proxy.
    pub encoder: Host,
    pub proxy: Host,
    pub accepted_ms: Option<u64>,
    /// Tags of each track that the connection has taken.
    pub sent: u32,
    pub end: Option<(u64, End)>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The encoder ended its stream.
    Finished,
    /// It was asked to publish on another connection.
    CalledAway,
    /// The connection broke.
    Broken,
    Refused(String),
    SentAway(String),
}

/// All connections of all encoders.
#[derive(Clone, Default)]
pub struct Takes(Arc<Mutex<Vec<Take>>>);

impl Takes {
    pub fn all(&self) -> MutexGuard<'_, Vec<Take>> {
        self.0.lock_ignoring_poison()
    }

    fn begin(&self, take: Take) -> u32 {
        let mut all = self.all();
        all.push(take);
        all.len() as u32 - 1
    }

    fn of(&self, take: u32, change: impl FnOnce(&mut Take)) {
        if let Some(take) = self.all().get_mut(take as usize) {
            change(take);
        }
    }
}

pub struct Encoder {
    pub net: Net,
    pub host: Host,
    pub stream: &'static str,
    /// Addresses, asked in turns.
    pub proxies: Vec<String>,
    pub takes: Takes,
    /// Told to end its stream.
    pub stop: CancellationToken,
    /// Whether it goes away when it is refused.
    pub is_intruder: bool,
    pub padding: usize,
    /// Whether it connects again when it is asked to (Enhanced RTMP v2).
    pub reconnects: bool,
}

impl Encoder {
    pub async fn run(self) {
        let mut delay = FIRST_RETRY;
        for proxy in self.proxies.iter().cycle() {
            let take = self.takes.begin(Take {
                stream: self.stream,
                encoder: self.host,
                proxy: net::host(proxy),
                accepted_ms: None,
                sent: 0,
                end: None,
            });
            let end = self.publish(take, proxy).await.unwrap_or(End::Broken);
            event!("{:<9} take {take} at {proxy} ended: {end:?}", self.host);
            let accepted = self.takes.all()[take as usize].accepted_ms.is_some();
            let is_over = end == End::Finished || self.is_intruder || self.stop.is_cancelled();
            self.takes.of(take, |take| take.end = Some((system::now(), end)));
            if is_over {
                return;
            }
            delay = if accepted { FIRST_RETRY } else { MAX_RETRY_PAUSE.min(delay * 3 / 2) };
            sleep(delay).await;
        }
    }

    async fn publish(&self, take: u32, proxy: &str) -> io::Result<End> {
        let socket = timeout(CONNECT_LIMIT, self.net.connect(self.host, proxy)).await??;
        let mut config = ClientConfig::new("live", format!("rtmp://{proxy}/live"), self.stream);
        config.reconnects = self.reconnects;
        let session = ClientSession::new(config).map_err(io::Error::other)?;
        Publishing { encoder: self, take, socket, session, next: 0, is_called_away: false }.run().await
    }
}

struct Publishing<'a> {
    encoder: &'a Encoder,
    take: u32,
    socket: Socket,
    session: ClientSession,
    next: u32,
    /// Asked to connect again.
    is_called_away: bool,
}

impl Publishing<'_> {
    async fn run(mut self) -> io::Result<End> {
        let mut frames = interval(Duration::from_millis(FRAME_MS));
        frames.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut buffer = [0; 4096];
        loop {
            self.flush().await?;
            if let Some(end) = self.heed()? {
                return Ok(end);
            }
            if self.is_called_away {
                return Ok(match self.finish().await? {
                    End::Finished => End::CalledAway,
                    end => end,
                });
            }
            self.flush().await?;
            tokio::select! {
                biased;
                read = self.socket.read(&mut buffer) => match read? {
                    0 => return Ok(End::Broken),
                    count => {
                        let input = Bytes::copy_from_slice(&buffer[..count]);
                        self.session.handle_input(input).map_err(io::Error::other)?;
                    }
                },
                () = self.encoder.stop.cancelled() => return self.finish().await,
                _ = frames.tick(), if self.session.is_publishing() => self.send().await?,
            }
            if !self.session.is_publishing() {
                frames.reset();
            }
        }
    }

    fn heed(&mut self) -> io::Result<Option<End>> {
        while let Some(event) = self.session.poll_event() {
            match event {
                ClientEvent::Accepted => {
                    event!("{:<9} take {} accepted", self.encoder.host, self.take);
                    self.encoder.takes.of(self.take, |take| take.accepted_ms = Some(system::now()));
                    self.session.video(0, tag::video_header()).map_err(io::Error::other)?;
                    self.session.audio(0, tag::audio_header()).map_err(io::Error::other)?;
                }
                ClientEvent::ReconnectRequested { .. } => self.is_called_away = true,
                ClientEvent::Rejected { code, description } => {
                    return Ok(Some(End::Refused(format!("{code}: {description}"))));
                }
                ClientEvent::Closed { code, description } => {
                    return Ok(Some(End::SentAway(format!("{code}: {description}"))));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    async fn send(&mut self) -> io::Result<()> {
        let number = Number { take: self.take, index: self.next };
        let padding = self.encoder.padding;
        self.session.video(number.time_ms(), number.picture(padding)).map_err(io::Error::other)?;
        self.session.audio(number.time_ms(), number.sound()).map_err(io::Error::other)?;
        self.flush().await?;
        self.next += 1;
        self.encoder.takes.of(self.take, |take| take.sent = self.next);
        Ok(())
    }

    /// Says goodbye and waits until the proxy has closed.
    async fn finish(mut self) -> io::Result<End> {
        if !self.session.is_publishing() {
            return Ok(End::Broken);
        }
        self.session.finish().map_err(io::Error::other)?;
        self.flush().await?;
        self.socket.shutdown().await?;
        let mut rest = Vec::new();
        let _ = timeout(CONNECT_LIMIT, self.socket.read_to_end(&mut rest)).await;
        Ok(End::Finished)
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.session.poll_output() {
            self.socket.write_all(&bytes).await?;
        }
        Ok(())
    }
}
