//! The body of an answer: pieces of memory that are sent one after the other and never copied together, the last of them
//! perhaps not made yet.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::stream::BoxStream;
use http_body::{Frame, SizeHint};
use metrics::Counter;

/// Why the rest of an answer will not be sent. The connection is broken off, so that nobody takes what was sent for the
/// whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    #[error("the next part of the segment was not there in time")]
    Late,
    #[error("the segment is no longer in the live window")]
    Gone,
    #[error("the object store did not give what was to be sent")]
    Unread,
    #[error("nothing of the file was taken for too long")]
    Stalled,
}

/// Gives the bytes of a range.
pub(crate) type Reader = Box<dyn FnOnce(Range<u64>) -> Pieces + Send>;
/// Bytes that come one by one.
pub(crate) type Pieces = BoxStream<'static, Result<Bytes, Interrupted>>;

/// A list of pieces with a length that is known from the start; or pieces that come one by one, whose length may be known.
#[derive(Default)]
pub(crate) struct Body {
    /// Most bodies have no more than this one, and take no memory of their own.
    first: Option<Bytes>,
    rest: VecDeque<Bytes>,
    /// Bytes that are still to be sent, where that is known.
    left: u64,
    is_growing: bool,
    /// Reader of the body, started when the first byte is sent.
    unread: Option<(Reader, Range<u64>)>,
    /// Pieces that come one by one, after the ones above.
    more: Option<Pieces>,
    /// Counts what was handed to the connection, where somebody wants to know.
    sent: Option<Counter>,
}

impl Body {
    /// Pieces that are still being made.
    pub(crate) fn growing(more: Pieces) -> Self {
        Self { more: Some(more), is_growing: true, ..Self::default() }
    }

    /// So many bytes that are read as they are sent.
    pub(crate) fn read(length: u64, reader: Reader) -> Self {
        Self { left: length, unread: Some((reader, 0..length)), ..Self::default() }
    }

    /// None while it is not known.
    pub(crate) fn len(&self) -> Option<u64> {
        (!self.is_growing).then_some(self.left)
    }

    /// Only these bytes of the body; `range` lies within it.
    #[must_use]
    pub(crate) fn slice(self, range: Range<u64>) -> Self {
        if let Some((reader, whole)) = self.unread {
            let part = whole.start + range.start..whole.start + range.end;
            return Self { left: range.end - range.start, unread: Some((reader, part)), ..Self::default() };
        }
        let mut start = 0;
        let mut cut = |piece: Bytes| {
            let piece_start = start;
            start += piece.len() as u64;
            let within = |at: u64| at.clamp(piece_start, start) - piece_start;
            piece.slice(within(range.start) as usize..within(range.end) as usize)
        };
        self.first.into_iter().chain(self.rest).map(&mut cut).collect()
    }

    #[must_use]
    pub(crate) fn counted(self, sent: Counter) -> Self {
        Self { sent: Some(sent), ..self }
    }
}

impl FromIterator<Bytes> for Body {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        let first = pieces.next();
        let rest: VecDeque<_> = pieces.collect();
        let left = first.iter().chain(&rest).map(|piece| piece.len() as u64).sum();
        Self { first, rest, left, ..Self::default() }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::from_iter([bytes])
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        if let Some((reader, range)) = self.unread.take() {
            self.more = Some(reader(range));
        }
        let next = match (self.first.take(), self.more.as_mut()) {
            (Some(piece), _) => {
                self.first = self.rest.pop_front();
                Some(Ok(piece))
            }
            (None, Some(more)) => ready!(more.as_mut().poll_next(cx)),
            (None, None) => None,
        };
        let Some(Ok(piece)) = next else {
            self.more = None;
            return Poll::Ready(next.map(|end| end.map(Frame::data)));
        };
        self.left = self.left.saturating_sub(piece.len() as u64);
        if let Some(sent) = &self.sent {
            sent.increment(piece.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.more.is_none() && self.unread.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_growing { SizeHint::default() } else { SizeHint::with_exact(self.left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &Body) -> String {
        body.first.iter().chain(&body.rest).map(|piece| std::str::from_utf8(piece).unwrap()).collect()
    }

    fn body() -> Body {
        ["abc", "", "defg", "h"].into_iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
    }

    #[test]
    fn a_slice_crosses_pieces() {
        for start in 0..=8 {
            for end in start..=8 {
                let slice = body().slice(start..end);
                assert_eq!(text(&slice), "abcdefgh"[start as usize..end as usize]);
                assert_eq!(slice.len(), Some(end - start));
            }
        }
    }

    #[test]
    fn nothing_is_at_its_end_at_once() {
        assert!(http_body::Body::is_end_stream(&Body::default()));
        assert!(http_body::Body::is_end_stream(&body().slice(3..3)));
        assert_eq!(http_body::Body::size_hint(&body()).exact(), Some(8));
    }
}
