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

use super::growing::Interrupted;

/// A list of pieces with a length that is known from the start; or pieces that come one by one.
#[derive(Default)]
pub(crate) struct Body {
    /// Most bodies have no more than this one, and take no memory of their own.
    first: Option<Bytes>,
    rest: VecDeque<Bytes>,
    left: u64,
    /// What comes after the pieces.
    more: Option<BoxStream<'static, Result<Bytes, Interrupted>>>,
    /// Counts what was handed to the connection, where somebody wants to know.
    sent: Option<Counter>,
}

impl Body {
    /// Pieces that are still being made.
    pub(crate) fn growing(more: BoxStream<'static, Result<Bytes, Interrupted>>) -> Self {
        Self { more: Some(more), ..Self::default() }
    }

    /// None while it is not known.
    pub(crate) fn len(&self) -> Option<u64> {
        self.more.is_none().then_some(self.left)
    }

    /// Only these bytes of the body; `range` lies within it.
    #[must_use]
    pub(crate) fn slice(self, range: Range<u64>) -> Self {
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
        let next = match (self.first.take(), self.more.as_mut()) {
            (Some(piece), _) => {
                self.first = self.rest.pop_front();
                self.left -= piece.len() as u64;
                Some(Ok(piece))
            }
            (None, Some(more)) => ready!(more.as_mut().poll_next(cx)),
            (None, None) => None,
        };
        let Some(Ok(piece)) = next else {
            self.more = None;
            return Poll::Ready(next.map(|end| end.map(Frame::data)));
        };
        if let Some(sent) = &self.sent {
            sent.increment(piece.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.more.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.more {
            None => SizeHint::with_exact(self.left),
            Some(_) => SizeHint::default(),
        }
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
