//! `headwater-origin`: where viewers watch.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use headwater_origin::Settings;
use headwater_runtime::{cli::Options, config::Service, process};

/// Headwater's origin: shows live streams to viewers over HTTP
#[derive(Parser)]
#[command(name = "headwater-origin", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Makes one still picture between standard input and output; started by the origin itself
    #[command(hide = true)]
    Still,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Still) = arguments.command {
        return headwater_transcode::still::main();
    }
    process::run(Service::Origin, &arguments.options, |process| async {
        let config = &process.config.registry;
        let registry = headwater_registry::open(config.redis_url(), config.prefix.as_str(), config.lease)?;
        headwater_origin::run(process.map_config(Settings::from), registry).await?;
        anyhow::Ok(())
    })
}
