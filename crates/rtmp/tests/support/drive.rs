//! Drives a session with a script: used by the fuzzer, and by the ordinary test that mutates its seeds.
//!
//! The first two bytes of a script choose the operations, the rest is what the encoder sends:
//! byte 0, bit 7: a plain handshake comes first; bits 0 and 1: what becomes of a publish request;
//! byte 1: the lengths of the pieces that the bytes arrive in.

use bytes::Bytes;
use headwater_rtmp::{Event, PublishRequest, Rejection, RtmpError, ServerConfig, ServerSession, StatusCode};

const HANDSHAKE: usize = 1 + 2 * 1_536;

pub(crate) struct Script {
    answer: Answer,
    pieces: u8,
    input: Bytes,
}

#[derive(Clone, Copy)]
enum Answer {
    Accept,
    /// When the next piece has arrived.
    AcceptLater,
    Reject,
    /// Accept, and fail it after the first event.
    Fail,
}

impl Script {
    pub(crate) fn parse(script: &[u8]) -> Option<Self> {
        let ([flags, pieces], sent) = script.split_first_chunk()?;
        let mut input = if flags & 0x80 == 0 { Vec::new() } else { vec![0; HANDSHAKE] };
        if let Some(version) = input.first_mut() {
            *version = 3;
        }
        input.extend_from_slice(sent);
        let answer =
            [Answer::Accept, Answer::AcceptLater, Answer::Reject, Answer::Fail][usize::from(flags & 3)];
        Some(Self { answer, pieces: *pieces, input: input.into() })
    }

    /// Runs the script in its pieces, and again in one piece: the events must be the same as far as both get.
    pub(crate) fn check(&self) {
        let pieces = self.run(Pieces(u32::from(self.pieces)));
        if matches!(self.answer, Answer::Accept | Answer::Reject) {
            let whole = self.run(std::iter::repeat(usize::MAX));
            assert_eq!(pieces, whole, "the pieces make a difference");
        }
    }

    fn run(&self, mut sizes: impl Iterator<Item = usize>) -> Vec<String> {
        let mut run = Run::new(self.answer);
        let mut rest = self.input.clone();
        while !rest.is_empty() {
            let size = sizes.next().map_or(1, |size| size.clamp(1, rest.len()));
            if run.step(rest.split_to(size)).is_err() {
                assert!(run.session.close_requested());
                run.events().expect("events of a closed session ask for nothing");
                break;
            }
        }
        run.seen
    }
}

/// Lengths between 1 and 2,047 bytes, the same for the same seed; many of them short.
struct Pieces(u32);

impl Iterator for Pieces {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (self.0 >> 16) & 0x7ff;
        let shift = (self.0 >> 28) & 7;
        Some((length >> shift) as usize)
    }
}

struct Run {
    session: ServerSession,
    answer: Answer,
    waiting: Option<PublishRequest>,
    seen: Vec<String>,
}

impl Run {
    fn new(answer: Answer) -> Self {
        let session = ServerSession::new(ServerConfig::default());
        Self { session, answer, waiting: None, seen: Vec::new() }
    }

    fn step(&mut self, input: Bytes) -> Result<(), RtmpError> {
        self.session.handle_input(input)?;
        if let Some(request) = self.waiting.take() {
            self.session.accept(request)?;
        }
        self.events()
    }

    fn events(&mut self) -> Result<(), RtmpError> {
        while let Some(event) = self.session.poll_event() {
            self.seen.push(format!("{event:?}"));
            match event {
                Event::Publish(request) if !self.session.close_requested() => self.answer(request)?,
                Event::Publish(_) => {}
                _ if matches!(self.answer, Answer::Fail) => {
                    self.session.fail(&Rejection::new(StatusCode::Failed, "failed"))?;
                }
                _ => {}
            }
        }
        while self.session.poll_output().is_some() {}
        Ok(())
    }

    fn answer(&mut self, request: PublishRequest) -> Result<(), RtmpError> {
        match self.answer {
            Answer::Accept | Answer::Fail => self.session.accept(request),
            Answer::Reject => self.session.reject(request, Rejection::new(StatusCode::Denied, "denied")),
            Answer::AcceptLater => {
                self.waiting = Some(request);
                Ok(())
            }
        }
    }
}
