//! Shared parts of the end-to-end tests: the services as real processes, publishers, a player that holds every playlist
//! against the rules of RFC 8216bis, and a look at what was really shown.

pub mod broadcasts;
pub mod content;
pub mod dash;
pub mod encoder;
pub mod feed;
pub mod http;
pub mod inputs;
pub mod matrix;
pub mod network;
pub mod old;
pub mod player;
pub mod process;
pub mod publish;
pub mod recorded;
pub mod relay;
pub mod stack;
pub mod wait;
pub mod workers;
