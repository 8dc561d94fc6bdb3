//! The summary of a recording for lists: `recording.json`.

use std::time::Duration;

use bytes::Bytes;
use headwater_hls::Archive;
use headwater_hls::playlist::Stage;
use headwater_media::{BroadcastId, RenditionId, RenditionKind, StreamId, UnixMillis};
use serde::{Deserialize, Serialize};

/// A recording as a list shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub stream: String,
    pub broadcast: String,
    pub state: State,
    /// When its first segment was on air, in milliseconds since 1970-01-01T00:00:00Z.
    pub start_unix_ms: u64,
    pub duration_ms: u64,
    /// Bytes of all media in all renditions that it keeps.
    pub bytes: u64,
    /// Best first.
    pub renditions: Vec<RenditionSummary>,
    /// Time that the recording is kept after its end, in milliseconds; none where the configuration counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
}

/// How far a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The recording grows. The other fields of the summary are a moment old.
    Live,
    /// It holds all that publishers have sent.
    Complete,
    /// Its server was lost, and no other one has gone on with it; or the end of the publisher's media is lost. It holds
    /// the segments that were stored until then.
    Interrupted,
}

/// A rendition as a list shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RenditionSummary {
    pub id: String,
    /// As in `CODECS` (RFC 6381).
    pub codecs: String,
    pub bytes: u64,
    /// Size in pixels; none of sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

impl State {
    /// The state as playlists know it.
    pub fn stage(self) -> Stage {
        match self {
            Self::Live => Stage::Growing,
            Self::Complete | Self::Interrupted => Stage::Complete,
        }
    }
}

impl Summary {
    /// Summary of the media that the recording keeps.
    pub fn of(stream: &StreamId, archive: &Archive, state: State) -> Self {
        let rendition = |rendition: &headwater_media::Rendition| {
            let size = match rendition.kind {
                RenditionKind::Video { width, height, .. } => Some((width, height)),
                RenditionKind::Audio { .. } => None,
            };
            RenditionSummary {
                id: rendition.id.to_string(),
                codecs: rendition.codecs.clone(),
                bytes: bytes_of(archive, &rendition.id),
                width: size.map(|(width, _)| width),
                height: size.map(|(_, height)| height),
            }
        };
        let broadcast = archive.broadcast();
        Self {
            stream: stream.to_string(),
            broadcast: broadcast.to_string(),
            state,
            start_unix_ms: archive.started_at().unwrap_or(broadcast.made_at()).0,
            duration_ms: archive.duration().as_millis(),
            bytes: archive.size(),
            renditions: archive.renditions().into_iter().map(rendition).collect(),
            retention_ms: None,
        }
    }

    /// Summary of a recording that has begun, and whose first segment is still to come.
    pub fn begun(stream: &StreamId, broadcast: BroadcastId) -> Self {
        Self {
            stream: stream.to_string(),
            broadcast: broadcast.to_string(),
            state: State::Live,
            start_unix_ms: broadcast.made_at().0,
            duration_ms: 0,
            bytes: 0,
            renditions: Vec::new(),
            retention_ms: None,
        }
    }

    /// The same, of a recording that is kept for so long after its end; none where the configuration counts.
    #[must_use]
    pub fn kept_for(self, retention: Option<Duration>) -> Self {
        let retention_ms = retention.map(|retention| retention.as_millis() as u64);
        Self { retention_ms, ..self }
    }

    /// Time that the recording is kept after its end; none where the configuration counts.
    pub fn retention(&self) -> Option<Duration> {
        self.retention_ms.map(Duration::from_millis)
    }

    /// When its last segment was on air, if no publisher was ever away.
    pub fn end(&self) -> UnixMillis {
        UnixMillis(self.start_unix_ms.saturating_add(self.duration_ms))
    }

    /// The bytes of `recording.json`.
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("numbers and texts can be written as JSON").into()
    }

    /// Reads the bytes of `recording.json`.
    ///
    /// # Errors
    /// When the bytes are no summary.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

fn bytes_of(archive: &Archive, rendition: &RenditionId) -> u64 {
    archive.segments().filter_map(|segment| segment.size(rendition)).sum()
}
