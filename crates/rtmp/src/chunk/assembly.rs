use bytes::{Bytes, BytesMut};

use crate::config::Phase;
use crate::error::RtmpError;

/// The least that is reserved for a message of more than one piece, so that small pieces do not each move it.
const MIN_RESERVED_BYTES: usize = 1 << 10;

/// The unfinished message of a chunk stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Assembly {
    bytes: BytesMut,
    /// Bytes accounted for in the reader's budget.
    reserved: usize,
}

impl Assembly {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn reserved_bytes(&self) -> usize {
        self.reserved
    }

    /// Adds a piece of a message that is `length` bytes long in all. `held` is what all assemblies have reserved.
    pub(super) fn append_piece(
        &mut self,
        piece: &[u8],
        length: usize,
        phase: &Phase,
        held: &mut usize,
    ) -> Result<(), RtmpError> {
        let needed = self.len() + piece.len();
        if needed > self.reserved {
            let room = if phase.reserve { length } else { length.min(MIN_RESERVED_BYTES.max(needed * 2)) };
            if *held - self.reserved + room > phase.reassembly {
                return Err(RtmpError::ReassemblyFull { limit: phase.reassembly });
            }
            *held = *held - self.reserved + room;
            self.reserved = room;
            self.bytes.reserve(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    pub(super) fn into_payload(self) -> Bytes {
        self.bytes.freeze()
    }
}
