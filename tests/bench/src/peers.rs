//! Peers that the proxy is compared with: HAProxy, and nginx with its RTMP module.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::processes::{self, Process};

/// Without TLS, HTTP or logs; the kernel moves the bytes where HAProxy finds that worth it.
const HAPROXY: &str = "\
global
  nbthread THREADS
  maxconn 4096
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind ADDRESS
  default_backend out
backend out
  server sink UPSTREAM
";

/// Configuration of nginx with one process, which costs less than several. Chunks are as large as what it receives, which
/// saves it a tenth against the usual 4096; what leaves it is not held back for larger writes (`buffer`), as that would
/// delay it.
const NGINX: &str = "\
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; worker_rlimit_nofile 65536; error_log stderr error; pid PATH/nginx-rtmp.pid;
events { worker_connections 8192; multi_accept on; }
rtmp { access_log off; server {
  listen ADDRESS; chunk_size 65536; max_message 8M; out_queue 1024;
  application live { live on; push rtmp://UPSTREAM/live; }
} }
";

/// A peer that forwards to a sink.
pub struct Peer {
    pub process: Process,
    pub address: SocketAddr,
}

impl Peer {
    pub async fn haproxy(directory: &Path, threads: usize, upstream: SocketAddr) -> Result<Self> {
        let config = HAPROXY.replace("THREADS", &threads.to_string());
        Self::start(directory, "haproxy", &config, upstream, &["-db", "-f"]).await
    }

    pub async fn nginx(directory: &Path, upstream: SocketAddr) -> Result<Self> {
        Self::start(directory, "nginx", NGINX, upstream, &["-p", "/tmp", "-c"]).await
    }

    async fn start(
        directory: &Path,
        name: &str,
        config: &str,
        upstream: SocketAddr,
        arguments: &[&str],
    ) -> Result<Self> {
        let address = processes::free_address()?;
        let config = config
            .replace("PATH", &directory.to_string_lossy())
            .replace("ADDRESS", &address.to_string())
            .replace("UPSTREAM", &upstream.to_string());
        let file = directory.join(format!("{name}.conf"));
        fs::write(&file, config)?;
        let mut command = Command::new(program(name));
        command.args(arguments).arg(&file);
        let process = Process::spawn(command, directory.join(format!("{name}.log")))?;
        processes::until("a peer to listen", || TcpStream::connect(address).ok())
            .await
            .with_context(|| process.output())?;
        Ok(Self { process, address })
    }
}

/// Name and version of one, as it says itself.
pub fn version(name: &str) -> Result<String> {
    let output = Command::new(program(name)).arg("-v").output();
    let output = output.with_context(|| format!("{name} can't be started: deploy/setup.sh bench"))?;
    ensure!(output.status.success(), "{name} -v has failed");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let version = text.split_whitespace().find(|word| word.contains(|c: char| c.is_ascii_digit()));
    Ok(version.unwrap_or_default().trim_start_matches("nginx/").to_owned())
}

/// Debian keeps them where only root looks.
fn program(name: &str) -> String {
    let path = format!("/usr/sbin/{name}");
    if Path::new(&path).exists() { path } else { name.to_owned() }
}
