//! Process `headwater-proxy`: encoders publish to it.

use std::process::ExitCode;

use clap::Parser;
use headwater_proxy::Settings;
use headwater_runtime::{cli::Options, config::Service, process};

/// Headwater's proxy: takes publishers in by RTMP and finds each a transcode server
#[derive(Parser)]
#[command(name = "headwater-proxy", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    process::run(Service::Proxy, &Arguments::parse().options, |process| async {
        let config = &process.config.registry;
        let registry = headwater_registry::open(config.redis_url(), config.prefix.as_str(), config.lease)?;
        headwater_proxy::run(process.map_config(Settings::from), registry).await?;
        anyhow::Ok(())
    })
}
