//! Each rule acts through one registry and watches through another, as two processes would. What must not be told is
//! shown by the next event being that of a later change.

use headwater_registry::RegistryEvent::{InputChanged, OwnerChanged, ServersChanged};

use super::*;

pub(crate) async fn changes_of_owners_are_told(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let id = stream("demo");
    let watcher = backend.with_defaults().await;
    let mut watch = watcher.watch();
    let mut told = async || next_change(&mut watch).await;

    let mut owner = claimed(&registry, &id, "a").await;
    assert_eq!(told().await, OwnerChanged(id.clone()));

    registry.renew(&id, &owner).await.unwrap();
    claim(&registry, &id, "refused", None).await;
    claimed(&registry, &stream("mark-1"), "a").await;
    assert_eq!(told().await, OwnerChanged(stream("mark-1")));

    owner.broadcast = Some(broadcast(1));
    registry.renew(&id, &owner).await.unwrap();
    assert_eq!(told().await, OwnerChanged(id.clone()));

    let successor = taken_over(&registry, &id, "b", owner.epoch).await;
    assert_eq!(told().await, OwnerChanged(id.clone()));

    registry.renew(&id, &owner).await.unwrap_err();
    registry.release(&id, &owner.server, owner.epoch).await.unwrap();
    claimed(&registry, &stream("mark-2"), "a").await;
    assert_eq!(told().await, OwnerChanged(stream("mark-2")));

    registry.release(&id, &successor.server, successor.epoch).await.unwrap();
    assert_eq!(told().await, OwnerChanged(id));
}

pub(crate) async fn changes_of_inputs_are_told(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let watcher = backend.with_defaults().await;
    let mut watch = watcher.watch();
    registry.announce_input(&stream("demo")).await.unwrap();
    assert_eq!(next_change(&mut watch).await, InputChanged(stream("demo")));
}

pub(crate) async fn changes_of_servers_are_told_but_not_their_load(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    let watcher = backend.with_defaults().await;
    let mut watch = watcher.watch();
    let mut told = async || next_change(&mut watch).await;

    registry.register_server(&record("a")).await.unwrap();
    assert_eq!(told().await, ServersChanged);

    let busy = ServerRecord { used_millicores: 900, broadcasts: 1, ..record("a") };
    registry.register_server(&busy).await.unwrap();
    claimed(&registry, &stream("mark"), "a").await;
    assert_eq!(told().await, OwnerChanged(stream("mark")));

    registry.register_server(&ServerRecord { draining: true, ..busy }).await.unwrap();
    assert_eq!(told().await, ServersChanged);

    registry.unregister_server(&server("a")).await.unwrap();
    assert_eq!(told().await, ServersChanged);
}

pub(crate) async fn a_server_that_ran_out_is_told_to_all_when_one_asks(backend: &impl Backend) {
    let registry = backend.open(SHORT).await;
    let watcher = backend.with_defaults().await;
    let mut watch = watcher.watch();
    registry.register_server(&record("a")).await.unwrap();
    assert_eq!(next_change(&mut watch).await, ServersChanged);
    eventually("the server is forgotten", async || {
        registry.servers().await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(next_change(&mut watch).await, ServersChanged);
}
