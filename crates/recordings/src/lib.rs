//! What is stored of broadcasts: where it stands, and how it gets there and away again.

mod layout;

pub use layout::Layout;
