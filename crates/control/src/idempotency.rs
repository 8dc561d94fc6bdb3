//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request that is repeated under its key makes nothing
//! twice. Keys are remembered by this process only.

use std::time::Duration;

use headwater_media::StreamId;
use http::HeaderMap;
use moka::sync::Cache;
use ring::digest::{SHA256, digest};

use crate::auth::Caller;
use crate::problem::Problem;

const KEY_HEADER: &str = "idempotency-key";
/// Characters of a key, at most.
const MAX_KEY_LENGTH: usize = 255;
/// Keys that are remembered, some 400 bytes each, and for how long.
const MAX_KEYS: u64 = 10_000;
const MEMORY_TIME: Duration = Duration::from_secs(24 * 3_600);

/// Requests under their keys. A key belongs to its caller.
pub(crate) struct Attempts(Cache<CallersKey, Attempt>);

type CallersKey = (String, String);
type Fingerprint = [u8; 32];

#[derive(Clone)]
struct Attempt {
    /// Hash of the request's body.
    fingerprint: Fingerprint,
    /// Resource that the request made; none while it is at work.
    made: Option<StreamId>,
}

/// Request whose key was looked at.
pub(crate) enum Begun {
    First(Pending),
    /// The request was answered before, and has made this.
    Again(StreamId),
}

/// Request that is at work. Dropped without a result, it leaves its key free for another attempt.
pub(crate) struct Pending {
    attempts: Cache<CallersKey, Attempt>,
    /// Key and fingerprint, where the caller has sent a key.
    key: Option<(CallersKey, Fingerprint)>,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(MAX_KEYS).time_to_live(MEMORY_TIME).build())
    }

    /// Begins a request with this body under its key, unless the key has been used.
    pub(crate) fn begin(&self, caller: &Caller, key: Option<String>, body: &[u8]) -> Result<Begun, Problem> {
        let attempts = self.0.clone();
        let Some(key) = key else { return Ok(Begun::First(Pending { attempts, key: None })) };
        let key = (caller.name.to_string(), key);
        let fingerprint = digest(&SHA256, body).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let entry = self.0.entry(key.clone()).or_insert(Attempt { fingerprint, made: None });
        if entry.is_fresh() {
            return Ok(Begun::First(Pending { attempts, key: Some((key, fingerprint)) }));
        }
        match entry.into_value() {
            attempt if attempt.fingerprint != fingerprint => Err(Problem::key_reused()),
            Attempt { made: Some(uid), .. } => Ok(Begun::Again(uid)),
            Attempt { made: None, .. } => Err(Problem::key_in_flight()),
        }
    }
}

impl Pending {
    /// Notes the resource that the request has made.
    pub(crate) fn finish(mut self, uid: &StreamId) {
        if let Some((key, fingerprint)) = self.key.take() {
            self.attempts.insert(key, Attempt { fingerprint, made: Some(uid.clone()) });
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some((key, _)) = self.key.take() {
            self.attempts.invalidate(&key);
        }
    }
}

/// Idempotency key of a request with these headers.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(KEY_HEADER) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=MAX_KEY_LENGTH).contains(&key.len()));
    let key = key.filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
    key.map(|key| Some(key.to_owned())).ok_or_else(Problem::bad_idempotency_key)
}
