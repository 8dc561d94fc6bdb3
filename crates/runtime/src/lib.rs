//! How a process lives: its configuration, what it says of itself, how it listens, gets ready, drains and tries again.

pub mod backoff;
pub mod cli;
pub mod clock;
pub mod config;
mod files;
pub mod http;
pub mod listener;
pub mod operations;
pub mod outage;
pub mod process;
pub mod readiness;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
