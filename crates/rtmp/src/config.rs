//! Limits of a connection, and the server's introduction of itself.

/// Bounds of one connection. Two sets: what a stranger may use, and what an accepted publisher may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Until a publish request is accepted.
    pub stranger: Phase,
    /// From then on.
    pub publisher: Phase,
    /// Chunk streams a peer may open. Encoders use three to eight.
    pub chunk_streams: usize,
    /// Message streams alive at a time. Encoders use one.
    pub message_streams: usize,
    /// Bytes that are held back while a publish request waits for its answer. Most encoders send nothing until then;
    /// this is enough for the headers and the first keyframe of one that does.
    pub held_back: usize,
}

/// Limits of one phase of a connection, before or after it was accepted.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// The longest message, in bytes.
    pub message: usize,
    /// Memory in unfinished messages of all chunk streams together, in bytes.
    pub reassembly: usize,
    /// Whether the whole length of a message is reserved as soon as its header arrives. Without it, memory is taken
    /// only for bytes that have arrived.
    pub reserve: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stranger: Phase { message: 64 << 10, reassembly: 256 << 10, reserve: false },
            // A keyframe of 8 MiB is two seconds of video at 32 Mb/s.
            publisher: Phase { message: 8 << 20, reassembly: 16 << 20, reserve: true },
            chunk_streams: 32,
            message_streams: 8,
            held_back: 1 << 20,
        }
    }
}

/// Configuration of a server's sessions.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The application names that may be published to, as in `rtmp://host/<app>/<stream key>`.
    pub apps: Vec<String>,
    /// Whether the peer may connect. One that may not is told so when it connects, before it shows a stream key.
    pub is_client_allowed: bool,
    pub limits: Limits,
    /// Bytes after which the peer is asked to acknowledge, and after which we acknowledge when the peer named no size.
    pub window: u32,
    /// Chunk size of what we send.
    pub chunk_size: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            apps: vec!["live".into(), "stream".into()],
            is_client_allowed: true,
            limits: Limits::default(),
            // What Flash Media Server announces, and so what every encoder has been tried with.
            window: 2_500_000,
            chunk_size: 4_096,
        }
    }
}
