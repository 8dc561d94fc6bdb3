//! The two sessions against each other, in memory.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use headwater_rtmp::{
    ClientConfig, ClientEvent, ClientSession, Event, Metadata, Rejection, RtmpError, ServerConfig,
    ServerSession, StatusCode,
};

struct Pair {
    client: ClientSession,
    server: ServerSession,
    /// Bytes are handed over in pieces of this size.
    piece: usize,
}

impl Pair {
    fn new(app: &str, piece: usize) -> Self {
        Self::with(ClientConfig::new(app, format!("rtmp://localhost/{app}"), "key?youtube=x"), piece)
    }

    fn with(config: ClientConfig, piece: usize) -> Self {
        let server = ServerSession::new(ServerConfig::default());
        Self { client: ClientSession::new(config).unwrap(), server, piece }
    }

    /// Passes bytes to and fro until both are silent.
    fn settle(&mut self) {
        loop {
            let up = self.client.poll_output();
            let down = self.server.poll_output();
            if up.is_none() && down.is_none() {
                return;
            }
            for piece in up.iter().flat_map(|bytes| bytes.chunks(self.piece)) {
                self.server.handle_input(Bytes::copy_from_slice(piece)).unwrap();
            }
            for piece in down.iter().flat_map(|bytes| bytes.chunks(self.piece)) {
                self.client.handle_input(Bytes::copy_from_slice(piece)).unwrap();
            }
        }
    }

    fn on_air(piece: usize) -> Self {
        Self::new("live", piece).accepted()
    }

    fn accepted(self) -> Self {
        let mut pair = self;
        pair.settle();
        let Some(Event::Publish(request)) = pair.server.poll_event() else { panic!("no request") };
        assert_eq!(request.key.expose(), "key");
        assert_eq!(request.encoder.as_deref(), Some("FMLE/3.0 (compatible; headwater)"));
        pair.server.accept(request).unwrap();
        pair.settle();
        assert_eq!(pair.client_events(), [ClientEvent::Connected, ClientEvent::Accepted]);
        pair
    }

    fn client_events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }
}

#[test]
fn media_arrives_as_it_was_sent() {
    for piece in [1, 100, 1 << 20] {
        let mut pair = Pair::on_air(piece);
        let metadata = Metadata { video: true, width: Some(640), height: Some(360), ..Metadata::default() };
        let keyframe = Bytes::from(vec![0x17; 200_000]);
        pair.client.metadata(&metadata).unwrap();
        for time in [0, 40, 30, 0xff_ffff, u32::MAX, 5] {
            pair.client.video(time, keyframe.clone()).unwrap();
            pair.client.audio(time, Bytes::from_static(&[0xaf, 1, 2])).unwrap();
        }
        pair.settle();
        assert!(matches!(pair.server.poll_event(), Some(Event::Metadata(m)) if m == metadata));
        for time in [0, 40, 30, 0xff_ffff, u32::MAX, 5] {
            let video = pair.server.poll_event();
            let audio = pair.server.poll_event();
            assert!(
                matches!(video, Some(Event::Video { timestamp, payload }) if timestamp == time && payload == keyframe)
            );
            assert!(
                matches!(audio, Some(Event::Audio { timestamp, payload }) if timestamp == time && payload.len() == 3)
            );
        }
    }
}

#[test]
fn finishing_ends_the_stream() {
    let mut pair = Pair::on_air(4_096);
    pair.client.finish().unwrap();
    pair.settle();
    assert!(matches!(pair.server.poll_event(), Some(Event::Unpublish)));
    assert!(pair.client.close_requested());
    assert!(matches!(pair.client.video(0, Bytes::new()), Err(RtmpError::NotPublishing)));
}

#[test]
fn a_rejection_reaches_the_client_with_its_reason() {
    let mut pair = Pair::new("live", 4_096);
    pair.settle();
    let Some(Event::Publish(request)) = pair.server.poll_event() else { panic!("no request") };
    pair.server.reject(request, Rejection::new(StatusCode::BadName, "in use")).unwrap();
    pair.settle();
    let rejected =
        ClientEvent::Rejected { code: "NetStream.Publish.BadName".into(), description: "in use".into() };
    assert_eq!(pair.client_events(), [ClientEvent::Connected, rejected]);
    assert!(pair.client.close_requested() && pair.server.close_requested());
}

#[test]
fn an_unknown_app_reaches_the_client_with_its_reason() {
    let mut pair = Pair::new("nowhere", 4_096);
    pair.settle();
    let events = pair.client_events();
    assert!(
        matches!(&events[..], [ClientEvent::Rejected { code, .. }] if code == "NetConnection.Connect.Rejected")
    );
}

#[test]
fn a_failure_on_air_reaches_the_client_with_its_reason() {
    let mut pair = Pair::on_air(4_096);
    pair.server.fail(&Rejection::new(StatusCode::Failed, "no capacity")).unwrap();
    pair.settle();
    let closed = ClientEvent::Closed { code: "NetStream.Failed".into(), description: "no capacity".into() };
    assert_eq!(pair.client_events(), [closed]);
}

#[test]
fn a_client_that_can_reconnect_is_asked_to_and_goes_on_meanwhile() {
    let config = ClientConfig::new("live", "rtmp://localhost/live", "key");
    let mut pair = Pair::with(ClientConfig { reconnects: true, ..config }, 4_096).accepted();
    assert!(pair.server.request_reconnect("being restarted").unwrap());
    pair.settle();
    let asked = ClientEvent::ReconnectRequested { tc_url: None, description: "being restarted".into() };
    assert_eq!(pair.client_events(), [asked]);
    pair.client.video(0, Bytes::from_static(&[0x17, 1])).unwrap();
    pair.settle();
    assert!(matches!(pair.server.poll_event(), Some(Event::Video { .. })));
    assert!(!Pair::on_air(4_096).server.request_reconnect("being restarted").unwrap());
}

#[test]
fn nothing_secret_is_shown() {
    let mut pair = Pair::new("live", 4_096);
    pair.settle();
    let request = pair.server.poll_event();
    let shown = format!("{request:?} {:?} {:?}", pair.client, pair.server);
    assert!(!shown.contains("key?") && !shown.contains("youtube"), "{shown}");
}
