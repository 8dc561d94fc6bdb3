//! `headwater-origin`: where viewers watch.

use std::process::ExitCode;

use clap::Parser;
use headwater_runtime::{cli::Options, config::Service, process};

/// Headwater's origin: shows live streams to viewers over HTTP
#[derive(Parser)]
#[command(name = "headwater-origin", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    process::run(Service::Origin, &Arguments::parse().options, |process| async {
        let config = &process.config.registry;
        let registry = headwater_registry::open(config.redis_url(), config.prefix.as_str(), config.lease)?;
        headwater_origin::run(process, registry).await?;
        anyhow::Ok(())
    })
}
