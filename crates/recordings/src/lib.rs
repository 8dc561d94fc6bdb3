//! What is stored of broadcasts: where it stands, and how it gets there and away again.

mod layout;
mod settings;
pub mod uploads;

pub use layout::{Layout, UNFINISHED};
pub use settings::{store_settings, upload_settings};
