use tokio::task::JoinSet;

use super::*;

const RIVALS: usize = 24;

pub(crate) async fn of_many_claims_one_is_granted(backend: &impl Backend) {
    race(backend, None).await;
}

pub(crate) async fn of_many_takeovers_one_is_granted(backend: &impl Backend) {
    let dead = claimed(&backend.with_defaults().await, &stream("demo"), "dead").await;
    race(backend, Some(dead.epoch)).await;
}

pub(crate) async fn of_an_owner_and_its_successor_one_can_renew(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let mut owner = claimed(&registry, &id, "server-0").await;
    for n in 1..=20 {
        let other = backend.with_defaults().await;
        let by = format!("server-{n}");
        let (renewed, taken) =
            tokio::join!(registry.renew(&id, &owner), claim(&other, &id, &by, Some(owner.epoch)));
        // Whichever came first, the successor is the only owner from then on.
        let Claim::Granted(successor) = taken else { panic!("refused after {renewed:?}") };
        assert!(registry.renew(&id, &owner).await.is_err());
        registry.renew(&id, &successor).await.unwrap();
        owner = successor;
    }
}

/// Everybody claims at once, each over a connection of its own.
async fn race(backend: &impl Backend, expected: Option<Epoch>) {
    let id = stream("demo");
    let mut rivals = JoinSet::new();
    for n in 0..RIVALS {
        let registry = backend.with_defaults().await;
        let id = id.clone();
        rivals.spawn(async move { claim(&registry, &id, &format!("rival-{n}"), expected).await });
    }
    let mut winners = Vec::new();
    let mut told = Vec::new();
    for outcome in rivals.join_all().await {
        match outcome {
            Claim::Granted(ownership) => winners.push(ownership),
            Claim::Held(ownership) => told.push(ownership),
            Claim::Passed(epoch) => panic!("nothing was on air under {epoch}"),
        }
    }
    assert_eq!((winners.len(), told.len()), (1, RIVALS - 1), "{winners:?}");
    assert!(told.iter().all(|owner| *owner == winners[0]), "{winners:?} {told:?}");
    assert_eq!(backend.with_defaults().await.owner(&id).await.unwrap().as_ref(), winners.first());
}
