//! nginx, tuned for what is compared: as many workers as cores, sendfile, open files kept, nothing logged.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::processes::{self, Process};

/// Configuration that both kinds have in common. The headers are those of the origin's answers.
const COMMON: &str = "\
daemon off; master_process on; worker_processes auto; worker_rlimit_nofile 65536; error_log stderr error; pid PATH/nginx.pid;
events { worker_connections 16384; multi_accept on; }
http {
  access_log off; server_tokens off; default_type application/octet-stream;
  types { application/vnd.apple.mpegurl m3u8; video/mp4 m4s; }
  sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 75s;
  open_file_cache max=1000 inactive=600s; open_file_cache_valid 600s; open_file_cache_errors on;
  client_body_temp_path PATH/tmp-body; proxy_temp_path PATH/tmp-proxy; fastcgi_temp_path PATH/tmp-fastcgi;
  uwsgi_temp_path PATH/tmp-uwsgi; scgi_temp_path PATH/tmp-scgi;
";

/// Serves `PATH/files`, compressed ones from `….gz` beside them. What is small is read and written with its head in one
/// call: with `sendfile` it would take four.
const STATIC: &str = "\
  server {
    listen ADDRESS reuseport backlog=4096;
    root PATH/files;
    location ~ m3u8$ { gzip_static on; sendfile off; HEADERS add_header cache-control \"public, max-age=1\"; add_header vary Accept-Encoding; }
    location / { HEADERS add_header cache-control \"public, max-age=31536000, immutable\"; }
  }
}
";

/// Keeps what UPSTREAM answers: playlists for a second, parts and segments for long.
const CACHE: &str = "\
  proxy_cache_path PATH/cache levels=1:2 keys_zone=all:10m max_size=1g inactive=600s use_temp_path=off;
  upstream origin { server UPSTREAM; keepalive 16; }
  server {
    listen ADDRESS reuseport backlog=4096;
    proxy_http_version 1.1; proxy_set_header connection \"\"; proxy_set_header accept-encoding $http_accept_encoding;
    proxy_cache all; proxy_cache_key $uri$is_args$args; proxy_cache_lock on; proxy_ignore_headers cache-control expires vary;
    proxy_cache_use_stale updating; proxy_cache_background_update on;
    location ~ m3u8$ { proxy_cache_valid 200 1s; proxy_pass http://origin; }
    location / { proxy_cache_valid 200 600s; proxy_pass http://origin; }
  }
}
";

/// The headers of every answer; nginx forgets them in a location that has some of its own.
const HEADERS: &str = "add_header access-control-allow-origin *; add_header timing-allow-origin *; \
    add_header x-content-type-options nosniff; \
    add_header access-control-expose-headers \"Content-Length, Content-Range, Date, ETag, Retry-After, Age\";";

pub struct Nginx {
    pub process: Process,
    pub address: SocketAddr,
}

impl Nginx {
    /// Serves the files below `directory/files`.
    pub async fn files(directory: &Path) -> Result<Self> {
        Self::start(directory, "nginx-files", STATIC, None).await
    }

    /// A cache in front of this server.
    pub async fn cache(directory: &Path, upstream: SocketAddr) -> Result<Self> {
        Self::start(directory, "nginx-cache", CACHE, Some(upstream)).await
    }

    async fn start(directory: &Path, name: &str, server: &str, upstream: Option<SocketAddr>) -> Result<Self> {
        let address = processes::free_address()?;
        let upstream = upstream.map(|address| address.to_string()).unwrap_or_default();
        let text = format!("{COMMON}{server}")
            .replace("HEADERS", HEADERS)
            .replace("PATH", &directory.to_string_lossy())
            .replace("ADDRESS", &address.to_string())
            .replace("UPSTREAM", &upstream);
        let config = directory.join(format!("{name}.conf"));
        let log = directory.join(format!("{name}.log"));
        fs::write(&config, text)?;
        // Temporary files and the cache belong to whom it runs as.
        let user = if is_root() { "user root;" } else { "" };
        let mut command = Command::new("nginx");
        command.arg("-p").arg(directory).arg("-e").arg("stderr").arg("-c").arg(&config).args(["-g", user]);
        let process = Process::spawn(command, log).context("deploy/setup.sh bench")?;
        let nginx = Self { process, address };
        let open = || std::net::TcpStream::connect(address).ok();
        processes::until("nginx to listen", open).await.with_context(|| nginx.process.output())?;
        Ok(nginx)
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

impl Drop for Nginx {
    /// Told to end, it ends its workers too; killed, it would leave them behind.
    fn drop(&mut self) {
        let told = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        if told.is_ok_and(|status| status.success()) {
            self.process.wait();
        }
    }
}

/// Its version, for the heading.
pub fn version() -> Result<String> {
    let output =
        Command::new("nginx").arg("-v").output().context("nginx is missing: deploy/setup.sh bench")?;
    let text = String::from_utf8(output.stderr)?;
    let version = text.trim().rsplit('/').next().unwrap_or_default().to_owned();
    ensure!(!version.is_empty(), "nginx does not say its version");
    Ok(version)
}
