use proptest::prelude::*;

use super::*;
use crate::testing::{basic, chunks, full_header, message, u24, wire};

fn reader() -> ChunkReader {
    ChunkReader::new(&Limits::default())
}

fn read_all(reader: &mut ChunkReader, input: impl Into<Bytes>) -> Result<Vec<Message>, RtmpError> {
    reader.push_input(input.into());
    std::iter::from_fn(|| reader.next().transpose()).collect()
}

fn read(input: impl Into<Bytes>) -> Vec<Message> {
    read_all(&mut reader(), input).unwrap()
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| n as u8).collect()
}

#[test]
fn every_length_of_chunk_stream_id_is_read() {
    for id in [2, 3, 63, 64, 319, 320, 65_599] {
        let sent = message(kind::VIDEO, 1, 40, body(300));
        assert_eq!(read(wire(id, &sent)), [sent], "{id}");
    }
}

#[test]
fn shorter_headers_refer_to_the_one_before() {
    let mut bytes = wire(4, &message(kind::VIDEO, 7, 1_000, vec![1, 2]));
    bytes.extend([&basic(1, 4)[..], &u24(40), &u24(1), &[kind::AUDIO], &[3]].concat());
    bytes.extend([&basic(2, 4)[..], &u24(20), &[4]].concat());
    bytes.extend([&basic(3, 4)[..], &[5]].concat());
    let expected = [
        message(kind::VIDEO, 7, 1_000, vec![1, 2]),
        message(kind::AUDIO, 7, 1_040, vec![3]),
        message(kind::AUDIO, 7, 1_060, vec![4]),
        message(kind::AUDIO, 7, 1_080, vec![5]),
    ];
    assert_eq!(read(bytes), expected);
}

#[test]
fn the_shortest_header_after_a_full_one_adds_its_timestamp() {
    let bytes = [&wire(4, &message(kind::AUDIO, 1, 21, vec![1]))[..], &basic(3, 4), &[2]].concat();
    assert_eq!(read(bytes)[1], message(kind::AUDIO, 1, 42, vec![2]));
}

#[test]
fn chunk_streams_are_interleaved() {
    let video = message(kind::VIDEO, 1, 10, body(300));
    let audio = message(kind::AUDIO, 1, 12, body(200));
    let v = chunks(4, &video, 128);
    let a = chunks(5, &audio, 128);
    let bytes = [&v[0][..], &a[0], &v[1], &a[1], &v[2]].concat();
    assert_eq!(read(bytes), [audio, video]);
}

#[test]
fn extended_timestamps_are_absolute_repeated_and_deltas() {
    for time in [0xff_fffe, 0xff_ffff, 0x100_0000, u32::MAX] {
        let sent = message(kind::VIDEO, 1, time, body(300));
        assert_eq!(read(wire(4, &sent)), [sent], "{time:#x}");
    }
    let first = message(kind::VIDEO, 1, 0x7fff_0000, vec![1]);
    // FACTS: an extended delta below 0xffffff panics rml_rtmp.
    for delta in [5, 0x100_0000, u32::MAX] {
        let second = [&basic(2, 4)[..], &u24(0xff_ffff), &delta.to_be_bytes(), &[2]].concat();
        let third = [&basic(3, 4)[..], &delta.to_be_bytes(), &[3]].concat();
        let times: Vec<_> =
            read([wire(4, &first), second, third].concat()).iter().map(|m| m.timestamp).collect();
        let after = first.timestamp.wrapping_add(delta);
        assert_eq!(times, [first.timestamp, after, after.wrapping_add(delta)]);
    }
}

#[test]
fn an_extended_timestamp_that_is_not_repeated_is_not_looked_for() {
    let sent = message(kind::VIDEO, 1, 0x0200_0000, body(131));
    let bytes = [&full_header(4, &sent), &sent.payload[..128], &basic(3, 4), &sent.payload[128..]].concat();
    // Its last chunk is shorter than the field would be, so waiting for the field would stall the message.
    assert_eq!(read(bytes), [sent]);
}

#[test]
fn timestamps_wrap() {
    let first = message(kind::AUDIO, 1, u32::MAX - 5, vec![1]);
    let bytes = [wire(4, &first), [&basic(2, 4)[..], &u24(10), &[2]].concat()].concat();
    assert_eq!(read(bytes)[1].timestamp, 4);
}

#[test]
fn chunk_sizes_follow_the_peer_up_to_the_largest_message() {
    let sent = message(kind::VIDEO, 1, 0, body(5_000));
    let size = |n: u32| wire(2, &message(kind::SET_CHUNK_SIZE, 0, 0, n.to_be_bytes().to_vec()));
    for chunk_size in [1, 4_096, 60_000, 0x7fff_ffff] {
        let bytes = [size(chunk_size), chunks(4, &sent, chunk_size as usize).concat()].concat();
        assert_eq!(read(bytes), std::slice::from_ref(&sent));
    }
    for wrong in [0, 0x8000_0000] {
        assert!(matches!(read_all(&mut reader(), size(wrong)), Err(RtmpError::ChunkSize)));
    }
    let short = wire(2, &message(kind::SET_CHUNK_SIZE, 0, 0, vec![1, 2]));
    assert!(matches!(read_all(&mut reader(), short), Err(RtmpError::Truncated { .. })));
}

#[test]
fn abort_drops_the_unfinished_message_and_frees_its_memory() {
    let mut reader = reader();
    let cut = chunks(4, &message(kind::VIDEO, 1, 0, body(300)), 128).remove(0);
    let abort = wire(2, &message(kind::ABORT, 0, 0, 4u32.to_be_bytes().to_vec()));
    let whole = message(kind::VIDEO, 1, 40, body(200));
    let bytes = [cut, abort, wire(4, &whole)].concat();
    assert_eq!(read_all(&mut reader, bytes).unwrap(), [whole]);
    assert_eq!(reader.held, 0);
}

#[test]
fn empty_messages_are_messages() {
    let empty = message(kind::AUDIO, 1, 3, vec![]);
    assert_eq!(read([wire(4, &empty), basic(3, 4)].concat()), [empty, message(kind::AUDIO, 1, 6, vec![])]);
}

#[test]
fn a_message_inside_one_chunk_is_a_slice_of_the_input() {
    let input = Bytes::from(wire(4, &message(kind::AUDIO, 1, 0, body(100))));
    let found = read(input.clone());
    let range = input.as_ptr_range();
    assert!(range.contains(&found[0].payload.as_ptr()));
}

#[test]
fn what_refers_to_nothing_is_refused() {
    for format in 2..4 {
        let bytes = [&basic(format, 4)[..], &[0; 16]].concat();
        assert!(matches!(read_all(&mut reader(), bytes), Err(RtmpError::NoPrecedingChunk)), "{format}");
    }
}

#[test]
fn a_chunk_stream_may_begin_with_the_second_format() {
    for id in [2, 4] {
        let first = [&basic(1, id)[..], &u24(40), &u24(1), &[kind::AUDIO, 9]].concat();
        let next = [&basic(1, id)[..], &u24(20), &u24(1), &[kind::AUDIO, 7]].concat();
        let expected = [message(kind::AUDIO, 0, 40, vec![9]), message(kind::AUDIO, 0, 60, vec![7])];
        assert_eq!(read([first, next].concat()), expected);
    }
}

#[test]
fn a_message_must_end_before_the_next_on_its_chunk_stream() {
    let cut = chunks(4, &message(kind::VIDEO, 1, 0, body(300)), 128).remove(0);
    let bytes = [cut, wire(4, &message(kind::VIDEO, 1, 0, body(3)))].concat();
    assert!(matches!(read_all(&mut reader(), bytes), Err(RtmpError::UnfinishedMessage)));
}

#[test]
fn strangers_are_bounded() {
    let long = full_header(4, &message(kind::VIDEO, 1, 0, body(70_000)));
    assert!(matches!(read_all(&mut reader(), long), Err(RtmpError::MessageTooLong { .. })));

    let many: Vec<_> = (3..40).flat_map(|id| wire(id, &message(kind::AUDIO, 1, 0, vec![]))).collect();
    assert!(matches!(read_all(&mut reader(), many), Err(RtmpError::TooManyChunkStreams { limit: 32 })));
}

#[test]
fn a_stranger_holds_only_what_it_sent() {
    let mut reader = reader();
    let sent = message(kind::VIDEO, 1, 0, body(60_000));
    for id in 3..30 {
        read_all(&mut reader, chunks(id, &sent, 128).remove(0)).unwrap();
    }
    assert!(reader.held <= 27 * 1_024, "{}", reader.held);
}

#[test]
fn unfinished_messages_share_a_budget() {
    let mut reader = reader();
    let sent = message(kind::VIDEO, 1, 0, body(60_000));
    let result = (3..30).try_for_each(|id| {
        let mut cut = chunks(id, &sent, 128);
        cut.pop();
        read_all(&mut reader, cut.concat()).map(drop)
    });
    assert!(matches!(result, Err(RtmpError::ReassemblyFull { .. })));
    assert!(reader.held <= Limits::default().stranger.reassembly);
}

#[test]
fn a_publishers_message_is_reserved_once() {
    let mut reader = reader();
    reader.enter_phase(Limits::default().publisher);
    let sent = message(kind::VIDEO, 1, 0, body(1 << 20));
    let mut cut = chunks(4, &sent, 128);
    let last = cut.pop().unwrap();
    read_all(&mut reader, cut.concat()).unwrap();
    assert_eq!(reader.held, 1 << 20);
    assert_eq!(read_all(&mut reader, last).unwrap(), [sent]);
    assert_eq!(reader.held, 0);
}

/// Messages on a few chunk streams, their chunks interleaved in the order that `picks` says.
fn interleaved(messages: &[(u32, Message)], picks: &[usize]) -> Vec<u8> {
    let mut queues: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 4];
    for (id, message) in messages {
        queues[*id as usize].extend(chunks(*id + 3, message, 128));
    }
    queues.iter_mut().for_each(|queue| queue.reverse());
    let mut picks = picks.iter().cycle();
    let mut bytes = Vec::new();
    loop {
        let pick = picks.next().unwrap();
        let Some(next) = (0..4).map(|n| (n + pick) % 4).find(|n| !queues[*n].is_empty()) else {
            return bytes;
        };
        bytes.extend(queues[next].pop().unwrap());
    }
}

fn any_message() -> impl Strategy<Value = (u32, Message)> {
    let time = prop_oneof![0u32..2_000, 0xff_fff0u32..0x100_0010, any::<u32>()];
    (0u32..4, 8u8..10, time, 0usize..600)
        .prop_map(|(id, kind, time, length)| (id, message(kind, 1, time, body(length))))
}

proptest! {
    #[test]
    fn any_fragmentation_and_interleaving_gives_the_messages_of_each_chunk_stream(
        messages in prop::collection::vec(any_message(), 1..12),
        picks in prop::collection::vec(0usize..4, 1..20),
        sizes in prop::collection::vec(1usize..200, 1..20),
    ) {
        let bytes = Bytes::from(interleaved(&messages, &picks));
        let whole = read(bytes.clone());
        let mut sizes = sizes.iter().cycle();
        let mut reader = reader();
        let mut rest = bytes;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let size = (*sizes.next().unwrap()).min(rest.len());
            parts.extend(read_all(&mut reader, rest.split_to(size)).unwrap());
        }
        prop_assert_eq!(&parts, &whole);
        prop_assert_eq!(reader.held, 0);
        let key = |m: &Message| (m.timestamp, m.kind, m.payload.len());
        let mut expected: Vec<_> = messages.iter().map(|(_, m)| key(m)).collect();
        let mut found: Vec<_> = whole.iter().map(key).collect();
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_are_survived_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
        let mut reader = reader();
        let _ = read_all(&mut reader, bytes);
        prop_assert!(reader.held <= Limits::default().stranger.reassembly);
    }
}
