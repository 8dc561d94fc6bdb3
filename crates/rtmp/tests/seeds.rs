//! Tests with recorded input of real encoders, mutated, cut and torn apart.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use headwater_rtmp::{Event, ServerConfig, ServerSession};
use proptest::prelude::*;

#[path = "support/drive.rs"]
mod drive;

fn seeds() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/publisher");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

#[test]
fn every_seed_is_heard_out() {
    for (name, script) in seeds() {
        drive::Script::parse(&script).unwrap().check();
        let mut session = ServerSession::new(ServerConfig::default());
        if script[0] & 0x80 != 0 {
            let mut handshake = vec![0; 3_073];
            handshake[0] = 3;
            session.handle_input(handshake).unwrap();
        }
        session.handle_input(script[2..].to_vec()).unwrap();
        let Some(Event::Publish(request)) = session.poll_event() else { panic!("{name} does not publish") };
        session.accept(request).unwrap();
        let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
        let videos = events.iter().filter(|event| matches!(event, Event::Video { .. })).count();
        assert!(videos > 2, "{name}: {videos} videos");
        let announced = events.iter().any(|event| matches!(event, Event::Metadata(m) if m.video));
        assert!(announced, "{name} announces no video");
    }
}

/// A change of a script, with numbers that are taken modulo its length.
#[derive(Clone, Debug)]
enum Mutation {
    Set(usize, u8),
    Remove(usize, usize),
    Repeat(usize, usize),
    Cut(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Most of what matters happens before the media.
    let at = prop_oneof![3 => 0usize..1_500, 1 => 0usize..40_000];
    prop_oneof![
        4 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        2 => (at.clone(), 1usize..300).prop_map(|(at, length)| Mutation::Remove(at, length)),
        2 => (at.clone(), 1usize..300).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        1 => at.prop_map(Mutation::Cut),
    ]
}

fn mutate(script: &mut Vec<u8>, mutation: &Mutation) {
    let length = script.len().max(1);
    let range = |at: usize, count: usize| at % length..(at % length + count).min(script.len());
    match *mutation {
        Mutation::Set(at, byte) => script.iter_mut().skip(at % length).take(1).for_each(|b| *b = byte),
        Mutation::Remove(at, count) => drop(script.drain(range(at, count))),
        Mutation::Repeat(at, count) => {
            let copy = script[range(at, count)].to_vec();
            script.splice(at % length..at % length, copy);
        }
        Mutation::Cut(at) => script.truncate(at % length),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn mutated_seeds_are_survived(pick in 0usize..100, mutations in prop::collection::vec(mutation(), 1..8)) {
        let seeds = seeds();
        let mut script = seeds[pick % seeds.len()].1.clone();
        mutations.iter().for_each(|m| mutate(&mut script, m));
        if let Some(script) = drive::Script::parse(&script) {
            script.check();
        }
    }
}
