//! Player from its start to its end.

use std::sync::Arc;
use std::time::Duration;

use headwater_runtime::clock;
use http::StatusCode;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::buffer::Buffer;
use super::counts::{Kind, ViewCounts};
use super::http::{Client, Origin};
use super::playlist::{Playlist, Position, read_variants};
use super::{Choice, Shared};

/// How soon a player asks again after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Follows a picture, and its sound where that is a rendition of its own.
pub struct Viewer {
    origin: Origin,
    asks: Asks,
}

/// Rendition of a viewer, on a connection of its own, as browsers have several.
struct Track {
    asks: Asks,
    /// The path of the media playlist.
    path: String,
}

/// Asks, and counts what comes of it.
struct Asks {
    shared: Arc<Shared>,
    client: Client,
    /// Until then there may be nothing to play yet.
    has_begun: bool,
}

/// A track that has begun.
struct Session {
    /// The path of the media playlist.
    path: String,
    playlist: Arc<Playlist>,
    next: Position,
    buffer: Buffer,
    /// The initialisation section that it has.
    map: Option<String>,
    /// Seconds since the start without those of media received, at the least.
    least_delay: f64,
    began: Instant,
    /// Media received so far.
    received: Duration,
}

/// Answer that can't be used any further: try again.
struct Failed;

impl Viewer {
    /// A viewer of this origin.
    pub fn new(origin: Origin, shared: Arc<Shared>) -> Self {
        Self { asks: Asks::new(origin.clone(), shared), origin }
    }

    /// Until the broadcast ends or all stop.
    pub async fn run(mut self, stop: CancellationToken) {
        // Its requests are not finished: viewers leave at any time.
        stop.run_until_cancelled(self.watch_stream()).await;
    }

    async fn watch_stream(&mut self) {
        let (picture, sound) = loop {
            match self.choose_playlists().await {
                Ok(chosen) => break chosen,
                Err(Failed) => sleep(RETRY_PAUSE).await,
            }
        };
        let picture = self.make_track(picture);
        let sound = sound.map(|path| self.make_track(path));
        let counts = self.asks.shared.counts.clone();
        let listen = async {
            if let Some(sound) = sound {
                sound.play_track(|| ()).await;
            }
        };
        tokio::join!(picture.play_track(|| counts.count_viewer()), listen);
    }

    /// The paths of the picture's and the sound's playlist.
    async fn choose_playlists(&mut self) -> Result<(String, Option<String>), Failed> {
        let path = self.asks.shared.path.clone();
        let text = self.asks.fetch_text(Kind::Multivariant, &path).await?;
        let found = read_variants(&text);
        let chosen = match self.asks.shared.rendition {
            Choice::Highest => found.iter().max_by_key(|variant| variant.bandwidth),
            Choice::Lowest => found.iter().min_by_key(|variant| variant.bandwidth),
        };
        let chosen = chosen.ok_or(Failed)?;
        Ok((resolve_uri(&path, chosen.uri), chosen.audio.map(|uri| resolve_uri(&path, uri))))
    }

    fn make_track(&self, path: String) -> Track {
        Track { asks: Asks::new(self.origin.clone(), self.asks.shared.clone()), path }
    }
}

impl Track {
    /// `began` is called once there is something to play; what it gives is kept until the end.
    async fn play_track<T>(mut self, began: impl FnOnce() -> T) {
        let mut session = loop {
            match self.begin_session().await {
                Ok(session) => break session,
                Err(Failed) => sleep(RETRY_PAUSE).await,
            }
        };
        let _playing = began();
        self.asks.has_begun = true;
        while !session.is_over() {
            if self.go_on(&mut session).await.is_err() {
                sleep(RETRY_PAUSE).await;
            }
        }
    }

    fn view_counts(&self) -> &ViewCounts {
        &self.asks.shared.counts
    }

    async fn begin_session(&mut self) -> Result<Session, Failed> {
        let path = self.path.clone();
        let playlist = self.asks.fetch_playlist(&path, &path, None).await?;
        let next = playlist.start_position().ok_or(Failed)?;
        let buffer = Buffer::new(playlist.part_hold_back);
        let began = Instant::now();
        let received = Duration::ZERO;
        Ok(Session { path, playlist, next, buffer, map: None, least_delay: f64::INFINITY, began, received })
    }

    /// Gets the next part, or the playlist that will list it.
    async fn go_on(&mut self, session: &mut Session) -> Result<(), Failed> {
        session.next = session.playlist.carry_on(session.next);
        if session.next.sequence < session.playlist.media_sequence {
            // The window has moved on: a player that was away for too long begins anew.
            self.view_counts().wrong_sequence();
            session.next = session.playlist.start_position().ok_or(Failed)?;
        }
        if session.playlist.find_part(session.next).is_some() {
            self.take_part(session).await
        } else if session.playlist.whole_segment(session.next).is_some() {
            self.take_segment(session).await
        } else {
            self.reload_playlist(session).await
        }
    }

    /// A player that is that far behind takes whole segments.
    async fn take_segment(&mut self, session: &mut Session) -> Result<(), Failed> {
        self.take_map(session).await?;
        let playlist = session.playlist.clone();
        let Some((uri, duration)) = playlist.whole_segment(session.next) else { return Ok(()) };
        self.asks.fetch_size(Kind::Segment, &resolve_uri(&session.path, uri)).await?;
        session.next = Position { sequence: session.next.sequence + 1, part: 0 };
        self.take_media(session, duration);
        Ok(())
    }

    fn take_media(&self, session: &mut Session, duration: Duration) {
        let counts = self.view_counts();
        if let Some(stalled) = session.buffer.add_part(Instant::now(), duration) {
            counts.count_stall(stalled);
        }
        session.received += duration;
        if session.is_late() {
            counts.count_late();
        }
    }

    async fn take_part(&mut self, session: &mut Session) -> Result<(), Failed> {
        self.take_map(session).await?;
        let path = session.path.clone();
        let next = session.next;
        let playlist = session.playlist.clone();
        let Some((part, taken)) = playlist.find_part(next) else { return Ok(()) };
        self.asks.fetch_size(Kind::Part, &resolve_uri(&path, &part.uri)).await?;
        session.next.part += 1;
        if let Some(taken) = taken {
            let latency = (clock::now().0 as i64).saturating_sub(taken).max(0);
            self.view_counts().count_latency(Duration::from_millis(latency as u64));
        }
        self.take_media(session, part.duration);
        Ok(())
    }

    async fn take_map(&mut self, session: &mut Session) -> Result<(), Failed> {
        let wanted = session.playlist.find_map(session.next.sequence).map(str::to_owned);
        if wanted == session.map {
            return Ok(());
        }
        if let Some(map) = &wanted {
            self.asks.fetch_size(Kind::Init, &resolve_uri(&session.path, map)).await?;
        }
        session.map = wanted;
        Ok(())
    }

    /// Blocks until the next part is there (RFC 8216bis §6.2.5.2), and takes only what is new where that is offered.
    async fn reload_playlist(&mut self, session: &mut Session) -> Result<(), Failed> {
        let Position { sequence, part } = session.next;
        let skip = if session.playlist.can_skip { "&_HLS_skip=YES" } else { "" };
        let path = format!("{}?_HLS_msn={sequence}&_HLS_part={part}{skip}", session.path);
        let playlist = self.asks.fetch_playlist(&session.path, &path, Some(&session.playlist)).await?;
        let went_back = playlist.media_sequence < session.playlist.media_sequence;
        let is_there = playlist.find_part(playlist.carry_on(session.next)).is_some()
            || playlist.find_segment(sequence).is_some_and(|segment| segment.uri.is_some());
        let is_wrong = went_back || !(is_there || playlist.ended);
        session.playlist = playlist;
        if is_wrong {
            self.view_counts().wrong_sequence();
            // Asking again at once would be answered at once.
            Err(Failed)
        } else {
            Ok(())
        }
    }
}

impl Asks {
    fn new(origin: Origin, shared: Arc<Shared>) -> Self {
        Self { shared, client: Client::new(origin), has_begun: false }
    }

    /// Viewers are given the same playlist: the last one of each rendition is parsed for all who get it.
    async fn fetch_playlist(
        &mut self,
        rendition: &str,
        path: &str,
        before: Option<&Playlist>,
    ) -> Result<Arc<Playlist>, Failed> {
        let text = self.fetch_text(Kind::Playlist, path).await?;
        self.shared.parse_playlist(rendition, text, before).ok_or_else(|| {
            self.shared.counts.count_failure(Kind::Playlist, "no low-latency playlist");
            Failed
        })
    }

    async fn fetch_text(&mut self, kind: Kind, path: &str) -> Result<String, Failed> {
        match self.client.fetch_text(path).await {
            Ok((status, text)) => self.check_answer(kind, status, text.len() as u64).map(|()| text),
            Err(error) => Err(self.note_failure(kind, &error)),
        }
    }

    async fn fetch_size(&mut self, kind: Kind, path: &str) -> Result<(), Failed> {
        match self.client.fetch_size(path).await {
            Ok((status, bytes)) => self.check_answer(kind, status, bytes),
            Err(error) => Err(self.note_failure(kind, &error)),
        }
    }

    fn check_answer(&self, kind: Kind, status: StatusCode, bytes: u64) -> Result<(), Failed> {
        self.shared.counts.count_answer(kind, status, bytes);
        if status == StatusCode::OK {
            return Ok(());
        }
        let not_yet =
            !self.has_begun && matches!(status, StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE);
        if !not_yet {
            self.shared.counts.count_fault();
        }
        Err(Failed)
    }

    fn note_failure(&self, kind: Kind, error: &anyhow::Error) -> Failed {
        self.shared.counts.count_failure(kind, &error.root_cause().to_string());
        Failed
    }
}

impl Session {
    fn is_over(&self) -> bool {
        let at = self.playlist.carry_on(self.next);
        self.playlist.ended && self.playlist.find_part(at).is_none()
    }

    /// Whether what was just received came more than one part later than the earliest of this player did, in relation to
    /// the media's own time.
    fn is_late(&mut self) -> bool {
        // What is listed when a player begins comes faster than it lasts: from then on this is as low as it gets.
        let delay = self.began.elapsed().as_secs_f64() - self.received.as_secs_f64();
        self.least_delay = self.least_delay.min(delay);
        delay > self.least_delay + self.playlist.part_target.as_secs_f64()
    }
}

/// An address in a playlist, as a path: relative to the playlist's own.
fn resolve_uri(playlist: &str, uri: &str) -> String {
    if uri.starts_with('/') {
        return uri.into();
    }
    let path = playlist.split('?').next().unwrap_or_default();
    let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
    format!("{folder}{uri}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_relative_to_the_playlist() {
        assert_eq!(resolve_uri("/demo/live.m3u8?x=1/2", "720p/index.m3u8"), "/demo/720p/index.m3u8");
        assert_eq!(resolve_uri("/demo/720p/index.m3u8", "/a/b.m4s"), "/a/b.m4s");
    }
}
