//! Bodies of the API's answers. Viewers read the same description of a recording in `/<stream>/recordings.json`.

use headwater_media::UnixMillis;
use headwater_recordings::{State, Summary};
use headwater_runtime::clock::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of a stream's recordings.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordingPage {
    /// The `before` of the next page; none where this one is the last.
    #[schema(format = "uuid", required)]
    pub next: Option<String>,
    /// Newest first.
    pub recordings: Vec<Recording>,
}

/// A recording, and the addresses of what it consists of.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Recording {
    /// Id of the broadcast, which names the recording among those of its stream.
    #[schema(format = "uuid")]
    pub broadcast: String,
    /// Length in seconds.
    pub duration_seconds: f64,
    /// Address of the whole recording as one file.
    pub mp4: String,
    /// Address of the multivariant playlist.
    pub playlist: String,
    /// Address of the presentation for DASH players.
    pub presentation: String,
    /// Bytes of all renditions in the store.
    pub size_bytes: u64,
    /// Time of the first picture (RFC 3339).
    #[schema(format = "date-time", required)]
    pub start: Option<String>,
    /// Whether the recording still grows, and whether it is all there.
    #[schema(inline, value_type = StateSchema)]
    pub state: State,
    /// Address of a picture.
    pub thumbnail: String,
}

/// `interrupted`: its server was lost and no other went on with it; what was stored is there.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only the description has it")]
enum StateSchema {
    Live,
    Complete,
    Interrupted,
}

impl Recording {
    /// The recording of a summary. `folder` stands before its addresses: the stream's own folder as the reader reaches it.
    pub fn new(summary: &Summary, folder: &str) -> Self {
        let id = &summary.broadcast;
        Self {
            broadcast: id.clone(),
            duration_seconds: summary.duration_ms as f64 / 1e3,
            mp4: format!("{folder}vod-{id}.mp4"),
            playlist: format!("{folder}vod-{id}.m3u8"),
            presentation: format!("{folder}vod-{id}.mpd"),
            size_bytes: summary.bytes,
            start: rfc3339(UnixMillis(summary.start_unix_ms)),
            state: summary.state,
            thumbnail: format!("{folder}{id}/thumbnail.jpg"),
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_media::BroadcastId;

    use super::*;

    #[test]
    fn a_recording_is_described_with_its_addresses() {
        let broadcast = BroadcastId::new(UnixMillis(1_000_000), &[7; 10]);
        let stream = "demo".parse().unwrap();
        let summary = Summary {
            state: State::Interrupted,
            start_unix_ms: 1_000_000,
            duration_ms: 1_500,
            bytes: 9,
            ..Summary::begun(&stream, broadcast)
        };
        let text = serde_json::to_string(&Recording::new(&summary, "/demo/")).unwrap();
        let expected = format!(
            "{{\"broadcast\":\"{broadcast}\",\"duration_seconds\":1.5,\"mp4\":\"/demo/vod-{broadcast}.mp4\",\
             \"playlist\":\"/demo/vod-{broadcast}.m3u8\",\"presentation\":\"/demo/vod-{broadcast}.mpd\",\"size_bytes\":9,\
             \"start\":\"1970-01-01T00:16:40.000Z\",\"state\":\"interrupted\",\
             \"thumbnail\":\"/demo/{broadcast}/thumbnail.jpg\"}}"
        );
        assert_eq!(text, expected);
    }
}
