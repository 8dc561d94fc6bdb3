//! A server as proxies and origins meet it: over gRPC, with a real worker process that only lacks GStreamer.
#![allow(clippy::unwrap_used, reason = "only tests are in here")]

mod draining;
mod ending;
mod operating;
mod policy;
mod publishing;
mod resuming;
mod statistics;
mod storing;
mod strangers;
mod support;
mod taking_over;
mod turns;
mod versions;
mod watching;
mod workers;
