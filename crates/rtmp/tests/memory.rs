//! Memory that one connection of a stranger can take: measured, not reckoned.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use headwater_rtmp::{ServerConfig, ServerSession};

/// Counts what is allocated at a time. The file has one test, so nothing else allocates meanwhile.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The session's own memory at its highest, while `input` arrives in pieces of what a socket gives at once.
fn peak(input: &Bytes) -> usize {
    let mut session = ServerSession::new(ServerConfig::default());
    let mut handshake = vec![0; 3_073];
    handshake[0] = 3;
    session.handle_input(handshake).expect("a plain handshake");
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    for start in (0..input.len()).step_by(16 << 10) {
        let piece = input.slice(start..input.len().min(start + (16 << 10)));
        if session.handle_input(piece).is_err() {
            break;
        }
        while session.poll_output().is_some() {}
    }
    PEAK.load(Relaxed) - before
}

/// A full chunk header on chunk stream `id`, timestamp 0, message stream 0.
fn header(id: u8, length: usize, kind: u8) -> Vec<u8> {
    let [.., a, b, c] = length.to_be_bytes();
    vec![id, 0, 0, 0, a, b, c, kind, 0, 0, 0, 0]
}

/// A message in chunks of 128 bytes.
fn message(id: u8, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(id, payload.len(), kind);
    for (index, piece) in payload.chunks(128).enumerate() {
        if index > 0 {
            bytes.push(0xc0 | id);
        }
        bytes.extend_from_slice(piece);
    }
    bytes
}

#[test]
fn a_stranger_costs_less_than_a_mebibyte() {
    // Cut after a whole chunk, so that the next header is read as one.
    let cut = |id| message(id, 9, &[1; 65_000])[..140 + 400 * 129].to_vec();
    let unfinished: Vec<u8> = (3..34).flat_map(cut).collect();
    let declared: Vec<u8> = (3..34).flat_map(|id| [header(id, 65_000, 9), vec![0; 128]].concat()).collect();
    let nulls = message(3, 20, &[5; 65_000]);
    let nested = message(3, 20, &[10, 0, 0, 0, 1].repeat(10_000));
    let objects = message(3, 20, &[&[2, 0, 1, b'x', 3][..], &[0, 1, b'a', 3].repeat(1_000)].concat());
    let strings = message(3, 20, &[&[2, 0, 1, b'x'][..], &[2, 0xff, 0xff], &[0x80; 60_000]].concat());
    let pings = [2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0].repeat(50_000);
    let acknowledged = [message(2, 5, &[0, 0, 0, 1]), [0xc2, 0, 0, 0, 1].repeat(50_000)].concat();
    for (name, bomb) in [
        ("unfinished", unfinished),
        ("declared", declared),
        ("nulls", nulls),
        ("nested", nested),
        ("objects", objects),
        ("strings", strings),
        ("pings", pings),
        ("acknowledged", acknowledged),
    ] {
        let cost = peak(&bomb.into());
        assert!(cost < 1 << 20, "{name} costs {cost} bytes");
    }
}
