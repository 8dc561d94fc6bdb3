//! `headwater-store`: an S3-compatible store for development, as in docker-compose.yml.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use headwater_store::{Credentials, serve, service};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// An S3-compatible store over a directory, for tests and for development. Not for recordings that matter.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The directory; each bucket is a directory in it.
    root: PathBuf,
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Buckets to make, unless they are there.
    #[arg(long, default_value = "recordings")]
    bucket: Vec<String>,
    #[arg(long, env = "AWS_ACCESS_KEY_ID")]
    access_key: String,
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    secret_key: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { root, listen, bucket, access_key, secret_key } = Options::parse();
    let service = service(&root, &bucket, Credentials { access_key, secret_key })?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("can't listen on {listen}"))?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(serve(listener, service, stop.clone()));
    told_to_stop().await?;
    stop.cancel();
    running.await?;
    Ok(())
}

async fn told_to_stop() -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}
