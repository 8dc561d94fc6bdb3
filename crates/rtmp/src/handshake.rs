//! The handshake (RTMP 1.0 §5.2, and the digest one of Flash Player 9), by `rml_rtmp`, which answers both kinds.
//!
//! It is given exactly the bytes that belong to it, so that it never holds more and never copies what comes after.

use std::fmt;

use bytes::{Buf, Bytes};
use rml_rtmp::handshake::{Handshake as Inner, HandshakeProcessResult as Progress, PeerType};

use crate::error::RtmpError;
use crate::outbox::Outbox;

/// Bytes that each peer sends: one of version, then two packets.
const HANDSHAKE_BYTES: usize = 1 + 2 * 1_536;
/// The first byte of a TLS connection (RFC 8446 §5.1: the record type "handshake").
const TLS_HANDSHAKE_TYPE: u8 = 22;

pub(crate) struct Handshake {
    /// Boxed: it holds a packet of 1.5 KB, for the short while that it lives.
    inner: Box<Inner>,
    missing: usize,
}

/// Whether the handshake is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Going,
    Done,
}

impl Handshake {
    /// The side that waits for the other to begin.
    pub(crate) fn as_server() -> Self {
        Self { inner: Box::new(Inner::new(PeerType::Server)), missing: HANDSHAKE_BYTES }
    }

    /// The side that begins; its first packets are put in the outbox.
    pub(crate) fn as_client(outbox: &mut Outbox) -> Result<Self, RtmpError> {
        let mut inner = Box::new(Inner::new(PeerType::Client));
        outbox.put_raw(&inner.generate_outbound_p0_and_p1().map_err(RtmpError::Handshake)?);
        Ok(Self { inner, missing: HANDSHAKE_BYTES })
    }

    /// Takes what it needs off the front of `input`.
    pub(crate) fn take_input(
        &mut self,
        input: &mut Bytes,
        outbox: &mut Outbox,
    ) -> Result<Outcome, RtmpError> {
        if self.missing == HANDSHAKE_BYTES && input.first() == Some(&TLS_HANDSHAKE_TYPE) {
            return Err(RtmpError::Tls);
        }
        if input.is_empty() {
            return Ok(Outcome::Going);
        }
        let own = input.len().min(self.missing);
        let progress = self.inner.process_bytes(&input[..own]).map_err(RtmpError::Handshake)?;
        input.advance(own);
        self.missing -= own;
        let (response, outcome) = match progress {
            Progress::InProgress { response_bytes } => (response_bytes, Outcome::Going),
            Progress::Completed { response_bytes, .. } => (response_bytes, Outcome::Done),
        };
        outbox.put_raw(&response);
        Ok(outcome)
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("missing", &self.missing).finish_non_exhaustive()
    }
}
