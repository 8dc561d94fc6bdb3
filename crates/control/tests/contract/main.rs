//! Contract of the control API: each status of it, asked for through a real listener.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic too")]

mod api;
mod cloudflare;
mod description;
mod idempotency;
mod live_inputs;
mod recordings;
mod requests;
mod streams;
mod tokens;
