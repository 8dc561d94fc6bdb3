//! Errors that end a worker.

use std::io;
use std::time::Duration;

/// Why a worker gave up. Every text names the element or the setting that somebody has to look at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("GStreamer did not start: {0}")]
    Init(#[source] gst::glib::Error),
    #[error("the GStreamer element {name} could not be made; is its plugin installed?")]
    Missing { name: &'static str, source: gst::glib::BoolError },
    #[error("{pipeline} could not be put together: {what}")]
    Build { pipeline: String, what: String },
    #[error("{0}")]
    Unsupported(String),
    #[error("{element}: {message}")]
    Element { element: String, message: String, of_source: bool },
    #[error("this server can't confine its workers: {0}")]
    Unconfined(String),
    #[error("this source needs more memory than server.worker_memory allows ({} MiB)", limit >> 20)]
    Memory { limit: u64 },
    #[error("{element} did not move for {} s", limit.as_secs())]
    Frozen { element: String, limit: Duration },
    #[error("nobody took the worker's output for {} s", limit.as_secs())]
    Unheard { limit: Duration },
    #[error("{0}")]
    Packaging(String),
    #[error("{rendition} would need another init segment than viewers of this period have")]
    PeriodDiffers { rendition: String },
    #[error("the input ended without a word")]
    InputEnded,
    #[error("the input could not be read: {0}")]
    Input(#[source] io::Error),
    #[error("the input broke the protocol: {0}")]
    Protocol(String),
    #[error("the output could not be written: {0}")]
    Output(#[source] io::Error),
}

impl Error {
    /// Whether the publisher's media is to blame, and not this worker.
    pub fn is_unsupported_media(&self) -> bool {
        matches!(self, Self::Unsupported(_) | Self::Element { of_source: true, .. })
    }
}

/// Result of the worker's parts.
pub type Result<T, E = Error> = std::result::Result<T, E>;
