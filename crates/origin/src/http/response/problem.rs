//! Problems that viewers are answered with, as `application/problem+json` (RFC 9457). The detail says what to do about it.

use http::header::{ALLOW, CONTENT_RANGE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};

use super::cache::Cache;
use crate::mirror::NoMirror;
use crate::thumbnails::NoStill;

/// Every problem that this service answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// No such path.
    NoRoute,
    /// Nobody publishes the stream now.
    NotLive,
    /// The stream is on air, or may be, and nothing can be shown yet.
    NotReady,
    /// The stream has no such rendition.
    NoRendition,
    /// No segments before the live window are stored.
    NoDvr,
    /// There is no such recording, or it has no such part.
    NoRecording,
    /// The object store does not answer.
    StoreAway,
    /// The file can only be made of a recording that is complete.
    Growing,
    /// Not, or no longer, or not yet in the live window.
    NoObject,
    /// A `_HLS_…` directive that is malformed or too far ahead; the text says which.
    Directive(String),
    /// The awaited media did not come in time.
    Late,
    Method,
    /// The range begins behind the end; the length of the object.
    Range(u64),
    /// A query that is not understood; the text says what to write.
    Query(String),
    /// There is no picture of this moment; the text says why.
    NoPicture(String),
    /// More pictures are asked for than can be made.
    StillsBusy,
    /// A picture could not be made, through no fault of the media.
    StillFailed,
    /// More streams are asked for at once than this origin follows.
    Busy,
}

/// Seconds that players are told to wait before they ask again.
const RETRY_SECONDS: u8 = 1;
/// And where making pictures takes too much.
const STILL_RETRY_SECONDS: u8 = 5;
/// Caches may keep an error so long: long enough to shield from a crowd that polls, short enough not to hide a start.
const ERROR_SECONDS: u32 = 1;

impl Problem {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute
            | Self::NotLive
            | Self::NoRendition
            | Self::NoObject
            | Self::NoDvr
            | Self::NoRecording
            | Self::NoPicture(_) => StatusCode::NOT_FOUND,
            Self::NotReady
            | Self::Late
            | Self::Busy
            | Self::StoreAway
            | Self::StillsBusy
            | Self::StillFailed => StatusCode::SERVICE_UNAVAILABLE,
            Self::Growing => StatusCode::CONFLICT,
            Self::Directive(_) | Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Range(_) => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }

    /// Whether what is shown now does not have it; what was shown before may.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::NoObject | Self::NoRendition | Self::NotLive | Self::NotReady)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NoRoute => "no-route",
            Self::NotLive => "not-live",
            Self::NotReady => "not-ready",
            Self::NoRendition => "no-rendition",
            Self::NoDvr => "no-dvr",
            Self::NoRecording => "no-recording",
            Self::StoreAway => "store-away",
            Self::Growing => "growing",
            Self::NoObject => "no-object",
            Self::Directive(_) => "directive",
            Self::Late => "late",
            Self::Method => "method",
            Self::Range(_) => "range",
            Self::Query(_) => "query",
            Self::NoPicture(_) => "no-picture",
            Self::StillsBusy => "stills-busy",
            Self::StillFailed => "still-failed",
            Self::Busy => "busy",
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::NoRoute => "Nothing is here",
            Self::NotLive => "Not live",
            Self::NotReady => "Not ready yet",
            Self::NoRendition => "No such rendition",
            Self::NoDvr => "Nothing to go back to",
            Self::NoRecording => "No such recording",
            Self::StoreAway => "The object store does not answer",
            Self::Growing => "Still on air",
            Self::NoObject => "Not in the live window",
            Self::Directive(_) => "Delivery directive refused",
            Self::Late => "Not there in time",
            Self::Method => "Method not allowed",
            Self::Range(_) => "Range not satisfiable",
            Self::Query(_) => "Query not understood",
            Self::NoPicture(_) => "No such picture",
            Self::StillsBusy => "Too many pictures",
            Self::StillFailed => "The picture could not be made",
            Self::Busy => "Too many streams",
        }
    }

    pub(crate) fn detail(&self) -> String {
        match self {
            Self::NoRoute => {
                "Streams are at /<stream>/live.m3u8 (HLS) and /<stream>/live.mpd (DASH), their player page is at /<stream>."
                    .into()
            }
            Self::NotLive => {
                "Nobody publishes this stream now. Ask again when it starts; once a second is fine.".into()
            }
            Self::NotReady => {
                "The stream was not ready in time. It may be about to start: ask again in a second.".into()
            }
            Self::NoRendition => "The stream has no rendition of this name now: read live.m3u8 again.".into(),
            Self::NoDvr => {
                "Nothing of this stream is stored while it is live (store.url, recording.dvr_window): watch live.m3u8."
                    .into()
            }
            Self::NoRecording => {
                "It was never made or has been deleted, or has no such part: see /<stream>/recordings.json.".into()
            }
            Self::Growing => {
                "The file can be made when the broadcast has ended: until then, its playlist has all of it.".into()
            }
            Self::StoreAway => {
                "Recordings can't be read now; what is live goes on. Ask again in a second.".into()
            }
            Self::NoObject => {
                "It has left the live window or was never in it: read the media playlist again.".into()
            }
            Self::Directive(reason) => format!("{reason}. Read the media playlist again without directives."),
            Self::Late => {
                "The encoder has paused or the stream is moving to another server: ask again in a second."
                    .into()
            }
            Self::Method => "Only GET, HEAD and OPTIONS are answered here.".into(),
            Self::Range(length) => format!("There are {length} bytes: ask for a range within them."),
            Self::Query(text) | Self::NoPicture(text) => text.clone(),
            Self::StillsBusy => {
                "More pictures are asked for than this origin can make: ask again in some seconds.".into()
            }
            Self::StillFailed => {
                "The picture could not be made; the origin's log says why. Ask again in some seconds.".into()
            }
            Self::Busy => {
                "This origin follows as many streams as it can: ask another one, or again in a second.".into()
            }
        }
    }

    /// A wait that was in vain must not be kept: the next one may not be.
    pub(crate) fn cache(&self) -> Cache {
        match self.status() {
            StatusCode::SERVICE_UNAVAILABLE => Cache::No,
            _ => Cache::Seconds(ERROR_SECONDS),
        }
    }

    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::NotLive | Self::NotReady | Self::Late | Self::Busy | Self::StoreAway => {
                Some((RETRY_AFTER, u16::from(RETRY_SECONDS).into()))
            }
            Self::StillsBusy | Self::StillFailed => {
                Some((RETRY_AFTER, u16::from(STILL_RETRY_SECONDS).into()))
            }
            Self::Method => Some((ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"))),
            Self::Range(length) => {
                let range =
                    HeaderValue::try_from(format!("bytes */{length}")).expect("digits are visible ASCII");
                Some((CONTENT_RANGE, range))
            }
            _ => None,
        }
    }
}

impl From<NoMirror> for Problem {
    fn from(no_mirror: NoMirror) -> Self {
        match no_mirror {
            NoMirror::Nobody => Self::NotLive,
            NoMirror::Unknown => Self::NotReady,
            NoMirror::Full => Self::Busy,
        }
    }
}

impl From<NoStill> for Problem {
    fn from(no_still: NoStill) -> Self {
        match no_still {
            NoStill::Undecodable(why) => Self::NoPicture(format!("{why}. Ask for another moment.")),
            NoStill::Busy => Self::StillsBusy,
            NoStill::Failed => Self::StillFailed,
        }
    }
}
