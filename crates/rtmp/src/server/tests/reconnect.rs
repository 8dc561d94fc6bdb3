//! Publishers that can connect again when they are asked to (Enhanced RTMP v2, § "Reconnect Request").

use super::*;

const TEXT: &str = "being restarted";

/// A session with a publisher on air whose `connect` had this as `capsEx`, and what it was answered to that.
fn on_air_with(caps_ex: Option<Value>) -> (ServerSession, Message) {
    let mut object = Object::default().with_property("app", "live");
    object.0.extend(caps_ex.map(|caps| ("capsEx".to_owned(), caps)));
    let mut session = greeted();
    session.handle_input(wire(3, &command(0, "connect", 1.0, &[object.into()]))).unwrap();
    let answer = sent(&mut session).pop().unwrap();
    session.handle_input(wire(3, &publish("key"))).unwrap();
    let request = request(&mut session);
    session.accept(request).unwrap();
    session.poll_output();
    (session, answer)
}

/// `capsEx` as the server announces it.
fn announced(answer: &Message) -> Option<f64> {
    Command::parse(answer).unwrap().object_argument()?.number_property("capsEx")
}

#[test]
fn who_can_is_asked_and_goes_on_until_it_leaves() {
    for caps in [1.0, 3.0, 15.0] {
        let (mut session, answer) = on_air_with(Some(caps.into()));
        assert_eq!(announced(&answer), Some(1.0));
        assert!(session.request_reconnect(TEXT).unwrap());
        let asked = sent(&mut session);
        assert_eq!(commands(&asked), [status(0, "NetConnection.Connect.ReconnectRequest")]);
        let info = Command::parse(&asked[0]).unwrap().information_object().cloned().unwrap();
        assert_eq!(
            (info.string_property("level"), info.string_property("description")),
            (Some("status"), Some(TEXT))
        );
        assert_eq!(info.get("tcUrl"), None, "the same URL");
        session.handle_input(media()).unwrap();
        assert_eq!(events(&mut session).len(), 4);
        assert!(!session.close_requested());
    }
}

/// Name, transaction and command object as the specification's table has them, byte for byte.
#[test]
fn the_request_is_the_message_of_the_specification() {
    let (mut session, _) = on_air_with(Some(1.0.into()));
    session.request_reconnect(TEXT).unwrap();
    let [message] = &sent(&mut session)[..] else { panic!("one message") };
    assert_eq!((message.kind, message.stream), (20, 0));
    let string = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
    let value = |text: &str| [&[2], &string(text)[..]].concat();
    let expected = [
        value("onStatus"),
        [&[0][..], &0.0_f64.to_be_bytes()].concat(),
        vec![5, 3],
        [string("level"), value("status")].concat(),
        [string("code"), value("NetConnection.Connect.ReconnectRequest")].concat(),
        [string("description"), value(TEXT)].concat(),
        vec![0, 0, 9],
    ];
    assert_eq!(message.payload, expected.concat());
}

#[test]
fn who_can_not_is_told_nothing() {
    let numbers = [0.0, 2.0, 14.0, f64::NAN, f64::INFINITY, -1.0, 1.5, 1e300];
    let others =
        ["1".into(), true.into(), Value::Null, Object::default().with_property("Reconnect", 1.0).into()];
    let unfit = numbers.map(Value::from).into_iter().chain(others).map(Some).chain([None]);
    for caps in unfit {
        let (mut session, answer) = on_air_with(caps.clone());
        assert_eq!(announced(&answer).is_some(), matches!(caps, Some(Value::Number(0.0 | 2.0 | 14.0))));
        assert!(!session.request_reconnect(TEXT).unwrap(), "{caps:?}");
        assert_eq!(session.poll_output(), None);
    }
}

#[test]
fn who_is_not_on_air_is_told_nothing() {
    let (mut session, _) = on_air_with(Some(1.0.into()));
    session.fail(&Rejection::new(StatusCode::Failed, "over")).unwrap();
    session.poll_output();
    assert!(!session.request_reconnect(TEXT).unwrap());
    assert!(!ServerSession::new(ServerConfig::default()).request_reconnect(TEXT).unwrap());
}
