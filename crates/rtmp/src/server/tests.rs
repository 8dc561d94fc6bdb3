use proptest::prelude::*;

use super::*;
use crate::amf::{Object, Value};
use crate::config::Limits;
use crate::status::StatusCode;
use crate::testing::{command, message, wire};

mod hostile;
mod publishing;
mod reconnect;

/// C0, C1 and C2 of the plain handshake.
fn hello() -> Vec<u8> {
    let mut bytes = vec![0; 1 + 2 * 1_536];
    bytes[0] = 3;
    bytes
}

fn connect(app: &str) -> Message {
    let object = Object::default()
        .with_property("app", app)
        .with_property("flashVer", "FMLE/3.0 (compatible; FMSc/1.0)")
        .with_property("tcUrl", "rtmp://localhost/live");
    command(0, "connect", 1.0, &[object.into()])
}

fn publish(name: &str) -> Message {
    command(1, "publish", 5.0, &[Value::Null, name.into(), "live".into()])
}

/// Messages that OBS sends before it waits: all on chunk stream 3.
fn obs(name: &str) -> Vec<u8> {
    let named = |call, transaction| command(0, call, transaction, &[Value::Null, name.into()]);
    let calls = [
        connect("live"),
        named("releaseStream", 2.0),
        named("FCPublish", 3.0),
        command(0, "createStream", 4.0, &[Value::Null]),
        publish(name),
    ];
    calls.iter().flat_map(|call| wire(3, call)).collect()
}

fn media() -> Vec<u8> {
    let metadata = Object::default()
        .with_property("width", 1280.0)
        .with_property("height", 720.0)
        .with_property("videocodecid", 7.0);
    let values = ["@setDataFrame".into(), "onMetaData".into(), metadata.into()];
    let messages = [
        message(kind::DATA, 1, 0, amf::write_values(&values)),
        message(kind::VIDEO, 1, 0, vec![0x17; 300]),
        message(kind::AUDIO, 1, 0, vec![0xaf; 50]),
        message(kind::VIDEO, 1, 33, vec![0x27; 200]),
    ];
    messages.iter().flat_map(|m| wire(4, m)).collect()
}

/// A session past its handshake, with nothing left to send.
fn greeted() -> ServerSession {
    greeted_with(ServerConfig::default())
}

fn greeted_with(config: ServerConfig) -> ServerSession {
    let mut session = ServerSession::new(config);
    session.handle_input(hello()).unwrap();
    session.poll_output();
    session
}

/// A session with a publisher on air, with nothing left to send.
fn on_air() -> ServerSession {
    let mut session = greeted();
    session.handle_input(obs("key")).unwrap();
    let request = request(&mut session);
    session.accept(request).unwrap();
    session.poll_output();
    session
}

fn request(session: &mut ServerSession) -> PublishRequest {
    match session.poll_event() {
        Some(Event::Publish(request)) => request,
        other => panic!("{other:?} is no publish request"),
    }
}

fn events(session: &mut ServerSession) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// The messages that a peer reads in `bytes`, which begin after the handshake.
fn messages(bytes: impl Into<Bytes>) -> Vec<Message> {
    let mut reader = ChunkReader::new(&Limits::default());
    reader.push_input(bytes.into());
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// The same, once the chunk size was agreed on.
fn sent(session: &mut ServerSession) -> Vec<Message> {
    let size = session.config.chunk_size.to_be_bytes().to_vec();
    let output = session.poll_output().unwrap_or_default();
    messages([&wire(2, &message(kind::SET_CHUNK_SIZE, 0, 0, size)), &output[..]].concat())
}

/// The commands sent: message stream, name, and the code of the information object.
fn commands(messages: &[Message]) -> Vec<(u32, String, Option<String>)> {
    let commands = messages.iter().filter(|m| m.kind == kind::COMMAND).map(|m| Command::parse(m).unwrap());
    let code =
        |c: &Command| c.information_object().and_then(|info| info.string_property("code")).map(str::to_owned);
    commands.map(|c| (c.stream, c.name.clone(), code(&c))).collect()
}

fn status(stream: u32, code: &str) -> (u32, String, Option<String>) {
    (stream, "onStatus".to_owned(), Some(code.to_owned()))
}
