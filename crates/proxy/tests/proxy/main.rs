//! A proxy as encoders and servers meet it: RTMP on one side, gRPC on the other.
#![allow(clippy::unwrap_used, reason = "only tests are in here")]

mod drain;
mod failover;
mod inputs;
mod isolation;
mod limits;
mod load_balancer;
mod publishing;
mod routing;
mod rtmps;
mod sent_away;
mod support;
