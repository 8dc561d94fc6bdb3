//! An encoder: a client session on a socket.

use std::net::SocketAddr;

use bytes::Bytes;
use headwater_rtmp::{ClientConfig, ClientEvent, ClientSession, Metadata};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{media, within};

pub struct Encoder<S = TcpStream> {
    pub socket: S,
    pub session: ClientSession,
}

impl Encoder {
    /// Connects, and asks to publish.
    pub async fn request(proxy: SocketAddr, key: &str) -> Self {
        let mut encoder = Self::connect(proxy, Self::config(proxy, key)).await;
        encoder.ask().await;
        encoder
    }

    /// The same as one that says that it can connect again when it is asked to.
    pub async fn request_movable(proxy: SocketAddr, key: &str) -> Self {
        let config = ClientConfig { reconnects: true, ..Self::config(proxy, key) };
        let mut encoder = Self::connect(proxy, config).await;
        encoder.ask().await;
        encoder
    }

    pub fn config(proxy: SocketAddr, key: &str) -> ClientConfig {
        ClientConfig::new("live", format!("rtmp://{proxy}/live"), key)
    }

    pub async fn connect(proxy: SocketAddr, config: ClientConfig) -> Self {
        Self::greet(TcpStream::connect(proxy).await.unwrap(), config).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Encoder<S> {
    /// Connects to the application on a socket that is open.
    pub async fn greet(socket: S, config: ClientConfig) -> Self {
        let session = ClientSession::new(config).unwrap();
        let mut encoder = Self { socket, session };
        encoder.flush().await;
        assert_eq!(encoder.event().await, Some(ClientEvent::Connected));
        encoder
    }

    /// The code and the text with which the connection to the application has to be refused.
    pub async fn refused_connection(socket: S, config: ClientConfig) -> (String, String) {
        let mut encoder = Self { socket, session: ClientSession::new(config).unwrap() };
        encoder.flush().await;
        encoder.refused().await
    }

    /// Waits for the message stream; the publish request is what the session says next.
    pub async fn ask(&mut self) {
        loop {
            if let Some(publish) = self.session.poll_output() {
                self.socket.write_all(&publish).await.unwrap();
                return self.socket.flush().await.unwrap();
            }
            assert!(within("a message stream", self.read()).await, "closed");
        }
    }

    /// The code and the text of the refusal that has to come.
    pub async fn refused(mut self) -> (String, String) {
        let Some(ClientEvent::Rejected { code, description }) = self.event().await else {
            panic!("accepted")
        };
        assert_eq!(self.event().await, None, "the connection is closed");
        (code, description)
    }

    pub async fn accepted(&mut self) {
        assert_eq!(self.event().await, Some(ClientEvent::Accepted));
    }

    /// The code and the text with which an accepted publisher has to be sent away.
    pub async fn sent_away(mut self) -> (String, String) {
        let Some(ClientEvent::Closed { code, description }) = self.event().await else { panic!("not told") };
        assert_eq!(self.event().await, None, "the connection is closed");
        (code, description)
    }

    /// Next event of the session; none when it has closed the connection.
    pub async fn event(&mut self) -> Option<ClientEvent> {
        within("the server says something", async {
            loop {
                if let Some(event) = self.session.poll_event() {
                    return Some(event);
                }
                if !self.read().await {
                    return None;
                }
                self.flush().await;
            }
        })
        .await
    }

    /// Takes what the server says; false when it has closed the connection.
    async fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.socket.read(&mut buffer).await.unwrap();
        self.session.handle_input(Bytes::copy_from_slice(&buffer[..count])).unwrap();
        count > 0
    }

    /// Sends what the encoder says of itself and its media.
    pub async fn announce(&mut self, metadata: &Metadata) {
        self.session.metadata(metadata).unwrap();
        self.flush().await;
    }

    /// Sends the headers of both tracks.
    pub async fn headers(&mut self) {
        self.video(0, media::video_header()).await;
        self.audio(0, media::audio_header()).await;
    }

    pub async fn video(&mut self, timestamp: u32, payload: Bytes) {
        self.session.video(timestamp, payload).unwrap();
        self.flush().await;
    }

    pub async fn audio(&mut self, timestamp: u32, payload: Bytes) {
        self.session.audio(timestamp, payload).unwrap();
        self.flush().await;
    }

    /// Ends the stream; the connection stays.
    pub async fn unpublish(&mut self) {
        self.session.finish().unwrap();
        self.flush().await;
    }

    pub async fn flush(&mut self) {
        while let Some(bytes) = self.session.poll_output() {
            within("the server reads", self.socket.write_all(&bytes)).await.unwrap();
        }
        self.socket.flush().await.unwrap();
    }
}
