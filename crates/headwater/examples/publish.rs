//! Publishes an FLV file with H.264 and AAC by RTMP, in real time.
//!
//! `cargo run -p headwater --example publish -- film.flv HOST:PORT APP KEY`

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::{Buf, Bytes};
use headwater_rtmp::{ClientConfig, ClientEvent, ClientSession, Metadata};

/// Bytes of an FLV file before its first tag: the header, and the length of no tag (FLV 10.1 annex E.2).
const FILE_HEADER: usize = 9 + 4;
/// Bytes of a tag before its payload (FLV 10.1 annex E.4.1); its length stands behind it in four more.
const TAG_HEADER: usize = 11;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, address, app, key] = &arguments[..] else { bail!("usage: publish FILE HOST:PORT APP KEY") };
    let mut rest = Bytes::from(std::fs::read(file).context("the file can't be read")?);
    rest.advance(FILE_HEADER.min(rest.len()));
    let mut socket = TcpStream::connect(address)?;
    let mut session = ClientSession::new(ClientConfig::new(app, format!("rtmp://{address}/{app}"), key))?;
    while !session.is_publishing() {
        send(&mut session, &mut socket)?;
        receive(&mut session, &mut socket)?;
    }
    session.metadata(&Metadata { video: true, audio: true, ..Metadata::default() })?;
    let begun = Instant::now();
    while let Some((kind, time, payload)) = next_tag(&mut rest) {
        sleep(Duration::from_millis(time.into()).saturating_sub(begun.elapsed()));
        match kind {
            8 => session.audio(time, payload)?,
            9 => session.video(time, payload)?,
            _ => {}
        }
        send(&mut session, &mut socket)?;
    }
    session.finish()?;
    send(&mut session, &mut socket)?;
    socket.shutdown(Shutdown::Write)?;
    // The server closes its side when it has read to the end.
    std::io::copy(&mut socket, &mut std::io::sink())?;
    Ok(())
}

/// Kind, time in milliseconds and payload of the next tag; `None` at the end of the file.
fn next_tag(rest: &mut Bytes) -> Option<(u8, u32, Bytes)> {
    let header = rest.get(..TAG_HEADER)?;
    let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    let time = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
    let kind = header[0];
    let whole = (rest.len() >= TAG_HEADER + length + 4).then(|| rest.split_to(TAG_HEADER + length + 4))?;
    Some((kind, time, whole.slice(TAG_HEADER..TAG_HEADER + length)))
}

fn send(session: &mut ClientSession, socket: &mut TcpStream) -> anyhow::Result<()> {
    while let Some(output) = session.poll_output() {
        socket.write_all(&output)?;
    }
    Ok(())
}

fn receive(session: &mut ClientSession, socket: &mut TcpStream) -> anyhow::Result<()> {
    let mut buffer = [0; 4_096];
    let count = socket.read(&mut buffer)?;
    ensure!(count > 0, "the server closed the connection");
    session.handle_input(Bytes::copy_from_slice(&buffer[..count]))?;
    while let Some(event) = session.poll_event() {
        if let ClientEvent::Rejected { description, .. } = event {
            bail!("refused: {description}");
        }
    }
    Ok(())
}
