//! Memory that a publisher costs at most: measured, under the worst that an encoder can send.
#![allow(clippy::unwrap_used, reason = "only tests are in here")]

#[path = "proxy/support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::time::Duration;

use headwater_media::{ReplayLimits, timeline};
use headwater_proxy::cost;
use headwater_registry::MemoryRegistry;
use headwater_runtime::config::Config;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;

use support::{Call, Encoder, TestProxy, TestServer};

/// Counts what the proxy's thread allocates at a time; encoders and servers run on another one.
struct Counting;

static NOW: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static IS_PROXY: Cell<bool> = const { Cell::new(false) };
}

fn count(change: isize) {
    if IS_PROXY.try_with(Cell::get).unwrap_or(false) {
        PEAK.fetch_max(NOW.fetch_add(change, Relaxed) + change, Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1 << 20;
/// The longest message that is taken.
const MESSAGE: usize = 8 * MIB;
const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
const AGGREGATE: u8 = 22;
/// A kind of message that there is not.
const JUNK: u8 = 99;

/// Behaviour of the server towards media.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    /// It takes all, and commits nothing.
    Reads,
    Stuck,
}

/// An encoder's messages: time, kind, payload.
type Messages = Box<dyn Iterator<Item = (u32, u8, Vec<u8>)> + Send>;

fn messages(count: u32, of: impl Fn(u32) -> (u8, Vec<u8>) + Send + 'static) -> Messages {
    Box::new((0..count).map(move |n| {
        let (kind, payload) = of(n);
        (20 * n, kind, payload)
    }))
}

/// A tag of FLV, as aggregates are made of.
fn flv(kind: u8, payload: &[u8]) -> Vec<u8> {
    let [.., a, b, c] = payload.len().to_be_bytes();
    [&[kind, a, b, c, 0, 0, 0, 0, 0, 0, 0][..], payload, &[0; 4]].concat()
}

fn sound() -> Vec<u8> {
    vec![0xaf, 1, 7, 7, 7, 7]
}

fn keyframe(length: usize) -> Vec<u8> {
    let mut payload = vec![7; length];
    payload[..5].copy_from_slice(&[0x17, 1, 0, 0, 0]);
    payload
}

fn aggregate() -> Vec<u8> {
    let sound = flv(AUDIO, &sound());
    let rest = flv(JUNK, &vec![0; MESSAGE - sound.len() - 15]);
    [sound, rest].concat()
}

/// A small track 0 in a message that another one fills (Enhanced RTMP v2, section "Enhanced Video").
fn two_tracks() -> Vec<u8> {
    let track = |id: u8, body: &[u8]| {
        let [.., a, b, c] = body.len().to_be_bytes();
        [&[id, a, b, c][..], body].concat()
    };
    let first = [&[0x96, 0x11][..], b"avc1", &track(0, &[0, 0, 0, 7, 7, 7])].concat();
    let length = MESSAGE - first.len() - 4;
    [first, track(1, &vec![0; length])].concat()
}

/// A picture behind so many modifiers that they fill the message (section "Modifiers").
fn modified() -> Vec<u8> {
    const LONGEST: usize = 1 << 16;
    let modifier = [&[255, 255, 255][..], &vec![0; LONGEST], &[7]].concat();
    let count = (MESSAGE - 64) / modifier.len();
    let mut message = [&[0x97][..], &modifier.repeat(count)].concat();
    *message.last_mut().unwrap() = 1;
    [&message[..], b"avc1", &[0, 0, 0, 7, 7, 7]].concat()
}

/// A message in one chunk.
fn chunk(time: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    let [_, t0, t1, t2] = time.to_be_bytes();
    let [.., a, b, c] = payload.len().to_be_bytes();
    [&[4, t0, t1, t2, a, b, c, kind, 1, 0, 0, 0][..], payload].concat()
}

/// Bytes that the proxy holds at its highest for one publisher.
fn measure(server: Server, messages: Messages) -> usize {
    let (told, hears) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let proxy = std::thread::spawn(move || {
        IS_PROXY.set(true);
        runtime().block_on(async {
            let proxy = TestProxy::start().await;
            assert!(told.send((proxy.address, proxy.registry.clone())).is_ok());
            let _ = stopped.await;
        });
        IS_PROXY.set(false);
    });
    let cost = runtime().block_on(async {
        let (address, registry): (_, MemoryRegistry) = hears.await.unwrap();
        let mut stand_in = TestServer::start(&registry, "a", 0).await;
        let mut encoder = Encoder::request(address, "demo").await;
        let call = stand_in.call().await;
        call.accept(0).await;
        encoder.accepted().await;
        let before = NOW.load(Relaxed);
        PEAK.store(before, Relaxed);
        encoder.headers().await;
        match server {
            Server::Reads => read_all(encoder, call, messages).await,
            Server::Stuck => {
                drop(tokio::time::timeout(Duration::from_secs(3), send(&mut encoder, messages)).await)
            }
        }
        PEAK.load(Relaxed) - before
    });
    stop.send(()).unwrap();
    proxy.join().unwrap();
    cost.try_into().unwrap()
}

async fn read_all(mut encoder: Encoder, mut call: Call, messages: Messages) {
    let sending = tokio::spawn(async move {
        send(&mut encoder, messages).await;
        encoder.socket.shutdown().await.unwrap();
        encoder
    });
    while let Ok(Some(_)) = call.message().await {}
    sending.await.unwrap();
}

async fn send(encoder: &mut Encoder, messages: Messages) {
    let largest = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff];
    encoder.socket.write_all(&largest).await.unwrap();
    for (time, kind, payload) in messages {
        encoder.socket.write_all(&chunk(time, kind, &payload)).await.unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_publisher_costs_no_more_than_the_sum_of_its_shares() {
    let replay = Config::defaults().proxy.replay_memory.0 as usize;
    let limits = ReplayLimits { bytes: replay, duration: Duration::from_secs(30) };
    let shares =
        cost::memory_shares(&headwater_rtmp::Limits::default(), &timeline::Limits::default(), &limits);
    let most = cost::total_bytes(&shares);
    let in_64_kib = |n: u32| if n.is_multiple_of(2) { (AUDIO, sound()) } else { (JUNK, vec![0; 64 << 10]) };
    for (name, server, messages) in [
        ("small frames in large aggregates", Server::Reads, messages(28, |_| (AGGREGATE, aggregate()))),
        ("small tracks in large messages", Server::Reads, messages(28, |_| (VIDEO, two_tracks()))),
        ("small pictures behind modifiers", Server::Reads, messages(28, |_| (VIDEO, modified()))),
        ("small frames in blocks of junk", Server::Reads, messages(5_000, in_64_kib)),
        ("the largest pictures", Server::Reads, messages(28, |_| (VIDEO, keyframe(MESSAGE)))),
        (
            "the largest pictures to a stuck server",
            Server::Stuck,
            messages(28, |_| (VIDEO, keyframe(MESSAGE))),
        ),
        ("large aggregates to a stuck server", Server::Stuck, messages(28, |_| (AGGREGATE, aggregate()))),
        ("many small frames to a stuck server", Server::Stuck, messages(200_000, |_| (AUDIO, sound()))),
    ] {
        let cost = measure(server, messages);
        println!("{name}: {:.1} MiB of {}", cost as f64 / MIB as f64, most / MIB);
        assert!(cost <= most, "{name}: {cost} bytes, and not {most} as {shares:#?}");
    }
}
