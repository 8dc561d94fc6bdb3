//! The rules of `Registry`, written once, run on every backend. Nothing here sleeps for a time: what takes time is
//! waited for, with a deadline, so that the same rules run under tokio's paused time too.

// Each test binary uses its share of these.
#![allow(dead_code)]

pub(crate) mod events;
pub(crate) mod leases;
pub(crate) mod races;
pub(crate) mod servers;
pub(crate) mod viewers;

use std::sync::Arc;
use std::time::Duration;

use headwater_media::{BroadcastId, Epoch, StreamId, UnixMillis};
use headwater_registry::{
    Claim, OriginId, Ownership, Registry, RegistryEvent, ServerId, ServerRecord, Ttls, ViewerReport, Watch,
};
use tokio::time::{Instant, sleep, timeout};

/// Store that several registries can be opened on.
pub(crate) trait Backend {
    /// A registry as another process would have it, connected and listening.
    async fn open(&self, ttls: Ttls) -> Arc<dyn Registry>;

    async fn with_defaults(&self) -> Arc<dyn Registry> {
        self.open(Ttls::default()).await
    }
}

/// Soon over; far more than a command takes.
pub(crate) const SHORT: Ttls = Ttls { lease: SHORT_TIME, server: SHORT_TIME, viewers: SHORT_TIME };
const SHORT_TIME: Duration = Duration::from_millis(300);

/// Longest wait of a test; one that takes longer hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `check` gives a value.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn until_expired(registry: &Arc<dyn Registry>, stream: &StreamId) {
    eventually("the lease runs out", async || registry.owner(stream).await.unwrap().is_none().then_some(()))
        .await;
}

/// Waits for longer than [`SHORT`]: until a lease that was taken now has run out.
pub(crate) async fn outlast_a_short_ttl(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let marker = stream("marker");
    claimed(&registry, &marker, "marker").await;
    until_expired(&registry, &marker).await;
}

/// The next event that tells of a change.
pub(crate) async fn next_change(watch: &mut Watch) -> RegistryEvent {
    let change = async {
        loop {
            match watch.next().await.expect("the registry is there") {
                RegistryEvent::Missed => {}
                event => return event,
            }
        }
    };
    timeout(DEADLINE, change).await.expect("an event comes")
}

pub(crate) fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

pub(crate) fn server(name: &str) -> ServerId {
    name.parse().unwrap()
}

pub(crate) fn broadcast(n: u8) -> BroadcastId {
    BroadcastId::new(UnixMillis(1_800_000_000_000), &[n; 10])
}

pub(crate) fn record(id: &str) -> ServerRecord {
    ServerRecord {
        id: server(id),
        address: format!("{id}:7000"),
        capacity_millicores: 4_000,
        used_millicores: 0,
        broadcasts: 0,
        draining: false,
        version: "0.1.0".into(),
    }
}

pub(crate) async fn claim(
    registry: &Arc<dyn Registry>,
    id: &StreamId,
    by: &str,
    expected: Option<Epoch>,
) -> Claim {
    registry.claim(id, &server(by), &format!("{by}:7000"), expected).await.unwrap()
}

/// Claims a stream that is free.
pub(crate) async fn claimed(registry: &Arc<dyn Registry>, id: &StreamId, by: &str) -> Ownership {
    match claim(registry, id, by, None).await {
        Claim::Granted(ownership) => ownership,
        refused => panic!("{id} is not free: {refused:?}"),
    }
}

/// Claims a stream for another server than the one that has it under this epoch.
pub(crate) async fn taken_over(
    registry: &Arc<dyn Registry>,
    id: &StreamId,
    by: &str,
    from: Epoch,
) -> Ownership {
    match claim(registry, id, by, Some(from)).await {
        Claim::Granted(ownership) => ownership,
        refused => panic!("{id} can't be taken over: {refused:?}"),
    }
}

/// Makes a test of every rule, each on a new backend: `contract!(Backend::start(), #[tokio::test])`.
#[macro_export]
macro_rules! contract {
    (@ $backend:expr, #[$attribute:meta], $group:ident: $($rule:ident)*) => {
        mod $group {
            use super::*;
            $( #[$attribute] async fn $rule() {
                contract::$group::$rule(&$backend).await;
            } )*
        }
    };
    ($backend:expr, #[$attribute:meta]) => {
        $crate::contract!(@ $backend, #[$attribute], leases:
            a_free_stream_is_granted
            a_held_stream_is_refused_and_its_owner_told
            an_owner_known_to_be_dead_is_taken_over
            a_takeover_of_another_epoch_than_the_owners_is_refused
            an_owner_with_an_older_epoch_than_the_expected_one_is_taken_over
            a_stream_whose_expected_owner_has_gone_is_granted
            a_lease_runs_out
            a_renewal_extends_the_lease
            a_renewal_tells_the_broadcast
            a_renewal_brings_a_vanished_lease_back
            an_epoch_that_was_taken_over_is_fenced
            an_old_epoch_stays_fenced_when_the_newer_one_is_gone
            a_released_stream_is_free
            a_released_epoch_can_not_be_renewed
            releasing_an_old_epoch_does_nothing
            epochs_only_grow
            an_epoch_is_above_the_expected_one_even_if_that_is_unknown
            streams_are_apart
            an_epoch_is_one_servers
            what_an_owner_hands_off_outlives_its_lease
            a_turn_has_an_epoch_of_its_own
            a_turn_that_is_over_can_not_be_gone_on_from
            whoever_is_fenced_is_told_whose_the_newest_epoch_is
            a_claim_that_never_came_on_air_is_no_turn
            a_vanished_lease_comes_back_with_the_next_turn
            what_can_be_no_epoch_is_refused_and_changes_nothing
        );
        $crate::contract!(@ $backend, #[$attribute], races:
            of_many_claims_one_is_granted
            of_many_takeovers_one_is_granted
            of_an_owner_and_its_successor_one_can_renew
        );
        $crate::contract!(@ $backend, #[$attribute], servers:
            servers_are_listed_by_id_with_their_latest_load
            a_server_that_stops_to_register_is_forgotten
            a_heartbeat_keeps_a_server
            an_unregistered_server_is_gone_at_once
        );
        $crate::contract!(@ $backend, #[$attribute], viewers:
            viewers_are_added_up_over_all_origins
            viewers_that_nobody_reports_are_unknown_and_not_none
            an_origin_that_stops_to_report_is_forgotten
        );
        $crate::contract!(@ $backend, #[$attribute], events:
            changes_of_owners_are_told
            changes_of_inputs_are_told
            changes_of_servers_are_told_but_not_their_load
            a_server_that_ran_out_is_told_to_all_when_one_asks
        );
    };
}
