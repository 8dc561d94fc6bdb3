#![no_main]

use bytes::Bytes;
use headwater_rtmp::{ClientConfig, ClientEvent, ClientSession, Metadata};

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    let Some(([piece], sent)) = script.split_first_chunk() else { return };
    let config = ClientConfig::new("live", "rtmp://localhost/live", "key");
    let mut session = ClientSession::new(config).expect("a handshake");
    let handshake = [&[3][..], &[0; 2 * 1_536]].concat();
    session.handle_input(handshake).expect("a plain handshake is accepted");
    for input in sent.chunks(usize::from(*piece).max(1)) {
        if session.handle_input(Bytes::copy_from_slice(input)).is_err() {
            return;
        }
        while let Some(event) = session.poll_event() {
            if event == ClientEvent::Accepted {
                session.metadata(&Metadata::default()).expect("it was accepted");
                session.video(0, Bytes::from_static(&[0x17, 0, 0, 0, 0])).expect("it was accepted");
            }
        }
        while session.poll_output().is_some() {}
    }
    let _ = session.finish();
});
