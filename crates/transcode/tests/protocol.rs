//! The worker as its server sees it: messages on its input and output.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use headwater_transcode::{Error, worker};
use headwater_wire::frames;
use headwater_wire::v2::failure::Code;
use headwater_wire::v2::{self, worker_input as input, worker_output as output};
use support::Source;

#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pipe {
    fn messages(&self) -> Vec<output::Message> {
        let bytes = self.0.lock().unwrap().clone();
        let mut rest = &bytes[..];
        std::iter::from_fn(|| frames::read::<v2::WorkerOutput>(&mut rest).unwrap())
            .filter_map(|m| m.message)
            .collect()
    }
}

fn start(preset: &str) -> v2::WorkerInput {
    let ladder = headwater_media::Ladder { preset: preset.into(), ..support::ladder() };
    let start = input::Start {
        settings: Some(headwater_media::SegmentSettings::default().into()),
        ladder: Some(ladder.into()),
        first_sequence: 7,
        resume_us: None,
        kept: Vec::new(),
        begun_as: None,
    };
    v2::WorkerInput { message: Some(input::Message::Start(start)) }
}

fn end() -> v2::WorkerInput {
    v2::WorkerInput { message: Some(input::Message::End(input::End {})) }
}

fn bytes(messages: impl IntoIterator<Item = v2::WorkerInput>) -> Vec<u8> {
    messages.into_iter().flat_map(|message| frames::encode(&message)).collect()
}

fn media(source: &Source) -> impl Iterator<Item = v2::WorkerInput> {
    source.events(0).into_iter().map(v2::WorkerInput::from)
}

fn run(input: impl Read + Send + 'static) -> (headwater_transcode::Result<()>, Vec<output::Message>) {
    let pipe = Pipe::default();
    let result = worker::run(input, pipe.clone());
    (result, pipe.messages())
}

#[test]
fn media_goes_in_and_a_period_comes_out() {
    let source = Source::usual("320x180", 30, 4);
    let messages = [start("ultrafast")].into_iter().chain(media(&source)).chain([end()]);
    let (result, messages) = run(Cursor::new(bytes(messages)));
    result.unwrap();
    assert!(matches!(messages.first(), Some(output::Message::Ready(_))));
    let is_media = |message: &&output::Message| {
        use output::Message::*;
        matches!(message, PeriodStart(_) | Frame(_) | RenditionEnd(_))
    };
    let mut media = messages.iter().filter(is_media);
    let Some(output::Message::PeriodStart(period)) = media.next() else {
        panic!("a period start comes first")
    };
    assert_eq!((period.first_sequence, period.renditions.len()), (7, 3));
    // Each frame is a message of its own, of 120 pictures and about 188 blocks of sound; each rendition has one end.
    let mut frames = [0; 3];
    let mut ends = [0; 3];
    for message in media {
        match message {
            output::Message::Frame(frame) => frames[frame.rendition as usize] += 1,
            output::Message::RenditionEnd(end) => ends[end.rendition as usize] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(frames[0] == 120 && frames[1] == 120 && frames[2] > 180, "{frames:?}");
    assert_eq!(ends, [1; 3]);
    assert!(matches!(messages.last(), Some(output::Message::Finished(_))));
    let stats: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            output::Message::Stats(stats) => Some(*stats),
            _ => None,
        })
        .collect();
    assert!(stats.len() >= 4 && stats.last().unwrap().frames_in >= 90);
}

#[test]
fn an_input_that_ends_without_a_word_ends_the_worker_at_once() {
    let source = Source::usual("320x180", 30, 4);
    let began = Instant::now();
    let (result, _) = run(Cursor::new(bytes([start("ultrafast")].into_iter().chain(media(&source)))));
    assert!(matches!(result, Err(Error::InputEnded)));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn mistakes_are_answered_in_words() {
    let source = Source::usual("320x180", 30, 1);
    let tag = media(&source).nth(1).unwrap();
    let cases = [
        (bytes([tag.clone()]), "start", Code::Protocol),
        (bytes([start("ludicrous")]), "preset", Code::Protocol),
        (bytes([start("fast"), tag]), "period", Code::Protocol),
        (vec![0, 0, 0, 9, 1], "read", Code::Protocol),
    ];
    for (input, word, code) in cases {
        let (result, messages) = run(Cursor::new(input));
        assert!(result.is_err());
        let Some(output::Message::Failed(failure)) = messages.last() else { panic!("{word}: {messages:?}") };
        assert!(failure.message.contains(word) && failure.code() == code, "{}", failure.message);
    }
}

#[test]
fn a_broken_output_ends_the_worker() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let source = Source::usual("320x180", 30, 3);
    let input = Cursor::new(bytes([start("ultrafast")].into_iter().chain(media(&source)).chain([end()])));
    assert!(matches!(worker::run(input, Broken), Err(Error::Output(_))));
}

/// The failure must not wait for the publisher's next word.
#[test]
fn a_failure_is_told_while_the_input_is_silent() {
    let mut source = Source::usual("320x180", 30, 8);
    source
        .tags
        .iter_mut()
        .filter(|tag| tag.is_video())
        .for_each(|tag| tag.payload = vec![0, 0, 0, 1, 0x61].into());
    let (silent, _open) = silence();
    let input = Cursor::new(bytes([start("ultrafast")].into_iter().chain(media(&source)))).chain(silent);
    let (result, messages) = run(input);
    assert!(result.unwrap_err().is_unsupported_media());
    let Some(output::Message::Failed(failure)) = messages.last() else { panic!() };
    assert_eq!(failure.code(), Code::UnsupportedMedia);
}

/// A reader that gives nothing, and does not end while the other half lives.
fn silence() -> (io::PipeReader, io::PipeWriter) {
    io::pipe().unwrap()
}
