//! Hosts with a network cable that can be pulled: network namespaces, joined by a pair of virtual Ethernet devices each.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::process::{Process, run};
use crate::wait;

/// Set in a test that has a network of its own.
const INSIDE: &str = "TEST_HAS_ITS_OWN_NETWORK";
/// How long it may take until a namespace is there.
const MADE: Duration = Duration::from_secs(10);

/// Host that a service runs on.
#[derive(Clone, Debug)]
pub struct Place {
    /// Address that it is reached by.
    pub host: IpAddr,
    /// A command that starts it there, with its arguments; empty on this host.
    pub within: Vec<String>,
    /// Address of its Redis, if not on its own host.
    pub registry: Option<String>,
}

impl Default for Place {
    fn default() -> Self {
        Self { host: Ipv4Addr::LOCALHOST.into(), within: Vec::new(), registry: None }
    }
}

/// Runs a test in a network namespace of its own, where it may make hosts and nobody else is reached. `name` is that of the
/// calling test, which is started once more in there.
///
/// # Errors
/// When the test fails, and when the system gives no namespace: it says what to do about that.
pub async fn isolated(name: &str, test: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        ip(&["link", "set", "lo", "up"]).await?;
        return test().await;
    }
    let is_root = std::fs::metadata("/proc/self")?.uid() == 0;
    let unshare: &[_] = if is_root { &["--net", "--"] } else { &["--map-root-user", "--net", "--"] };
    possible(unshare).await?;
    let inner = Command::new("unshare")
        .args(unshare)
        .arg(std::env::current_exe()?)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&inner.stdout) + String::from_utf8_lossy(&inner.stderr);
    ensure!(inner.status.success() && said.contains("1 passed"), "in a network of its own: {said}");
    Ok(())
}

/// Tries whether there can be a host.
async fn possible(unshare: &[&str]) -> Result<()> {
    let joined = ["ip", "link", "add", "near", "type", "veth", "peer", "name", "far"];
    let tried = Command::new("unshare").args(unshare).args(joined).stdin(Stdio::null()).output().await;
    let why = match tried {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    bail!(
        "this test pulls the network cable of a host, and this system lets it make none: {why}. It needs `unshare` and \
         `ip` (deploy/setup.sh test), the kernel module veth, and the right to make network namespaces: run it as root \
         (in a container: with the capabilities SYS_ADMIN and NET_ADMIN, and without its seccomp profile), or allow user \
         namespaces to everybody (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu \
         kernel.apparmor_restrict_unprivileged_userns=0)"
    )
}

/// A host with a cable to this one. It is there as long as this is, or anything runs there.
pub struct Host {
    number: u8,
    /// Keeps the namespace.
    holder: Process,
}

impl Host {
    /// `number` is above 0 and tells it from the other hosts of the test.
    pub async fn new(directory: &Path, number: u8) -> Result<Self> {
        let command = ["--net", "--", "sleep", "infinity"];
        let holder =
            Process::start(directory, &format!("host-{number}"), Path::new("unshare"), command, &[])?;
        let host = Self { number, holder };
        let own = std::fs::read_link("/proc/self/ns/net")?;
        let is_made = || async {
            let namespace = std::fs::read_link(host.namespace().ok()?).ok()?;
            (namespace != own).then_some(())
        };
        wait::until("a network namespace", MADE, is_made).await?;
        host.join().await?;
        Ok(host)
    }

    /// A server that runs there, where this host has Redis on that port of all its addresses.
    pub fn place(&self, redis_port: u16) -> Result<Place> {
        let within = vec!["nsenter".into(), format!("--net={}", self.namespace()?), "--".into()];
        let registry = Some(format!("redis://{}:{redis_port}", self.address(1)));
        Ok(Place { host: self.address(2).into(), within, registry })
    }

    /// Cuts the host off: no packet arrives there or comes from there any more, and nobody is told.
    pub async fn unplug(&self) -> Result<()> {
        self.ip(&["link", "set", "cable", "down"]).await
    }

    pub async fn plug(&self) -> Result<()> {
        self.ip(&["link", "set", "cable", "up"]).await
    }

    async fn join(&self) -> Result<()> {
        let near = format!("host{}", self.number);
        let id = self.id()?;
        ip(&["link", "add", &near, "type", "veth", "peer", "name", "cable", "netns", &id]).await?;
        ip(&["address", "add", &format!("{}/24", self.address(1)), "dev", &near]).await?;
        ip(&["link", "set", &near, "up"]).await?;
        self.ip(&["address", "add", &format!("{}/24", self.address(2)), "dev", "cable"]).await?;
        self.ip(&["link", "set", "lo", "up"]).await?;
        self.plug().await
    }

    /// 1 is this end of the cable, 2 the other one.
    fn address(&self, end: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, end)
    }

    async fn ip(&self, arguments: &[&str]) -> Result<()> {
        let namespace = format!("--net={}", self.namespace()?);
        let command: Vec<_> = [&namespace, "--", "ip"].into_iter().chain(arguments.iter().copied()).collect();
        run("nsenter", &command).await.map(drop)
    }

    fn namespace(&self) -> Result<String> {
        Ok(format!("/proc/{}/ns/net", self.id()?))
    }

    fn id(&self) -> Result<String> {
        Ok(self.holder.id().context("the holder of a namespace has ended")?.to_string())
    }
}

async fn ip(arguments: &[&str]) -> Result<()> {
    run("ip", arguments).await.map(drop)
}
