//! Packager, window, playlists and reload together, through the public interface.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod broadcast;
mod dash;
mod drift;
mod dvr;
mod names;
mod playlists;
mod properties;
mod reader;
mod reload;
mod resume;
mod window;
mod xml;
