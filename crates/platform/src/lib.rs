//! What the machine around a process knows: for now, the address that others reach this process by.

mod address;
mod ecs;

pub use address::{Advertised, Found, OwnAddress, OwnAddressError, own_address};
pub use ecs::{METADATA_VARIABLE, MetadataError};
