//! Tests with well-behaved encoders.

use super::*;
use crate::chunk::read_u32;

#[test]
fn obs_is_asked_about_accepted_and_heard() {
    let mut session = greeted();
    session.handle_input(obs("key?youtube=a%20b&record")).unwrap();
    let replies = sent(&mut session);
    let kinds: Vec<_> = replies.iter().map(|m| m.kind).collect();
    assert_eq!(kinds, [kind::WINDOW_SIZE, kind::PEER_BANDWIDTH, 20, 20, 20, 20], "{replies:?}");
    assert_eq!(commands(&replies)[0].2.as_deref(), Some("NetConnection.Connect.Success"));

    let request = request(&mut session);
    assert_eq!((request.app.as_str(), request.key.expose()), ("live", "key"));
    assert_eq!(request.name, "key?youtube=a%20b&record");
    assert_eq!(request.parameters[0], ("youtube".to_owned(), "a b".to_owned()));
    assert_eq!(request.kind, PublishType::Live);
    assert!(!format!("{request:?} {session:?}").contains("key"));

    session.accept(request).unwrap();
    let replies = commands(&sent(&mut session));
    assert_eq!(replies[0].1, "onFCPublish");
    assert_eq!(replies[1], status(1, "NetStream.Publish.Start"));

    session.handle_input(media()).unwrap();
    let heard = events(&mut session);
    let [Event::Metadata(metadata), Event::Video { .. }, Event::Audio { .. }, last] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert!(metadata.video && !metadata.audio);
    assert!(matches!(last, Event::Video { timestamp: 33, payload } if payload.len() == 200));
}

#[test]
fn an_encoder_that_waits_for_nothing_is_held_back_until_the_answer() {
    let mut session = ServerSession::new(ServerConfig::default());
    session.handle_input([hello(), obs("key"), media()].concat()).unwrap();
    let request = request(&mut session);
    assert!(events(&mut session).is_empty());
    session.handle_input(media()).unwrap();
    assert!(events(&mut session).is_empty());
    session.accept(request).unwrap();
    assert_eq!(events(&mut session).len(), 8);
}

#[test]
fn a_rejection_is_an_on_status_on_the_publishing_stream_and_the_end() {
    let mut session = greeted();
    session.handle_input(obs("wrong")).unwrap();
    session.poll_output();
    let request = request(&mut session);
    session.reject(request, Rejection::new(StatusCode::BadName, "the stream key is unknown")).unwrap();
    assert_eq!(commands(&sent(&mut session)), [status(1, "NetStream.Publish.BadName")]);
    assert!(session.close_requested());
    session.handle_input(media()).unwrap();
    assert!(events(&mut session).is_empty());
}

#[test]
fn a_publisher_on_air_can_be_failed_with_a_reason() {
    let mut session = on_air();
    session.fail(&Rejection::new(StatusCode::Failed, "HEVC is not supported")).unwrap();
    assert_eq!(commands(&sent(&mut session)), [status(1, "NetStream.Failed")]);
    assert!(session.close_requested());
    session.fail(&Rejection::new(StatusCode::Failed, "again")).unwrap();
    assert_eq!(session.poll_output(), None);
}

#[test]
fn each_way_to_end_a_stream_ends_it_once() {
    let endings = [
        command(0, "FCUnpublish", 6.0, &[Value::Null, "key".into()]),
        command(1, "closeStream", 0.0, &[Value::Null]),
        command(0, "deleteStream", 0.0, &[Value::Null, 1.0.into()]),
        command(1, "deleteStream", 0.0, &[Value::Null]),
    ];
    for ending in endings {
        let mut session = on_air();
        session.handle_input([wire(3, &ending), wire(3, &ending), media()].concat()).unwrap();
        assert!(matches!(events(&mut session)[..], [Event::Unpublish]), "{ending:?}");
        assert!(commands(&sent(&mut session)).contains(&status(1, "NetStream.Unpublish.Success")));
    }
}

#[test]
fn a_publisher_may_come_back_on_the_same_connection() {
    let mut session = on_air();
    let end = command(0, "deleteStream", 0.0, &[Value::Null, 1.0.into()]);
    let create = command(0, "createStream", 7.0, &[Value::Null]);
    session.handle_input([wire(3, &end), wire(3, &create), wire(3, &publish("key"))].concat()).unwrap();
    assert!(matches!(events(&mut session)[..], [Event::Unpublish, Event::Publish(_)]));
}

#[test]
fn a_second_stream_on_the_connection_is_refused_and_the_first_goes_on() {
    let mut session = on_air();
    let second = command(2, "publish", 5.0, &[Value::Null, "other".into()]);
    session.handle_input([wire(3, &second), media()].concat()).unwrap();
    assert_eq!(commands(&sent(&mut session)), [status(2, "NetStream.Publish.Denied")]);
    let heard = events(&mut session);
    assert!(matches!(heard[0], Event::SecondStreamRefused));
    assert_eq!(heard.len(), 1 + 4);
}

/// A picture on this message stream, in a chunk stream of its own.
fn picture_on(stream: u32) -> Vec<u8> {
    wire(10 + stream, &message(kind::VIDEO, stream, 0, vec![0x27; 20]))
}

#[test]
fn media_of_a_refused_stream_do_not_go_into_the_one_on_air() {
    let mut session = on_air();
    let second = command(2, "publish", 5.0, &[Value::Null, "other".into()]);
    session.handle_input([wire(3, &second), picture_on(2), picture_on(1), picture_on(0)].concat()).unwrap();
    assert!(matches!(
        events(&mut session)[..],
        [Event::SecondStreamRefused, Event::Video { .. }, Event::Video { .. }]
    ));
    // Its end is its own, by whichever command it comes.
    let ends = [
        command(0, "FCUnpublish", 6.0, &[Value::Null, "other".into()]),
        command(0, "deleteStream", 0.0, &[Value::Null, 2.0.into()]),
    ];
    session.handle_input(ends.iter().flat_map(|end| wire(3, end)).collect::<Vec<_>>()).unwrap();
    assert!(events(&mut session).is_empty());
    // A number that is refused no more is taken like any other.
    session.handle_input(picture_on(2)).unwrap();
    assert!(matches!(events(&mut session)[..], [Event::Video { .. }]));
}

#[test]
fn a_second_request_for_the_stream_on_air_does_not_silence_it() {
    let mut session = on_air();
    session.handle_input([wire(3, &publish("other")), picture_on(1)].concat()).unwrap();
    assert!(matches!(events(&mut session)[..], [Event::SecondStreamRefused, Event::Video { .. }]));
}

#[test]
fn refused_streams_are_bounded() {
    let mut session = on_air();
    let flood: Vec<_> = (2..20)
        .flat_map(|id| wire(3, &command(id, "publish", 5.0, &[Value::Null, "other".into()])))
        .collect();
    assert!(matches!(session.handle_input(flood), Err(RtmpError::TooManyStreams { limit: 8 })));
}

#[test]
fn a_protocol_error_comes_after_what_was_read_before_it_and_can_be_told() {
    let mut session = on_air();
    let long = wire(4, &message(kind::VIDEO, 1, 66, vec![0x17; 9 << 20]));
    let error = session.handle_input([media(), long].concat()).unwrap_err();
    assert!(matches!(error, RtmpError::MessageTooLong { .. }));
    assert!(session.close_requested());
    assert_eq!(events(&mut session).len(), 4);
    session.fail(&Rejection::new(StatusCode::Denied, "too long")).unwrap();
    assert_eq!(commands(&sent(&mut session)), [status(1, "NetStream.Publish.Denied")]);
    session.fail(&Rejection::new(StatusCode::Denied, "too long")).unwrap();
    assert_eq!(session.poll_output(), None);
    session.handle_input(media()).unwrap();
    assert!(events(&mut session).is_empty());
}

#[test]
fn an_error_in_what_was_held_back_comes_after_its_events_and_can_be_told() {
    let mut session = greeted();
    session.handle_input(obs("key")).unwrap();
    let request = request(&mut session);
    let create = command(0, "connect", 4.0, &[Value::Null]);
    session.handle_input([media(), wire(3, &create)].concat()).unwrap();
    assert!(matches!(session.accept(request), Err(RtmpError::OutOfOrder { .. })));
    session.poll_output();
    assert_eq!(events(&mut session).len(), 4);
    session.fail(&Rejection::new(StatusCode::Failed, "out of order")).unwrap();
    assert!(session.poll_output().is_some());
}

#[test]
fn apps_are_found_whatever_surrounds_their_name() {
    for app in ["live", "live/", "/stream", "live?token=x", "live/_definst_", "live/x/y", "stream/a?b=c/d"] {
        let mut session = greeted();
        session.handle_input(wire(3, &connect(app))).unwrap();
        assert!(!session.close_requested(), "{app}");
    }
}

/// An encoder whose user put the stream key into the server's URL names the key as the instance.
#[test]
fn a_request_tells_the_configured_app_and_never_the_instance() {
    let mut session = greeted();
    let calls = [connect("stream/secret-key?a=b"), command(0, "createStream", 4.0, &[Value::Null])];
    session.handle_input(calls.iter().flat_map(|call| wire(3, call)).collect::<Vec<_>>()).unwrap();
    session.handle_input(wire(3, &publish("key"))).unwrap();
    let request = request(&mut session);
    assert_eq!(request.app, "stream");
    let debug = format!("{request:?} {session:?}");
    assert!(debug.contains("\"stream\"") && !debug.contains("secret"), "{debug}");
}

#[test]
fn an_unknown_app_is_told_the_right_url_and_never_its_own() {
    let mut session = greeted();
    session.handle_input(wire(3, &connect("secret-key"))).unwrap();
    let output = messages(session.poll_output().unwrap());
    assert_eq!(commands(&output)[0].2.as_deref(), Some("NetConnection.Connect.Rejected"));
    let text = String::from_utf8_lossy(&output[0].payload).into_owned();
    assert!(text.contains("rtmp://HOST/live/STREAM_KEY") && !text.contains("secret-key"), "{text}");
    assert!(matches!(events(&mut session)[..], [Event::AppRefused]));
    assert!(session.close_requested());
    for alike in ["lives", "liv", "secret/live", ""] {
        let mut session = greeted();
        session.handle_input(wire(3, &connect(alike))).unwrap();
        assert!(session.close_requested(), "{alike}");
    }
}

#[test]
fn a_peer_that_may_not_connect_is_told_so_before_it_shows_a_key() {
    let mut session = greeted_with(ServerConfig { is_client_allowed: false, ..ServerConfig::default() });
    session.handle_input(wire(3, &connect("live"))).unwrap();
    let output = messages(session.poll_output().unwrap());
    assert_eq!(commands(&output)[0].2.as_deref(), Some("NetConnection.Connect.Rejected"));
    let text = String::from_utf8_lossy(&output[0].payload).into_owned();
    assert!(text.contains("publishing from your address is not allowed"), "{text}");
    assert!(matches!(events(&mut session)[..], [Event::ClientRefused]));
    assert!(session.close_requested());
}

#[test]
fn a_publish_without_a_key_is_answered_here() {
    for name in ["", "/", "?youtube=x"] {
        let mut session = greeted();
        session.handle_input(obs(name)).unwrap();
        assert_eq!(commands(&sent(&mut session)).last(), Some(&status(1, "NetStream.Publish.BadName")));
        assert!(events(&mut session).is_empty() && session.close_requested());
    }
}

#[test]
fn a_player_is_told_where_to_watch() {
    let mut session = greeted();
    let play = command(1, "play", 5.0, &[Value::Null, "key".into()]);
    session.handle_input([wire(3, &connect("live")), wire(3, &play)].concat()).unwrap();
    assert!(matches!(events(&mut session)[..], [Event::PlayRefused]));
    assert_eq!(commands(&sent(&mut session)).last(), Some(&status(1, "NetStream.Play.StreamNotFound")));
    assert!(session.close_requested());
}

#[test]
fn pings_are_answered() {
    let mut session = on_air();
    session.handle_input(wire(2, &message(kind::USER_CONTROL, 0, 0, vec![0, 6, 1, 2, 3, 4]))).unwrap();
    assert_eq!(sent(&mut session)[0].payload[..], [0, 7, 1, 2, 3, 4]);
}

#[test]
fn acknowledgements_carry_the_running_total() {
    let mut session = on_air();
    let window = wire(2, &message(kind::WINDOW_SIZE, 0, 0, 1_000u32.to_be_bytes().to_vec()));
    session.handle_input(window).unwrap();
    let replies = (0..8).flat_map(|_| {
        session.handle_input(media()).unwrap();
        sent(&mut session)
    });
    let totals: Vec<_> = replies.map(|m| (m.kind, read_u32(&m.payload, "").unwrap())).collect();
    assert!(totals.len() >= 3, "{totals:?}");
    assert!(totals.iter().all(|(kind, _)| *kind == kind::ACKNOWLEDGEMENT));
    assert!(totals.windows(2).all(|pair| pair[1].1 >= pair[0].1 + 1_000), "{totals:?}");
}

#[test]
fn commands_marked_as_amf3_are_read() {
    let mut call = connect("live");
    call.kind = kind::COMMAND_AMF3;
    call.payload = [&[0][..], &call.payload].concat().into();
    let mut session = greeted();
    session.handle_input(wire(3, &call)).unwrap();
    assert_eq!(commands(&sent(&mut session)).len(), 1);
}

#[test]
fn aggregates_are_taken_apart() {
    let tag = |kind: u8, time: u8, body: &[u8]| {
        [&[kind, 0, 0, body.len() as u8, 0, 0, time, 0, 0, 0, 0], body, &[0, 0, 0, 0]].concat()
    };
    let whole = [tag(9, 40, b"video"), tag(8, 50, b"audio"), tag(8, 60, b"cut off")[..14].to_vec()].concat();
    let mut session = on_air();
    session.handle_input(wire(4, &message(kind::AGGREGATE, 1, 1_000, whole))).unwrap();
    let heard = events(&mut session);
    let [
        Event::Video { timestamp: 1_000, payload: video },
        Event::Audio { timestamp: 1_010, payload: audio },
    ] = &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert_eq!((&video[..], &audio[..]), (&b"video"[..], &b"audio"[..]));
}

#[test]
fn what_is_unknown_is_passed_over() {
    let mut session = on_air();
    let unknown = [
        command(0, "setPeerInfo", 9.0, &[Value::Null]),
        message(99, 0, 0, vec![1]),
        message(kind::USER_CONTROL, 0, 0, vec![0, 26, 1]),
        message(kind::USER_CONTROL, 0, 0, vec![]),
        message(kind::DATA, 1, 0, vec![0x11, 1]),
        message(kind::AUDIO, 1, 0, vec![]),
    ];
    session.handle_input(unknown.iter().flat_map(|m| wire(3, m)).collect::<Vec<_>>()).unwrap();
    assert!(events(&mut session).is_empty());
    session.handle_input(media()).unwrap();
    assert_eq!(events(&mut session).len(), 4);
}

proptest! {
    #[test]
    fn any_fragmentation_gives_the_same_events(sizes in prop::collection::vec(1usize..400, 1..30)) {
        let script = [hello(), obs("key"), media(), media()].concat();
        let mut session = ServerSession::new(ServerConfig::default());
        let mut rest = Bytes::from(script);
        let mut heard = Vec::new();
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let size = (*sizes.next().unwrap()).min(rest.len());
            session.handle_input(rest.split_to(size)).unwrap();
            while let Some(event) = session.poll_event() {
                heard.push(format!("{event:?}"));
                if let Event::Publish(request) = event {
                    session.accept(request).unwrap();
                }
            }
        }
        prop_assert_eq!(heard.len(), 9);
        prop_assert_eq!(&heard[1..5], &heard[5..]);
    }
}
