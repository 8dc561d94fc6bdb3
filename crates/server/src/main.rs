//! `headwater-server`: the transcode server.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use headwater_runtime::{cli::Options, config::Service, process};
use headwater_server::{Settings, WorkerCommand};

/// Headwater's transcode server: takes broadcasts from proxies and shows them to origins
#[derive(Parser)]
#[command(name = "headwater-server", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Transcodes one broadcast between standard input and output; started by the server itself
    #[command(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Worker) => headwater_transcode::worker::main(),
        None => process::run(Service::Server, &arguments.options, |process| async {
            let config = &process.config.registry;
            let registry =
                headwater_registry::open(config.redis_url(), config.prefix.as_str(), config.lease)?;
            headwater_server::run(process.map_config(Settings::from), registry, WorkerCommand::own()?)
                .await?;
            anyhow::Ok(())
        }),
    }
}
