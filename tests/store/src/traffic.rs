//! Requests to a store, for which Amazon would send a bill.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::Request;
use hyper::header::CONTENT_LENGTH;

/// Requests so far, the refused ones too.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// By their kinds: `PUT`, `GET`, `HEAD`, `POST`, `DELETE`, and `LIST`, which is a GET of a bucket.
    pub requests: BTreeMap<String, u64>,
    /// Bytes that were sent to the store.
    pub bytes: u64,
}

/// Counts for all connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted(Arc<Mutex<Traffic>>);

impl Counted {
    pub(crate) fn count<B>(&self, request: &Request<B>) {
        let is_list = request.uri().query().is_some_and(|query| query.contains("list-type="));
        let kind = if is_list { "LIST" } else { request.method().as_str() };
        let length = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let mut traffic = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *traffic.requests.entry(kind.to_owned()).or_default() += 1;
        traffic.bytes += length.unwrap_or_default();
    }

    pub(crate) fn now(&self) -> Traffic {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
