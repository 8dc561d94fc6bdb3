//! Memory that a connection is read into, used again once the media in it is gone.

use std::collections::VecDeque;

use bytes::BytesMut;

/// What is read into at a time: a tenth of a second at 5 Mb/s, so that a busy connection costs few system calls.
const SIZE: usize = 64 << 10;
/// What is left of a block is used as long as it is not less. Media that is on its way holds on to all of the block that
/// it was read into, so that each has to be used for more than a packet.
const LEAST: usize = 8 << 10;
/// Blocks that may be free and are kept nevertheless: what a commit sets free at 8 Mb/s. More go back.
const SPARE: usize = 32;
/// So many of the oldest are looked at for one that is free: a codec's configuration holds on to its block for hours.
const LOOK: usize = 4;
/// Blocks that are waited for: what `proxy.replay_memory` is by default. Older ones go back when their media goes.
const MOST: usize = 1_024;

/// Blocks with media that is kept elsewhere, oldest first: it goes in the order that it came. Memory that is used for
/// seconds, taken between memory that is used for moments, is what an allocator is slowest at.
#[derive(Default)]
pub struct Blocks {
    used: VecDeque<BytesMut>,
}

/// A block to begin with.
pub fn first() -> BytesMut {
    BytesMut::with_capacity(SIZE)
}

impl Blocks {
    /// Gives a buffer that began with [`first`] room for another read. It is changed for another block only where it is
    /// empty.
    pub fn make_room(&mut self, buffer: &mut BytesMut) {
        if buffer.capacity() - buffer.len() >= LEAST || buffer.try_reclaim(SIZE) {
            return;
        }
        if !buffer.is_empty() {
            return buffer.reserve(SIZE);
        }
        let next = self.free().unwrap_or_else(first);
        self.keep(std::mem::replace(buffer, next));
    }

    fn keep(&mut self, block: BytesMut) {
        self.used.push_back(block);
        let is_spare = self.used.get_mut(SPARE).is_some_and(is_free);
        if is_spare || self.used.len() > MOST {
            self.used.pop_front();
        }
    }

    fn free(&mut self) -> Option<BytesMut> {
        let at = self.used.iter_mut().take(LOOK).position(is_free)?;
        self.used.remove(at)
    }
}

/// Nobody else holds on to it, and it is whole again.
fn is_free(block: &mut BytesMut) -> bool {
    block.try_reclaim(SIZE)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Fills a block, and gives what was read.
    fn fill(blocks: &mut Blocks, buffer: &mut BytesMut) -> Bytes {
        blocks.make_room(buffer);
        buffer.resize(buffer.capacity(), 1);
        buffer.split().freeze()
    }

    #[test]
    fn a_block_is_used_again_when_nobody_holds_on_to_it() {
        let (mut blocks, mut buffer) = (Blocks::default(), first());
        let kept: Vec<Bytes> = (0..3).map(|_| fill(&mut blocks, &mut buffer)).collect();
        let old: Vec<*const u8> = kept.iter().map(|block| block.as_ptr()).collect();
        assert!(old[0] != old[1] && old[1] != old[2] && old[0] != old[2], "each is still held");
        let [first, second, _third] = kept.try_into().unwrap();
        drop((first, second));
        let again = [fill(&mut blocks, &mut buffer), fill(&mut blocks, &mut buffer)];
        assert_eq!(again.each_ref().map(|block| block.as_ptr()), [old[0], old[1]]);
    }

    #[test]
    fn what_is_held_on_to_for_long_does_not_keep_the_others_from_use() {
        let (mut blocks, mut buffer) = (Blocks::default(), first());
        let _for_hours = fill(&mut blocks, &mut buffer);
        let kept: Vec<Bytes> = (0..3).map(|_| fill(&mut blocks, &mut buffer)).collect();
        let next = kept[0].as_ptr();
        drop(kept);
        // The buffer has used the last of them itself.
        let _last = fill(&mut blocks, &mut buffer);
        assert_eq!(fill(&mut blocks, &mut buffer).as_ptr(), next);
    }

    #[test]
    fn few_are_kept_after_a_time_with_many() {
        let (mut blocks, mut buffer) = (Blocks::default(), first());
        let kept: Vec<Bytes> = (0..2 * MOST).map(|_| fill(&mut blocks, &mut buffer)).collect();
        assert!(blocks.used.len() <= MOST);
        drop(kept);
        let held: Vec<Bytes> = (0..2 * MOST).map(|_| fill(&mut blocks, &mut buffer)).collect();
        drop(held);
        let mut last = Bytes::new();
        (0..2 * MOST).for_each(|_| last = fill(&mut blocks, &mut buffer));
        assert!(blocks.used.len() <= SPARE + 1, "{}", blocks.used.len());
    }

    #[test]
    fn what_was_not_taken_stays() {
        let (mut blocks, mut buffer) = (Blocks::default(), first());
        buffer.resize(SIZE, 1);
        let _taken = buffer.split_to(SIZE - 4);
        blocks.make_room(&mut buffer);
        assert_eq!(&buffer[..], [1; 4]);
        assert!(buffer.capacity() - buffer.len() >= LEAST);
    }
}
