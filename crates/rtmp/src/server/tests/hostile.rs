//! Tests of input that crashed or bloated other servers, and of a stranger's other attempts.

use super::*;
use crate::config::Phase;

fn refused(messages: &[Message]) -> RtmpError {
    let mut session = greeted();
    let bytes: Vec<_> = messages.iter().flat_map(|m| wire(3, m)).collect();
    let error = session.handle_input(bytes).unwrap_err();
    assert!(session.close_requested());
    error
}

fn raw_command(payload: Vec<u8>) -> Message {
    message(kind::COMMAND, 0, 0, payload)
}

#[test]
fn commands_with_too_few_values_are_no_panic() {
    let name_only = raw_command(amf::write_values(&["connect".into()]).to_vec());
    let mut session = greeted();
    session.handle_input(wire(3, &name_only)).unwrap();
    let replies = commands(&messages(session.poll_output().unwrap()));
    assert_eq!(replies[0].2.as_deref(), Some("NetConnection.Connect.Rejected"));

    for name in
        ["publish", "createStream", "deleteStream", "FCUnpublish", "play", "releaseStream", "_checkbw"]
    {
        let mut session = greeted();
        let short = raw_command(amf::write_values(&[name.into()]).to_vec());
        session.handle_input([wire(3, &connect("live")), wire(3, &short)].concat()).unwrap();
    }
    assert!(matches!(refused(&[raw_command(vec![])]), RtmpError::NamelessCommand));
    assert!(matches!(refused(&[raw_command(vec![5, 5, 5])]), RtmpError::NamelessCommand));
}

#[test]
fn a_flood_of_messages_of_a_byte_is_refused() {
    let mut session = on_air();
    let flood = [wire(4, &message(kind::AUDIO, 1, 0, vec![1])), [0xc4, 1].repeat(MAX_EVENTS)].concat();
    let refused = session.handle_input(flood).unwrap_err();
    assert!(matches!(refused, RtmpError::TooManyMessages { limit: MAX_EVENTS }));
    assert_eq!(events(&mut session).len(), MAX_EVENTS);
}

#[test]
fn set_data_frame_alone_is_no_panic() {
    let alone = message(kind::DATA, 1, 0, amf::write_values(&["@setDataFrame".into()]));
    let mut session = greeted();
    session.handle_input(wire(4, &alone)).unwrap();
    let mut session = on_air();
    session.handle_input(wire(4, &alone)).unwrap();
    assert!(events(&mut session).is_empty());
}

#[test]
fn ten_thousand_nested_arrays_do_not_overflow_the_stack() {
    let nested = [10, 0, 0, 0, 1].repeat(10_000);
    assert!(matches!(refused(&[raw_command(nested.clone())]), RtmpError::Amf(_)));
    let mut session = on_air();
    session.handle_input(wire(4, &message(kind::DATA, 1, 0, nested))).unwrap();
    assert!(events(&mut session).is_empty());
}

#[test]
fn a_bomb_of_nulls_is_refused_by_its_length_and_by_its_number() {
    assert!(matches!(refused(&[raw_command(vec![5; 15 << 20])]), RtmpError::MessageTooLong { .. }));
    assert!(matches!(refused(&[raw_command(vec![5; 60_000])]), RtmpError::Amf(_)));
    let mut session = on_air();
    session.handle_input(wire(4, &message(kind::DATA, 1, 0, vec![5; 7 << 20]))).unwrap();
    assert!(events(&mut session).is_empty());
}

#[test]
fn create_stream_can_not_be_repeated_for_ever() {
    let create = command(0, "createStream", 4.0, &[Value::Null]);
    let mut flood = vec![connect("live")];
    flood.extend(std::iter::repeat_n(create, 1_000));
    assert!(matches!(refused(&flood), RtmpError::TooManyStreams { limit: 8 }));
}

#[test]
fn commands_out_of_order_are_refused() {
    let create = command(0, "createStream", 4.0, &[Value::Null]);
    for early in [publish("key"), create, command(1, "play", 4.0, &[])] {
        assert!(matches!(refused(&[early]), RtmpError::OutOfOrder { .. }));
    }
    assert!(matches!(refused(&[connect("live"), connect("live")]), RtmpError::OutOfOrder { .. }));
}

#[test]
fn media_before_the_request_is_accepted_is_dropped() {
    let mut session = greeted();
    session.handle_input([media(), wire(3, &connect("live")), media()].concat()).unwrap();
    assert!(events(&mut session).is_empty());
}

#[test]
fn what_is_held_back_is_bounded() {
    let limits = Limits { held_back: 10_000, ..Limits::default() };
    let mut session = ServerSession::new(ServerConfig { limits, ..ServerConfig::default() });
    session.handle_input([hello(), obs("key")].concat()).unwrap();
    session.handle_input(vec![0; 10_000]).unwrap();
    assert!(matches!(session.handle_input(vec![0]), Err(RtmpError::HeldBackFull { limit: 10_000 })));
    assert!(session.close_requested());
}

#[test]
fn a_publisher_has_the_bounds_of_a_publisher_until_it_ends() {
    let publisher = Phase { message: 100_000, reassembly: 200_000, reserve: true };
    let limits = Limits { publisher, ..Limits::default() };
    let mut session = ServerSession::new(ServerConfig { limits, ..ServerConfig::default() });
    session.handle_input([hello(), obs("key")].concat()).unwrap();
    let request = request(&mut session);
    session.accept(request).unwrap();
    session.handle_input(wire(4, &message(kind::VIDEO, 1, 0, vec![1; 100_000]))).unwrap();
    assert_eq!(events(&mut session).len(), 1);
    session.handle_input(wire(3, &command(1, "closeStream", 0.0, &[]))).unwrap();
    let long = session.handle_input(wire(4, &message(kind::VIDEO, 1, 0, vec![1; 100_000])));
    assert!(matches!(long, Err(RtmpError::MessageTooLong { limit: 65_536, .. })));
}

#[test]
fn tls_and_other_protocols_are_named() {
    let mut session = ServerSession::new(ServerConfig::default());
    assert!(matches!(session.handle_input(vec![22, 3, 1, 2]), Err(RtmpError::Tls)));
    let mut session = ServerSession::new(ServerConfig::default());
    assert!(matches!(session.handle_input(&b"GET / HTTP/1.1\r\n"[..]), Err(RtmpError::Handshake(_))));
    assert_eq!(session.poll_output(), None);
}

#[test]
fn an_answer_to_no_question_is_an_error() {
    let mut session = greeted();
    session.handle_input(obs("key")).unwrap();
    let stale = request(&mut session);
    let mut other = greeted();
    assert!(matches!(other.accept(stale), Err(RtmpError::NotPublishing)));
}

proptest! {
    #[test]
    fn any_bytes_after_the_handshake_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let _ = greeted().handle_input(bytes.clone());
        let _ = on_air().handle_input(bytes);
    }
}
