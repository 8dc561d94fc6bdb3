//! Status of live inputs: whether a publisher is connected, in the shape that Cloudflare Stream gives it.

use std::collections::HashMap;

use headwater_media::StreamId;
use headwater_media::broadcast::BroadcastReport;
use headwater_runtime::clock::{self, rfc3339};
use headwater_wire::operator::BroadcastQuery;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::fleet::{Located, Survey};

/// Status of a live input.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct InputStatus {
    current: ConnectionStatus,
}

/// Present state of a live input's connection.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConnectionStatus {
    state: ConnectionState,
    /// Reason of the state: `reconnecting` while the broadcast waits for its publisher.
    reason: StateReason,
    /// Time at which the publisher connected; null where it is not known.
    #[schema(format = "date-time", required)]
    status_entered_at: Option<String>,
    /// Time at which media last came from the publisher; null while none is connected.
    #[schema(format = "date-time", required)]
    status_last_seen: Option<String>,
    /// Protocol that it publishes by: `rtmp` or `rtmps`.
    #[schema(required)]
    ingest_protocol: Option<String>,
    /// Name and version of its program, as the program says.
    #[schema(required)]
    encoder: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ConnectionState {
    Connected,
    Disconnected,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StateReason {
    Connected,
    Reconnecting,
    Disconnected,
}

/// Statuses of some live inputs.
pub(crate) struct Statuses {
    known: HashMap<StreamId, InputStatus>,
    /// Whether all servers have answered, so that an input that none of them has is disconnected.
    is_whole: bool,
}

impl Statuses {
    /// Status of an input; none where it is not known.
    pub(crate) fn find(&self, uid: &StreamId) -> Option<InputStatus> {
        let absent = || self.is_whole.then(|| InputStatus::disconnected(StateReason::Disconnected));
        self.known.get(uid).cloned().or_else(absent)
    }
}

impl Shared {
    /// Asks the servers who publishes these inputs.
    pub(crate) async fn find_statuses(&self, uids: Vec<StreamId>) -> Statuses {
        if uids.is_empty() {
            return Statuses { known: HashMap::new(), is_whole: true };
        }
        let query = BroadcastQuery { streams: uids, ..BroadcastQuery::default() };
        let Survey { located, unheard } = self.fleet().survey(&query).await;
        let known =
            located.into_iter().map(|Located { report, .. }| (report.stream.clone(), status_of(&report)));
        Statuses { known: known.collect(), is_whole: unheard.is_empty() }
    }
}

impl InputStatus {
    fn disconnected(reason: StateReason) -> Self {
        Self {
            current: ConnectionStatus {
                state: ConnectionState::Disconnected,
                reason,
                status_entered_at: None,
                status_last_seen: None,
                ingest_protocol: None,
                encoder: None,
            },
        }
    }
}

fn status_of(report: &BroadcastReport) -> InputStatus {
    let Some(publisher) = &report.publisher else {
        return InputStatus::disconnected(StateReason::Reconnecting);
    };
    let facts = publisher.facts.as_ref();
    let heard = clock::now().0.saturating_sub(report.silent.as_millis() as u64);
    InputStatus {
        current: ConnectionStatus {
            state: ConnectionState::Connected,
            reason: StateReason::Connected,
            status_entered_at: facts.and_then(|facts| rfc3339(facts.connected)),
            status_last_seen: rfc3339(headwater_media::UnixMillis(heard)),
            ingest_protocol: facts.map(|facts| facts.protocol.clone()),
            encoder: facts.and_then(|facts| facts.encoder.clone()),
        },
    }
}
