//! The transcode server: takes media over gRPC, has a worker process make the ladder of it, and shows the live window
//! to origins. It knows no RTMP and no HTTP.

mod admission;
mod broadcast;
mod failure;
mod grpc;
mod heartbeat;
mod incoming;
mod recording;
mod settings;
mod start;
mod worker;

pub use broadcast::Home;
pub use headwater_transcode::launch::WorkerCommand;
pub use settings::{Policies, Settings, StoreSource};
pub use start::{ServerError, run, run_at};
pub use worker::{Worker, Workers};
