//! Live inputs as callers see them.

use headwater_directory::{InputPage, LiveInput};
use headwater_media::StreamId;
use headwater_runtime::clock::rfc3339;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::settings::LiveInputSettings;
use super::status::{InputStatus, Statuses};
use crate::PublicUrls;
use crate::moderation::BlockAnswer;
use crate::page::Page;

/// Text in the place of keys and URLs that the caller may not see.
const MASK: &str = "xxxxx";

/// Text that is shown as the stream key of a live input.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ShownKey {
    /// The mask, as the caller may not see keys.
    Mask,
    /// Name of the stream, which is its key where keys are no secrets.
    StreamName,
    Secret,
}

/// Live input, with the addresses of its stream.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveInputAnswer {
    /// Name of the input and of its stream.
    uid: String,
    #[serde(flatten)]
    settings: LiveInputSettings,
    /// Time at which the input was made; null for an input of the configuration.
    #[schema(format = "date-time", required)]
    created: Option<String>,
    /// Time at which the input was last changed; null for an input of the configuration.
    #[schema(format = "date-time", required)]
    modified: Option<String>,
    /// Connection of its publisher; null where it is not known, as a server does not answer.
    #[schema(required)]
    status: Option<InputStatus>,
    /// Whether the input is one of the configuration, which alone changes it.
    read_only: bool,
    /// Block by an operator, whatever `enabled` says; null where there is none.
    #[schema(required)]
    blocked: Option<BlockAnswer>,
    rtmps: Ingest,
    rtmp: Ingest,
    playback: Playback,
    /// Address of a picture of the broadcast.
    thumbnail: String,
}

/// Entries of an encoder; both are `xxxxx` for a token without the scope inputs:keys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Ingest {
    /// URL of the server; null where the configuration names none.
    #[schema(required)]
    url: Option<String>,
    stream_key: String,
}

/// Addresses for viewers.
#[derive(Serialize, ToSchema)]
struct Playback {
    hls: String,
    dash: String,
    /// Page with a player.
    page: String,
}

/// Page of live inputs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveInputPage {
    /// The `after` of the next page; null where this one is the last.
    #[schema(required, value_type = Option<String>)]
    #[serde(serialize_with = "write_uid")]
    pub(crate) next: Option<StreamId>,
    pub(crate) live_inputs: Vec<LiveInputAnswer>,
}

impl LiveInputAnswer {
    pub(crate) fn new(input: &LiveInput, public: &PublicUrls, key: ShownKey) -> Self {
        let ingest = |url: &Option<String>| match key {
            ShownKey::Mask => Ingest::masked(),
            ShownKey::StreamName => Ingest { url: url.clone(), stream_key: input.uid.to_string() },
            ShownKey::Secret => Ingest { url: url.clone(), stream_key: input.stream_key.expose().into() },
        };
        Self {
            settings: LiveInputSettings::from(&input.settings),
            created: rfc3339(input.created),
            modified: rfc3339(input.modified),
            read_only: false,
            blocked: input.blocked.as_ref().map(BlockAnswer::from),
            rtmps: ingest(&public.rtmps_url),
            rtmp: ingest(&public.rtmp_url),
            ..Self::of_file(&input.uid, public)
        }
    }

    /// Input of the configuration, whose key nobody is shown.
    pub(crate) fn of_file(uid: &StreamId, public: &PublicUrls) -> Self {
        let folder = public.folder_of(uid.as_str());
        Self {
            uid: uid.to_string(),
            settings: LiveInputSettings::default(),
            created: None,
            modified: None,
            status: None,
            read_only: true,
            blocked: None,
            rtmps: Ingest::masked(),
            rtmp: Ingest::masked(),
            playback: Playback {
                hls: format!("{folder}/live.m3u8"),
                dash: format!("{folder}/live.mpd"),
                page: folder.clone(),
            },
            thumbnail: format!("{folder}/thumbnail.jpg"),
        }
    }
}

impl LiveInputAnswer {
    /// Takes over the input's status.
    pub(crate) fn set_status(&mut self, statuses: &Statuses) {
        self.status = self.uid.parse().ok().and_then(|uid| statuses.find(&uid));
    }
}

impl Ingest {
    fn masked() -> Self {
        Self { url: Some(MASK.into()), stream_key: MASK.into() }
    }
}

impl LiveInputPage {
    /// Uids of the page's inputs.
    pub(crate) fn uids(&self) -> Vec<StreamId> {
        self.live_inputs.iter().filter_map(|input| input.uid.parse().ok()).collect()
    }

    /// Takes over the statuses of the page's inputs.
    pub(crate) fn set_statuses(&mut self, statuses: &Statuses) {
        self.live_inputs.iter_mut().for_each(|input| input.set_status(statuses));
    }

    /// Page of the directory's inputs with those of the configuration among them. An input that both have is shown as the
    /// configuration's.
    pub(crate) fn merge(
        kept: Option<InputPage>,
        page: &Page<StreamId>,
        of_file: &[StreamId],
        public: &PublicUrls,
        key: ShownKey,
    ) -> Self {
        let kept = kept.unwrap_or(InputPage { inputs: Vec::new(), next: None });
        let is_after =
            |uid: &StreamId| page.cursor.as_ref().is_none_or(|after| order_of(uid) > order_of(after));
        let is_known = |uid: &StreamId| kept.next.as_ref().is_none_or(|last| order_of(uid) <= order_of(last));
        let mut entries: Vec<_> = of_file.iter().filter(|uid| is_after(uid) && is_known(uid)).collect();
        let own = kept.inputs.iter().filter(|input| !of_file.contains(&input.uid));
        entries.extend(own.clone().map(|input| &input.uid));
        entries.sort_by_key(|uid| order_of(uid));
        let is_cut = entries.len() > page.limit;
        entries.truncate(page.limit);
        let next = if is_cut { entries.last().copied() } else { kept.next.as_ref() };
        let answer_of = |uid: &&StreamId| match own.clone().find(|input| input.uid == **uid) {
            Some(input) => LiveInputAnswer::new(input, public, key),
            None => LiveInputAnswer::of_file(uid, public),
        };
        Self { next: next.cloned(), live_inputs: entries.iter().map(answer_of).collect() }
    }
}

fn write_uid<S: Serializer>(uid: &Option<StreamId>, serializer: S) -> Result<S::Ok, S::Error> {
    uid.as_ref().map(StreamId::as_str).serialize(serializer)
}

/// Order in which stores list the documents of inputs: a dot ends the uid.
fn order_of(uid: &StreamId) -> String {
    format!("{uid}.")
}
