//! The start of workers, and whether this server can start them. A worker that does not get so far that it could be given media says
//! something about the machine (descriptors, processes, plugins, the executable), and nothing about the publisher: it is
//! another server's turn then, and this one takes nothing more until a worker starts again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use headwater_runtime::backoff::Backoff;
use headwater_runtime::outage::Outage;
use headwater_runtime::readiness::Latch;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{FromWorker, OutputError, ToWorker, TranscodeSpec, Worker, Workers};
use crate::admission::Admission;
use crate::failure::{Code, Failure};

/// Attempts to start a worker for a publisher: the first may fail as the machine is short of something for a moment. A proxy
/// waits for [`ACCEPT_TIMEOUT`](headwater_runtime::config::ACCEPT_TIMEOUT), so a worker that takes its time to fail is not tried again.
const MAX_START_ATTEMPTS: u32 = 3;
/// Time until a server that can't start workers tries again.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Reason why a worker was not ready for media.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("it could not be started: {0}")]
    Spawn(#[source] io::Error),
    #[error("its pipe broke: {0}")]
    Pipe(#[source] io::Error),
    #[error("it exited at its start")]
    Exited,
    #[error("it did not begin with being ready")]
    Protocol,
    #[error("{}", .0.message)]
    Failed(Failure),
    #[error("it did not start in time")]
    Timeout,
}

impl From<OutputError> for StartError {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Pipe(error) => Self::Pipe(error),
            OutputError::Message(_) => Self::Protocol,
        }
    }
}

/// Starts the workers of a server.
#[derive(Debug)]
pub(crate) struct Starter {
    workers: Arc<dyn Workers>,
    /// Longest time until a worker is ready for media.
    limit: Duration,
    /// First message to a worker that is only tried out.
    trial: TranscodeSpec,
    admission: Admission,
    /// A publisher's worker did not start.
    doubted: Notify,
}

impl Starter {
    pub(crate) fn new(
        workers: Arc<dyn Workers>,
        limit: Duration,
        trial: TranscodeSpec,
        admission: Admission,
    ) -> Self {
        Self { workers, limit, trial, admission, doubted: Notify::new() }
    }

    /// Starts a worker for a publisher.
    ///
    /// # Errors
    /// For the proxy: another server may be able to. The operator finds the cause in the log.
    pub(crate) async fn start_worker(&self, spec: &TranscodeSpec) -> Result<Worker, Failure> {
        if !self.admission.is_able() {
            return Err(no_worker());
        }
        for attempt in 1..=MAX_START_ATTEMPTS {
            let error = match self.start_once(spec).await {
                Ok(worker) => return Ok(worker),
                Err(error) => error,
            };
            metrics::counter!("headwater_server_failed_starts_total").increment(1);
            tracing::error!(%error, attempt, "a worker could not be started");
            if matches!(error, StartError::Timeout) {
                break;
            }
        }
        self.doubted.notify_one();
        Err(no_worker())
    }

    async fn start_once(&self, spec: &TranscodeSpec) -> Result<Worker, StartError> {
        let mut worker = self.workers.start().map_err(StartError::Spawn)?;
        let ready = async {
            let sent = worker.input.send_message(ToWorker::Start(spec.clone())).await;
            // A worker that can't start says why, whether it has read everything or not.
            match worker.output.next_message().await? {
                Some(FromWorker::Ready) => sent.map_err(StartError::Pipe),
                Some(FromWorker::Failed(failure)) => Err(StartError::Failed(failure)),
                Some(_) => Err(StartError::Protocol),
                None => Err(StartError::Exited),
            }
        };
        timeout(self.limit, ready).await.unwrap_or(Err(StartError::Timeout))?;
        Ok(worker)
    }

    /// Finds out whether workers start, by one that is given nothing. Room is offered and the latch is set accordingly.
    pub(crate) async fn try_out(&self, latch: &Latch) -> Result<(), StartError> {
        let tried = self.start_once(&self.trial).await.map(drop);
        self.admission.set_able(tried.is_ok());
        if tried.is_ok() {
            latch.set()
        } else {
            latch.unset()
        }
        tried
    }

    /// Tries again while workers do not start, and after each publisher whose worker did not. Never ends.
    pub(crate) async fn watch_starts(&self, latch: &Latch) {
        let mut outage = Outage::default();
        loop {
            if self.admission.is_able() {
                self.doubted.notified().await;
            }
            let mut backoff = Backoff::new(FIRST_RETRY, MAX_RETRY_PAUSE);
            while let Err(error) = self.try_out(latch).await {
                if outage.begins() {
                    tracing::error!(%error, "no worker can be started: this server takes no broadcast until one can");
                }
                backoff.wait().await;
            }
            if outage.ends() {
                tracing::info!("workers can be started again");
            }
        }
    }
}

fn no_worker() -> Failure {
    Failure::new(Code::NoCapacity, "this server can't start a transcoder just now")
}
