//! Documents of earlier releases, read with the code of today.
#![allow(clippy::unwrap_used, reason = "only tests are in here")]

mod contract;
mod fields;
mod messages;
mod redis;
mod store;
mod values;
mod wire;
