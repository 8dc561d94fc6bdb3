use std::time::Duration;

use headwater_registry::{Claim, EPOCH_LIMIT, Handoff, Ownership, RegistryError};
use tokio::time::Instant;

use super::*;

pub(crate) async fn a_free_stream_is_granted(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    assert_eq!(registry.owner(&id).await.unwrap(), None);
    let ownership = claimed(&registry, &id, "a").await;
    assert!(ownership.epoch > Epoch(0));
    let epoch = ownership.epoch;
    assert_eq!(
        ownership,
        Ownership { server: server("a"), address: "a:7000".into(), epoch, broadcast: None }
    );
    assert_eq!(backend.with_defaults().await.owner(&id).await.unwrap(), Some(ownership));
}

pub(crate) async fn a_held_stream_is_refused_and_its_owner_told(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let mut owner = claimed(&registry, &id, "a").await;
    owner.broadcast = Some(broadcast(1));
    registry.renew(&id, &owner).await.unwrap();
    for by in ["a", "b"] {
        assert_eq!(claim(&registry, &id, by, None).await, Claim::Held(owner.clone()));
    }
    assert_eq!(registry.owner(&id).await.unwrap(), Some(owner));
}

pub(crate) async fn an_owner_known_to_be_dead_is_taken_over(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let dead = claimed(&registry, &id, "a").await;
    registry.renew(&id, &Ownership { broadcast: Some(broadcast(1)), ..dead.clone() }).await.unwrap();
    let Claim::Granted(next) = claim(&registry, &id, "b", Some(dead.epoch)).await else { panic!("refused") };
    assert!(next.epoch > dead.epoch);
    assert_eq!((next.server.as_str(), next.address.as_str(), next.broadcast), ("b", "b:7000", None));
    assert_eq!(registry.owner(&id).await.unwrap(), Some(next));
}

pub(crate) async fn a_takeover_of_another_epoch_than_the_owners_is_refused(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let owner = claimed(&registry, &id, "a").await;
    for wrong in [Epoch(0), Epoch(owner.epoch.0 - 1)] {
        assert_eq!(claim(&registry, &id, "b", Some(wrong)).await, Claim::Held(owner.clone()));
    }
}

/// The registry has lost everything, and an owner of the past was the first to renew its lease.
pub(crate) async fn an_owner_with_an_older_epoch_than_the_expected_one_is_taken_over(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let past = claimed(&registry, &id, "a").await;
    registry.renew(&id, &past).await.unwrap();
    let forgotten = Epoch(past.epoch.0 + 7);
    let Claim::Granted(next) = claim(&registry, &id, "b", Some(forgotten)).await else { panic!("refused") };
    assert!(next.epoch > forgotten);
    assert_fenced(&registry, &id, &past).await;
}

pub(crate) async fn a_stream_whose_expected_owner_has_gone_is_granted(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let gone = claimed(&registry, &id, "a").await;
    registry.release(&id, &gone.server, gone.epoch).await.unwrap();
    let next = claim(&registry, &id, "b", Some(gone.epoch)).await;
    assert!(matches!(&next, Claim::Granted(next) if next.epoch > gone.epoch), "{next:?}");
}

pub(crate) async fn a_lease_runs_out(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let id = stream("demo");
    let start = Instant::now();
    claimed(&registry, &id, "a").await;
    until_expired(&registry, &id).await;
    let clocks_round_to_milliseconds = Duration::from_millis(2);
    assert!(start.elapsed() + clocks_round_to_milliseconds >= SHORT.lease, "{:?}", start.elapsed());
    claimed(&registry, &id, "b").await;
}

pub(crate) async fn a_renewal_extends_the_lease(backend: &impl Backend) {
    let id = stream("demo");
    let owner = claimed(&backend.open(SHORT).await, &id, "a").await;
    let registry = backend.with_defaults().await;
    registry.renew(&id, &owner).await.unwrap();
    outlast_a_short_ttl(backend).await;
    assert_eq!(registry.owner(&id).await.unwrap(), Some(owner));
}

pub(crate) async fn a_renewal_tells_the_broadcast(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let mut owner = claimed(&registry, &id, "a").await;
    for value in [Some(broadcast(1)), Some(broadcast(2)), None] {
        owner.broadcast = value;
        registry.renew(&id, &owner).await.unwrap();
        assert_eq!(registry.owner(&id).await.unwrap(), Some(owner.clone()));
    }
}

pub(crate) async fn a_renewal_brings_a_vanished_lease_back(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let id = stream("demo");
    let owner = Ownership { broadcast: Some(broadcast(1)), ..claimed(&registry, &id, "a").await };
    until_expired(&registry, &id).await;
    let registry = backend.with_defaults().await;
    registry.renew(&id, &owner).await.unwrap();
    assert_eq!(registry.owner(&id).await.unwrap(), Some(owner.clone()));
    assert_eq!(claim(&registry, &id, "b", None).await, Claim::Held(owner));
}

pub(crate) async fn an_epoch_that_was_taken_over_is_fenced(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let old = claimed(&registry, &id, "a").await;
    let new = taken_over(&registry, &id, "b", old.epoch).await;
    assert_fenced(&registry, &id, &old).await;
    assert_eq!(registry.owner(&id).await.unwrap(), Some(new));
}

pub(crate) async fn an_old_epoch_stays_fenced_when_the_newer_one_is_gone(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let id = stream("demo");
    let old = claimed(&registry, &id, "a").await;
    claim(&registry, &id, "b", Some(old.epoch)).await;
    until_expired(&registry, &id).await;
    assert_fenced(&registry, &id, &old).await;
}

pub(crate) async fn a_released_stream_is_free(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let owner = claimed(&registry, &id, "a").await;
    registry.release(&id, &owner.server, owner.epoch).await.unwrap();
    assert_eq!(registry.owner(&id).await.unwrap(), None);
    claimed(&registry, &id, "b").await;
}

pub(crate) async fn a_released_epoch_can_not_be_renewed(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let owner = claimed(&registry, &id, "a").await;
    registry.release(&id, &owner.server, owner.epoch).await.unwrap();
    assert_fenced(&registry, &id, &owner).await;
}

pub(crate) async fn releasing_an_old_epoch_does_nothing(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let old = claimed(&registry, &id, "a").await;
    let new = taken_over(&registry, &id, "b", old.epoch).await;
    registry.release(&id, &old.server, old.epoch).await.unwrap();
    assert_eq!(registry.owner(&id).await.unwrap(), Some(new.clone()));
    registry.renew(&id, &new).await.unwrap();
}

pub(crate) async fn epochs_only_grow(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let id = stream("demo");
    let first = claimed(&registry, &id, "a").await.epoch;
    let taken_over = taken_over(&registry, &id, "b", first).await.epoch;
    until_expired(&registry, &id).await;
    let after_expiry = claimed(&registry, &id, "c").await.epoch;
    registry.release(&id, &server("c"), after_expiry).await.unwrap();
    let after_release = claimed(&registry, &id, "a").await.epoch;
    let epochs = [first, taken_over, after_expiry, after_release];
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

pub(crate) async fn an_epoch_is_above_the_expected_one_even_if_that_is_unknown(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let forgotten = Epoch(1 << 50);
    let next = claim(&registry, &id, "a", Some(forgotten)).await;
    assert!(matches!(&next, Claim::Granted(next) if next.epoch > forgotten), "{next:?}");
}

pub(crate) async fn streams_are_apart(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let one = stream("one");
    let two = stream("two");
    let owner = claimed(&registry, &one, "a").await;
    let other = claimed(&registry, &two, "b").await;
    registry.release(&two, &other.server, other.epoch).await.unwrap();
    assert_eq!(registry.owner(&one).await.unwrap(), Some(owner));
}

pub(crate) async fn an_epoch_is_one_servers(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let id = stream("demo");
    let owner = claimed(&registry, &id, "a").await;
    let thief = Ownership { server: server("b"), address: "b:7000".into(), ..owner.clone() };
    for is_live in [true, false] {
        if !is_live {
            until_expired(&registry, &id).await;
        }
        assert!(matches!(registry.renew(&id, &thief).await, Err(RegistryError::Fenced { .. })));
        assert!(matches!(registry.next_turn(&id, &thief).await, Err(RegistryError::Fenced { .. })));
        registry.release(&id, &thief.server, thief.epoch).await.unwrap();
        registry.renew(&id, &owner).await.unwrap();
        assert_eq!(registry.owner(&id).await.unwrap(), Some(owner.clone()));
    }
}

pub(crate) async fn a_turn_has_an_epoch_of_its_own(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let first = Ownership { broadcast: Some(broadcast(1)), ..claimed(&registry, &id, "a").await };
    registry.renew(&id, &first).await.unwrap();
    let epoch = registry.next_turn(&id, &first).await.unwrap();
    assert!(epoch > first.epoch);
    let second = Ownership { epoch, ..first.clone() };
    assert_eq!(registry.owner(&id).await.unwrap(), Some(second.clone()));
    assert_fenced(&registry, &id, &first).await;
    registry.renew(&id, &second).await.unwrap();
}

pub(crate) async fn a_turn_that_is_over_can_not_be_gone_on_from(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let id = stream("demo");
    let first = claimed(&registry, &id, "a").await;
    let epoch = registry.next_turn(&id, &first).await.unwrap();
    let second = Ownership { epoch, ..first.clone() };
    assert_eq!(claim(&registry, &id, "b", Some(first.epoch)).await, Claim::Held(second.clone()));
    until_expired(&registry, &id).await;
    assert_eq!(claim(&registry, &id, "b", Some(first.epoch)).await, Claim::Passed(epoch));
    assert_eq!(registry.owner(&id).await.unwrap(), None);
    registry.renew(&id, &second).await.unwrap();
    registry.release(&id, &second.server, epoch).await.unwrap();
    assert_eq!(claim(&registry, &id, "b", Some(first.epoch)).await, Claim::Passed(epoch));
    assert!(matches!(claim(&registry, &id, "b", Some(epoch)).await, Claim::Granted(_)));
}

/// An owner to which the answer was lost finds out in that way, also when the lease has run out meanwhile.
pub(crate) async fn whoever_is_fenced_is_told_whose_the_newest_epoch_is(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let id = stream("demo");
    let owner = claimed(&registry, &id, "a").await;
    let epoch = registry.next_turn(&id, &owner).await.unwrap();
    let turn = (epoch, Some(server("a")));
    assert_eq!(fenced(registry.renew(&id, &owner).await), turn);
    until_expired(&registry, &id).await;
    assert_eq!(fenced(registry.renew(&id, &owner).await), turn);
    assert_eq!(fenced(registry.next_turn(&id, &owner).await), turn);
    assert_eq!(fenced(registry.hand_off(&id, &owner, None).await), turn);
    let thief = Ownership { server: server("b"), epoch, ..owner.clone() };
    assert_eq!(fenced(registry.renew(&id, &thief).await), turn);
    let next = taken_over(&registry, &id, "b", epoch).await;
    assert_eq!(fenced(registry.renew(&id, &owner).await), (next.epoch, Some(server("b"))));
    registry.release(&id, &next.server, next.epoch).await.unwrap();
    assert_eq!(fenced(registry.renew(&id, &owner).await).1, None);
}

fn fenced<T: std::fmt::Debug>(answer: Result<T, RegistryError>) -> (Epoch, Option<ServerId>) {
    match answer {
        Err(RegistryError::Fenced { newest, server, .. }) => (newest, server),
        other => panic!("not fenced: {other:?}"),
    }
}

/// Its answer was lost, or its server did not take the publisher.
pub(crate) async fn a_claim_that_never_came_on_air_is_no_turn(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let id = stream("demo");
    let owner = claimed(&registry, &id, "a").await;
    registry.renew(&id, &owner).await.unwrap();
    let unused = taken_over(&registry, &id, "b", owner.epoch).await;
    until_expired(&registry, &id).await;
    let next = taken_over(&registry, &id, "c", owner.epoch).await;
    assert!(next.epoch > unused.epoch);
}

pub(crate) async fn a_vanished_lease_comes_back_with_the_next_turn(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let id = stream("demo");
    let owner = claimed(&registry, &id, "a").await;
    until_expired(&registry, &id).await;
    let epoch = registry.next_turn(&id, &owner).await.unwrap();
    assert_eq!(registry.owner(&id).await.unwrap(), Some(Ownership { epoch, ..owner }));
}

pub(crate) async fn what_can_be_no_epoch_is_refused_and_changes_nothing(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let owner = claimed(&registry, &id, "a").await;
    for forged in [u64::MAX, EPOCH_LIMIT.0, EPOCH_LIMIT.0 + 1] {
        let forged = Ownership { epoch: Epoch(forged), ..owner.clone() };
        for id in [&id, &stream("new")] {
            assert!(matches!(registry.renew(id, &forged).await, Err(RegistryError::Fenced { .. })));
            assert!(matches!(registry.next_turn(id, &forged).await, Err(RegistryError::Fenced { .. })));
            registry.release(id, &forged.server, forged.epoch).await.unwrap();
        }
        assert_eq!(claim(&registry, &id, "b", Some(forged.epoch)).await, Claim::Held(owner.clone()));
    }
    registry.renew(&id, &owner).await.unwrap();
    assert_eq!(registry.owner(&stream("new")).await.unwrap(), None);
    let next = taken_over(&registry, &id, "b", owner.epoch).await;
    let millis = next.epoch.0 - owner.epoch.0;
    assert!((1..60_000).contains(&millis), "epochs go on by the clock: {millis} ms");
}

/// The next owner finds it after the lease has run out, was taken over or released, until it does not hold any longer.
pub(crate) async fn what_an_owner_hands_off_outlives_its_lease(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let id = stream("demo");
    assert_eq!(registry.handoff(&id).await.unwrap(), None);
    let owner = claimed(&registry, &id, "a").await;
    let handoff = Handoff { document: "where to go on".into(), lasts: Duration::from_secs(3600) };
    registry.hand_off(&id, &owner, Some(&handoff)).await.unwrap();
    until_expired(&registry, &id).await;
    let next = claimed(&registry, &id, "b").await;
    let left = registry.handoff(&id).await.unwrap().unwrap();
    assert_eq!(left.document, handoff.document);
    assert!(left.lasts < handoff.lasts && left.lasts > handoff.lasts / 2, "{:?}", left.lasts);
    let fenced = registry.hand_off(&id, &owner, None).await;
    assert!(matches!(fenced, Err(RegistryError::Fenced { .. })), "{fenced:?}");
    registry.release(&id, &next.server, next.epoch).await.unwrap();
    assert!(registry.handoff(&id).await.unwrap().is_some());
    let last = claimed(&registry, &id, "c").await;
    registry.hand_off(&id, &last, None).await.unwrap();
    assert_eq!(registry.handoff(&id).await.unwrap(), None);
    registry.hand_off(&id, &last, Some(&Handoff { lasts: SHORT.lease, ..handoff })).await.unwrap();
    eventually("it holds no longer", async || registry.handoff(&id).await.unwrap().is_none().then_some(()))
        .await;
}

async fn assert_fenced(registry: &Arc<dyn Registry>, id: &StreamId, old: &Ownership) {
    let before = registry.owner(id).await.unwrap();
    match registry.renew(id, old).await {
        Err(RegistryError::Fenced { stream, epoch, newest, .. }) => {
            assert_eq!((&stream, epoch), (id, old.epoch));
            assert!(newest > epoch, "{newest}");
        }
        other => panic!("not fenced: {other:?}"),
    }
    assert_eq!(registry.owner(id).await.unwrap(), before);
}
