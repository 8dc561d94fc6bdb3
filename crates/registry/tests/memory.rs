//! The contract on the registry of one process, and what is particular to it.

// All of this is tests, which clippy does not see of functions that tests call.
#![allow(clippy::unwrap_used)]

mod contract;

use std::sync::Arc;
use std::time::Duration;

use contract::*;
use headwater_registry::{MemoryRegistry, Registry, Ttls};

struct Memory(MemoryRegistry);

impl Memory {
    fn start() -> Self {
        Self(MemoryRegistry::new(Ttls::default()))
    }
}

impl Backend for Memory {
    async fn open(&self, ttls: Ttls) -> Arc<dyn Registry> {
        Arc::new(self.0.with_ttls(ttls))
    }
}

contract!(Memory::start(), #[tokio::test(start_paused = true)]);

#[tokio::test(start_paused = true)]
async fn epochs_grow_also_when_the_old_ones_are_forgotten() {
    let registry = Memory::start().with_defaults().await;
    let busy = stream("busy");
    let idle = stream("idle");
    let old = claimed(&registry, &idle, "a").await;
    for _ in 0..5 {
        let owner = claimed(&registry, &busy, "a").await;
        registry.release(&busy, &owner.server, owner.epoch).await.unwrap();
    }
    tokio::time::advance(Duration::from_secs(25 * 60 * 60)).await;
    // A stream that is new makes the registry forget those that are idle.
    claimed(&registry, &stream("new"), "a").await;
    assert!(claimed(&registry, &idle, "b").await.epoch > old.epoch);
}

#[tokio::test]
async fn it_is_always_ready() {
    Memory::start().with_defaults().await.ready().await.unwrap();
}
