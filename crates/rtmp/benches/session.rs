//! Benchmark of the work for every byte of a publisher: `cargo bench -p headwater-rtmp`.

#![allow(clippy::unwrap_used, reason = "a benchmark")]

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use headwater_rtmp::{ClientConfig, ClientSession, Event, ServerConfig, ServerSession};

fn main() {
    divan::main();
}

/// Video messages in one run: ten seconds of 30 pictures a second.
const MESSAGES: u32 = 300;

/// A session on the air, and the bytes of its client's media.
fn publisher(message: usize) -> (ServerSession, Bytes) {
    let mut client = ClientSession::new(ClientConfig::new("live", "rtmp://localhost/live", "key")).unwrap();
    let mut server = ServerSession::new(ServerConfig::default());
    while !client.is_publishing() {
        while let Some(bytes) = client.poll_output() {
            server.handle_input(bytes).unwrap();
        }
        if let Some(Event::Publish(request)) = server.poll_event() {
            server.accept(request).unwrap();
        }
        while let Some(bytes) = server.poll_output() {
            client.handle_input(bytes).unwrap();
        }
    }
    let payload = Bytes::from(vec![0x27; message]);
    (0..MESSAGES).for_each(|n| client.video(n * 33, payload.clone()).unwrap());
    let media = std::iter::from_fn(|| client.poll_output()).flatten().collect::<Vec<u8>>();
    (server, media.into())
}

/// Reads of 64 KiB, as the proxy does them.
#[divan::bench(args = [1_000, 10_000, 100_000])]
fn take_in_video(bencher: Bencher, message: usize) {
    let bytes = publisher(message).1.len();
    bencher.counter(BytesCount::new(bytes)).with_inputs(|| publisher(message)).bench_local_values(
        |(mut server, media)| {
            for start in (0..media.len()).step_by(64 << 10) {
                server.handle_input(media.slice(start..media.len().min(start + (64 << 10)))).unwrap();
                while server.poll_event().is_some() {}
            }
            server
        },
    );
}
