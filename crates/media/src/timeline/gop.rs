//! Pictures from the newest keyframe on, so that a period can begin in their middle.

use crate::tag::Tag;

/// Pictures that a decoder needs to go on with the next one. Bounded in bytes: a longer group of pictures is not kept.
#[derive(Debug, Default)]
pub(super) struct Gop {
    /// From a keyframe on; empty where decoding can't start.
    pictures: Vec<Tag>,
    bytes: usize,
}

impl Gop {
    pub(super) fn push_picture(&mut self, picture: &Tag, max_bytes: usize) {
        if picture.is_keyframe() {
            self.clear_pictures();
        } else if self.pictures.is_empty() {
            return;
        }
        self.bytes += picture.memory_cost();
        self.pictures.push(picture.clone());
        if self.bytes > max_bytes {
            self.clear_pictures();
        }
    }

    pub(super) fn clear_pictures(&mut self) {
        (self.pictures, self.bytes) = (Vec::new(), 0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    pub(super) fn into_pictures(self) -> Vec<Tag> {
        self.pictures
    }
}
