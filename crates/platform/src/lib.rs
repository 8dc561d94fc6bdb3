//! Surroundings of a process: the address that others reach it by, and the object store.

mod address;
mod ecs;
pub mod store;

pub use address::{Advertised, Found, OwnAddress, OwnAddressError, own_address};
pub use ecs::{METADATA_VARIABLE, MetadataError};
