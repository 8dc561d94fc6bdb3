//! A client of a store that dies at one of its writes.

use std::sync::atomic::{AtomicUsize, Ordering};

use headwater_platform::store::StoreError;
use headwater_platform::store::testing::{Access, Gate};

/// Moment of the client's death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The write does not reach the store.
    Before,
    /// The write is done, and its answer arrives nowhere.
    After,
}

/// Gate of a client that does some writes and dies at the next one: nothing reaches the store from then on.
pub struct MortalGate {
    left: AtomicUsize,
    death: Death,
}

impl MortalGate {
    pub fn new(writes: usize, death: Death) -> Self {
        Self { left: AtomicUsize::new(writes + 1), death }
    }
}

impl Gate for MortalGate {
    async fn pass<T: Send>(
        &self,
        access: Access,
        request: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if self.left.load(Ordering::Relaxed) == 0 {
            return Err(dead());
        }
        if access == Access::Read || self.left.fetch_sub(1, Ordering::Relaxed) > 1 {
            return request.await;
        }
        if self.death == Death::After {
            let _ = request.await;
        }
        Err(dead())
    }
}

fn dead() -> StoreError {
    StoreError::Unavailable("the client is dead".into())
}
