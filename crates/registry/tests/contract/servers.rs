use super::*;

pub(crate) async fn servers_are_listed_by_id_with_their_latest_load(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    assert_eq!(registry.servers().await.unwrap(), []);
    for id in ["b", "c", "a"] {
        registry.register_server(&record(id)).await.unwrap();
    }
    let busy = ServerRecord { used_millicores: 3_000, broadcasts: 2, draining: true, ..record("b") };
    registry.register_server(&busy).await.unwrap();
    let expected = [record("a"), busy, record("c")];
    assert_eq!(backend.with_defaults().await.servers().await.unwrap(), expected);
}

pub(crate) async fn a_server_that_stops_to_register_is_forgotten(backend: &impl Backend) {
    let short = backend.open(SHORT).await;
    let long = backend.with_defaults().await;
    long.register_server(&record("stays")).await.unwrap();
    short.register_server(&record("dies")).await.unwrap();
    let left = eventually("a server is forgotten", async || {
        let servers = long.servers().await.unwrap();
        (servers.len() < 2).then_some(servers)
    });
    assert_eq!(left.await, [record("stays")]);
}

pub(crate) async fn a_heartbeat_keeps_a_server(backend: &impl Backend) {
    let short = backend.open(SHORT).await;
    let long = backend.with_defaults().await;
    short.register_server(&record("a")).await.unwrap();
    long.register_server(&record("a")).await.unwrap();
    outlast_a_short_ttl(backend).await;
    assert_eq!(long.servers().await.unwrap(), [record("a")]);
}

pub(crate) async fn an_unregistered_server_is_gone_at_once(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    registry.register_server(&record("a")).await.unwrap();
    registry.register_server(&record("b")).await.unwrap();
    registry.unregister_server(&server("a")).await.unwrap();
    registry.unregister_server(&server("never-there")).await.unwrap();
    assert_eq!(registry.servers().await.unwrap(), [record("b")]);
}
