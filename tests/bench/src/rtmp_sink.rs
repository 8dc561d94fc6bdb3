//! A server that takes whatever is published to it by RTMP, counts it, and does nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use bytes::BytesMut;
use headwater_rtmp::{Event, ServerConfig, ServerSession};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::received::Received;

/// Bytes read at a time.
const READ: usize = 64 << 10;

/// Runs until it is dropped.
pub struct RtmpSink {
    pub address: SocketAddr,
    pub received: Arc<Received>,
    _tasks: JoinSet<()>,
}

impl RtmpSink {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let received = Arc::new(Received::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, received.clone()));
        Ok(Self { address, received, _tasks: tasks })
    }
}

async fn accept(listener: TcpListener, received: Arc<Received>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let received = received.clone();
        connections.spawn(async move {
            // What is missing is missed by the benchmark, which compares what was sent.
            let _ = take(socket, &received).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn take(mut socket: TcpStream, received: &Received) -> Result<()> {
    let mut session = ServerSession::new(ServerConfig::default());
    let mut buffer = BytesMut::new();
    let mut on_air = None;
    while !session.close_requested() {
        buffer.reserve(READ);
        if socket.read_buf(&mut buffer).await? == 0 {
            break;
        }
        session.handle_input(buffer.split().freeze())?;
        while let Some(event) = session.poll_event() {
            received.event(&event);
            match event {
                Event::Publish(request) => {
                    session.accept(request)?;
                    on_air = Some(received.publisher());
                }
                Event::Unpublish => on_air = None,
                _ => {}
            }
        }
        while let Some(bytes) = session.poll_output() {
            socket.write_all(&bytes).await?;
        }
    }
    drop(on_air);
    Ok(())
}
