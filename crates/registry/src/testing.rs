//! A redis-server for tests.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::RedisUrl;

/// A redis-server answers some 10 ms after its start; machines that build at the same time are slower.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Range that its ports are taken from.
const PORTS: Range<u16> = 20_000..32_000;

/// A redis-server of one's own on a free port of this machine, without persistence. Killed when dropped.
pub struct RedisServer {
    port: u16,
    directory: TempDir,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When redis-server is not installed or does not start.
    pub fn start() -> Self {
        let mut server = Self::reserve();
        server.restart();
        server
    }

    /// Picks a port on which nothing runs until [`Self::restart`].
    pub fn reserve() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        Self { port: free_port(), directory, process: None }
    }

    /// Kills the process if there is one, and starts an empty one on the same port.
    pub fn restart(&mut self) {
        self.kill();
        let mut process = self.redis_command().spawn().unwrap_or_else(|error| not_started(&error));
        self.wait_until_it_answers(&mut process);
        self.process = Some(process);
    }

    /// Kills the process; the port stays reserved for [`Self::restart`].
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may be gone already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops the process without closing its connections, until [`Self::thaw`].
    pub fn freeze(&self) {
        self.send_signal("STOP");
    }

    /// Lets the frozen server go on.
    pub fn thaw(&self) {
        self.send_signal("CONT");
    }

    /// Address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// URL of the server.
    pub fn url(&self) -> RedisUrl {
        self.url_text().parse().expect("the URL has the right form")
    }

    /// For a configuration.
    pub fn url_text(&self) -> String {
        format!("redis://{}", self.address())
    }

    fn redis_command(&self) -> Command {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn wait_until_it_answers(&self, process: &mut Child) {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(self.address()).is_err() {
            let ended = process.try_wait().expect("a child can be asked whether it runs");
            assert!(ended.is_none(), "redis-server on port {} ended: {ended:?}", self.port);
            assert!(Instant::now() < deadline, "redis-server does not answer after {START_LIMIT:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn send_signal(&self, name: &str) {
        let pid = self.process.as_ref().expect("the server was started").id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "can't send SIG{name}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port below the range that the system takes ports of outgoing connections from: nobody else gets it while the
/// server is down, not even a client that tries to connect to it (Linux would connect it to itself).
fn free_port() -> u16 {
    let candidate = || PORTS.start + (RandomState::new().build_hasher().finish() % PORTS.len() as u64) as u16;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(candidate).take(PORTS.len()).find(is_free).expect("a port is free")
}

fn not_started(error: &io::Error) -> Child {
    panic!("can't start redis-server: {error}. Install it (Debian: apt-get install redis-server)")
}
