use std::sync::Arc;

use headwater_media::PublisherFacts;
use headwater_media::broadcast::PolicyOverrides;
use headwater_registry::{MemoryRegistry, Registry, Ttls};
use headwater_wire::Channels;

use super::*;
use crate::routing::Failures;

fn spec() -> PublishSpec {
    let failures = Failures::default();
    let facts = PublisherFacts::default();
    PublishSpec {
        stream: "demo".parse().unwrap(),
        publisher: "encoder".into(),
        facts,
        resume: None,
        failures,
        overrides: PolicyOverrides::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_lost_everything_is_given_two_heartbeats_to_hear_of_the_servers() {
    let registry = MemoryRegistry::new(Ttls::default());
    let router = Router::new(Arc::new(registry.clone()), Channels::default());
    let started = Instant::now();
    let refusal = router.find_server(&spec()).await.err();
    assert!(matches!(refusal, Some(RoutingError::NoServer)), "{refusal:?}");
    assert_eq!(started.elapsed(), REGISTRATION_TIME);

    let full = ServerRecord {
        id: "a".parse().unwrap(),
        address: "127.0.0.1:1".into(),
        capacity_millicores: 0,
        used_millicores: 0,
        broadcasts: 0,
        draining: false,
        version: "0.1.0".into(),
    };
    let registering = async {
        sleep(HEARTBEAT_INTERVAL).await;
        registry.register_server(&full).await.unwrap();
    };
    let spec = spec();
    let (found, ()) = tokio::join!(router.find_server(&spec), registering);
    let refusal = found.err();
    assert!(matches!(refusal, Some(RoutingError::NoCapacity)), "the server is found: {refusal:?}");
}
