//! Window acknowledgements (RTMP 1.0 §5.4.3, §5.4.4).

use crate::chunk::read_u32;
use crate::error::RtmpError;
use crate::outbox::Outbox;

/// Counts what arrives, and says so to the peer whenever another window is full.
#[derive(Debug)]
pub(crate) struct Flow {
    window: u32,
    received: u64,
    acknowledged: u64,
}

impl Flow {
    /// `window` holds until the peer names its own.
    pub(crate) fn new(window: u32) -> Self {
        Self { window: window.max(1), received: 0, acknowledged: 0 }
    }

    /// The peer named its window; zero means nothing.
    pub(crate) fn set_window(&mut self, payload: &[u8]) -> Result<(), RtmpError> {
        match read_u32(payload, "Window Acknowledgement Size")? {
            0 => {}
            size => self.window = size,
        }
        Ok(())
    }

    /// The running total is sent, modulo 2^32, at most once for each piece of input.
    pub(crate) fn count_received(&mut self, bytes: usize, outbox: &mut Outbox) -> Result<(), RtmpError> {
        self.received += bytes as u64;
        if self.received - self.acknowledged < u64::from(self.window) {
            return Ok(());
        }
        self.acknowledged = self.received;
        outbox.send_acknowledgement(self.received as u32)
    }
}
