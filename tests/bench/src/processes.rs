//! The processes that are measured, and those that put load on them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::usage::Scope;

/// How long a service may take until it is ready, or a benchmark until all is under way.
const READY: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long an answer of `/metrics` may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A child process that is killed when it is dropped, with its output in a file.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn start<S: AsRef<OsStr>>(
        directory: &Path,
        name: &str,
        arguments: impl IntoIterator<Item = S>,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let command = command(name, arguments, environment)?;
        Self::spawn(command, directory.join(format!("{name}.log"))).context("build it first")
    }

    /// Any program, with its output in this file.
    pub fn spawn(mut command: Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn();
        let child = child.with_context(|| format!("{:?} can't be started", command.get_program()))?;
        Ok(Self { child, log })
    }

    /// Asks it to end, as Ctrl-C does, and waits until it has.
    pub fn interrupt(&mut self) -> Result<()> {
        let id = i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.context("it has no id")?, rustix::process::Signal::INT)?;
        self.child.wait()?;
        Ok(())
    }

    /// Until it has ended by itself.
    pub fn wait(&mut self) {
        // Nobody can do anything about it.
        let _ = self.child.wait();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn tree(&self) -> Scope {
        Scope::Tree(self.id())
    }

    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Command that starts one of our programs, with settings as variables.
fn command<S: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = S>,
    settings: &[(&str, String)],
) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name(name));
    command.args(arguments).envs(settings.iter().map(|(name, value)| (format!("HEADWATER_{name}"), value)));
    Ok(command)
}

/// A service with its metrics.
pub struct Service {
    pub process: Process,
    /// RTMP or gRPC.
    pub address: SocketAddr,
    metrics: SocketAddr,
}

impl Service {
    /// `headwater-<kind>`; `listen` is the setting with its address.
    pub async fn start(
        directory: &Path,
        kind: &str,
        listen: &str,
        settings: &[(&str, String)],
    ) -> Result<Self> {
        Self::start_with(directory, kind, listen, settings, &[]).await
    }

    /// With other variables than ours, too.
    pub async fn start_with(
        directory: &Path,
        kind: &str,
        listen: &str,
        settings: &[(&str, String)],
        others: &[(&str, String)],
    ) -> Result<Self> {
        let address = free_address()?;
        let metrics = free_address()?;
        let section = kind.to_uppercase();
        let listen = format!("{section}_{listen}");
        let metrics_listen = format!("{section}_METRICS_LISTEN");
        let mut all: Vec<(&str, String)> = settings.to_vec();
        all.extend([(&*listen, address.to_string()), (&*metrics_listen, metrics.to_string())]);
        if kind == "server" {
            all.push(("SERVER_ADVERTISE", address.to_string()));
        }
        all.push(("LOG_LEVEL", "warn".into()));
        let name = format!("headwater-{kind}");
        let mut command = command(&name, [] as [&str; 0], &all)?;
        command.envs(others.iter().map(|(name, value)| (name, value)));
        let log = directory.join(format!("{name}.log"));
        let process = Process::spawn(command, log).context("build it first")?;
        let service = Self { process, address, metrics };
        let ready =
            || get(service.metrics, "/readyz").ok().filter(|answer| answer.starts_with("HTTP/1.1 200"));
        until("a service to be ready", ready).await.with_context(|| service.process.output())?;
        Ok(service)
    }

    /// The value of a metric without labels; zero where it was never counted.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let text = get(self.metrics, "/metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map_or(Ok(0.0), |value| value.trim().parse())?)
    }
}

/// `headwater bench publish`, looping the source, for streams whose names begin with `stream`.
pub async fn publishers(
    directory: &Path,
    service: &Service,
    stream: &str,
    number: u32,
    source: &Path,
) -> Result<Process> {
    let number = number.to_string();
    let url = format!("rtmp://{}/live/{stream}", service.address);
    let source = source.to_string_lossy();
    let arguments =
        ["bench", "publish", "-n", &number, "--url", &url, "--source", &source, "--loop", "--ramp", "10ms"];
    let process = Process::start(directory, "headwater", arguments, &[])?;
    let on_air =
        || service.metric("headwater_proxy_publishers").ok().filter(|count| count.to_string() == number);
    until("all publishers to be on air", on_air).await.with_context(|| process.output())?;
    Ok(process)
}

/// Fails when the publishers have met anything but success.
pub fn check(publishers: &Process) -> Result<()> {
    let said = publishers.output();
    let last = said.lines().last().unwrap_or_default();
    ensure!(last.contains(" 0 refused  0 lost"), "the publishers were disturbed: {said}");
    Ok(())
}

pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + READY;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {READY:?} in vain for {what}");
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// An answer of HTTP/1.1, head and body; small ones only.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, ANSWER)?;
    socket.set_read_timeout(Some(ANSWER))?;
    write!(socket, "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}
