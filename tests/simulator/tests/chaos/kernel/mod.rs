//! The simulated machines and the network between them. Everything happens on one thread, in steps of [`STEP_MS`].

pub mod chance;
pub mod log;
pub mod machine;
pub mod metrics;
pub mod net;
pub mod registry;
pub mod socket;
pub mod store;
pub mod system;

/// Each machine lives for so long before the next one's turn. What they send arrives in a later step.
pub const STEP_MS: u64 = 5;
