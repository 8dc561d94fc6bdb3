//! Tests of a worker that a publisher has taken over. This binary runs itself once more as that worker: it
//! shuts itself in as the worker does, tries to get out, and then transcodes. There is no test harness in it, because
//! that has threads of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use headwater_transcode::sandbox::{MEMORY_VARIABLE, MODE_VARIABLE};
use headwater_wire::v2::still_request::Picture;
use headwater_wire::v2::{self, worker_input as input, worker_output as output};
use headwater_wire::{frames, v2::failure::Code};
use support::{Source, probe};

const TESTS: [(&str, fn()); 6] = [
    ("nothing_gets_out_and_the_media_is_made_all_the_same", nothing_gets_out),
    ("memory_ends_at_the_limit", memory_ends),
    ("a_source_that_needs_more_memory_is_told_so", memory_is_named),
    ("the_worker_says_what_is_missing", check),
    ("fields_are_made_whole_pictures_in_the_sandbox", fields_are_made_whole),
    ("a_still_picture_is_made_in_the_sandbox", still_is_made),
];

fn main() {
    if let Ok(what) = std::env::var(probe::MARK) {
        return probe::run(&what);
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
    }
    let wanted = |name: &str| {
        let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        filters.peek().is_none() || filters.any(|filter| name.contains(filter.as_str()))
    };
    for (name, test) in TESTS.into_iter().filter(|(name, _)| wanted(name)) {
        println!("test {name} …");
        test();
    }
    println!("ok");
}

fn nothing_gets_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let worker = start(probe::ESCAPE, 1 << 30, &[(probe::PORT, &port)]);
    let source = Source::usual("320x180", 30, 4);
    let (said, messages) = converse(worker, &media(&source));
    let tried: Vec<_> = said.lines().filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(tried.len(), probe::ATTEMPTS.len(), "{said}");
    for (what, outcome) in tried {
        let refused = ["EPERM", "EACCES"].contains(&outcome);
        assert!(refused, "{what}: {outcome}");
    }
    let frames = messages.iter().filter(|message| matches!(message, output::Message::Frame(_))).count();
    assert!(
        matches!(messages.last(), Some(output::Message::Finished(_))) && frames > 300,
        "{frames}: {said}"
    );
    let used = messages.iter().filter_map(|message| match message {
        output::Message::Stats(stats) => Some(stats.cpu_millicores),
        _ => None,
    });
    assert!(used.max() > Some(0), "the worker can't see what it costs");
}

fn memory_ends() {
    let limit = 256 << 20;
    let worker = start(probe::ALLOCATE, limit, &[]);
    let (said, _) = converse(worker, &[]);
    let taken: u64 = said.trim().parse().expect(&said);
    assert!(taken < limit && taken > limit / 2, "{taken}");
}

fn memory_is_named() {
    let limit = 96 << 20;
    let worker = start(probe::WORKER, limit, &[(MODE_VARIABLE, "required")]);
    let source = Source::ffmpeg(&format!(
        "{} {} -refs 16 -preset veryslow -threads 2",
        support::source::picture("1920x1080", 30, 2),
        support::source::h264(30)
    ));
    let (said, messages) = converse(worker, &media(&source));
    let Some(output::Message::Failed(failure)) = messages.last() else { panic!("{said} {messages:?}") };
    assert!(failure.message.contains("server.worker_memory"), "{}", failure.message);
    assert_eq!(failure.code(), Code::WorkerFailed);
}

/// The deinterlacer makes code of its own while it runs, where it can.
fn fields_are_made_whole() {
    let fields =
        "-vf tinterlace=interleave_top -c:v libx264 -preset ultrafast -flags +ildct+ilme -pix_fmt yuv420p";
    let source = Source::ffmpeg(&format!("{} {fields}", support::source::picture("320x192", 60, 3)));
    let worker = start(probe::WORKER, 1 << 30, &[(MODE_VARIABLE, "required")]);
    let (said, messages) = converse(worker, &media(&source));
    let frames = messages.iter().filter(|message| matches!(message, output::Message::Frame(_))).count();
    assert!(
        matches!(messages.last(), Some(output::Message::Finished(_))) && frames > 100,
        "{frames}: {said}"
    );
}

fn check() {
    let output = command(probe::WORKER, 1 << 30).env(MODE_VARIABLE, "check").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said, "", "this machine can't confine workers, so nothing is tested here");
}

fn still_is_made() {
    let output = support::transcode(support::start(), Source::usual("320x180", 30, 1).events(0));
    let pictures = |media: bytes::Bytes| {
        let init = output.periods[0].renditions[0].1.clone();
        vec![Picture { init, media, offset_us: 200_000 }]
    };
    let ask = |media| {
        let still = start(probe::STILL, 512 << 20, &[(MODE_VARIABLE, "required")]);
        let request =
            v2::StillRequest { pictures: pictures(media), columns: 1, rows: 1, height: 90, width: 0 };
        answer(still, &frames::encode(&request))
    };
    let made = ask(output.parts_of(0, "180p")[0].bytes.clone());
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success() && made.stdout.starts_with(&[0xFF, 0xD8, 0xFF]), "{said}");
    let refused = ask(bytes::Bytes::from_static(b"nonsense"));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(
        refused.status.code(),
        Some(headwater_transcode::still::UNSUPPORTED_EXIT_CODE.into()),
        "{said}"
    );
    assert!(refused.stdout.is_empty() && said.contains("no picture can be made"), "{said}");
}

/// This binary as a worker, with descriptors and variables that it must not keep.
fn command(what: &str, memory: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(probe::MARK, what).env(MEMORY_VARIABLE, memory.to_string());
    command.env(probe::PARENT, std::process::id().to_string());
    command
}

fn start(what: &str, memory: u64, variables: &[(&str, &str)]) -> Child {
    let mut command = command(what, memory);
    command.envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Text of its standard error, and its messages.
fn converse(worker: Child, input: &[u8]) -> (String, Vec<output::Message>) {
    let output = answer(worker, input);
    let mut rest = &output.stdout[..];
    let next = || frames::read::<v2::WorkerOutput>(&mut rest).ok().flatten();
    let messages = std::iter::from_fn(next).filter_map(|message| message.message).collect();
    (String::from_utf8_lossy(&output.stderr).into_owned(), messages)
}

fn answer(mut worker: Child, input: &[u8]) -> Output {
    let mut stdin = worker.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // One that ends early does not read everything.
        scope.spawn(move || stdin.write_all(input));
        worker.wait_with_output().unwrap()
    })
}

fn media(source: &Source) -> Vec<u8> {
    let start = input::Start {
        settings: Some(headwater_media::SegmentSettings::default().into()),
        ladder: Some(support::ladder().into()),
        first_sequence: 7,
        resume_us: None,
        kept: Vec::new(),
        begun_as: None,
    };
    let wrapped = |message| v2::WorkerInput { message: Some(message) };
    let end = wrapped(input::Message::End(input::End {}));
    let media = source.events(0).into_iter().map(v2::WorkerInput::from);
    let messages = std::iter::once(wrapped(input::Message::Start(start))).chain(media).chain([end]);
    messages.flat_map(|message| frames::encode(&message)).collect()
}
