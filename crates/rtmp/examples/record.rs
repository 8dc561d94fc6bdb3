//! Records what an encoder sends, for the seeds of the fuzzer: accepts one publisher and writes its bytes to a file.
//!
//! `cargo run -p headwater-rtmp --example record -- PORT FILE BYTES`

use std::io::{Error, Read, Result, Write};
use std::net::{TcpListener, TcpStream};

use headwater_rtmp::{Event, ServerConfig, ServerSession};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, file, limit] = &arguments[..] else {
        return Err(Error::other("usage: record PORT FILE BYTES"));
    };
    let limit: usize = limit.parse().map_err(Error::other)?;
    let (mut socket, _) = TcpListener::bind(format!("127.0.0.1:{port}"))?.accept()?;
    let mut recorded = record(&mut socket, limit)?;
    recorded.truncate(limit);
    std::fs::write(file, recorded)
}

fn record(socket: &mut TcpStream, limit: usize) -> Result<Vec<u8>> {
    let mut session = ServerSession::new(ServerConfig::default());
    let mut recorded = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    while recorded.len() < limit {
        let count = socket.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        recorded.extend_from_slice(&buffer[..count]);
        session.handle_input(buffer[..count].to_vec()).map_err(Error::other)?;
        while let Some(event) = session.poll_event() {
            if let Event::Publish(request) = event {
                session.accept(request).map_err(Error::other)?;
            }
        }
        while let Some(output) = session.poll_output() {
            socket.write_all(&output)?;
        }
    }
    Ok(recorded)
}
