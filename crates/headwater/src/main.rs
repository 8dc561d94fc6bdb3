//! `headwater`: live streaming on one machine.

mod bench;
mod control_api;
mod demo;
mod drain;
mod first_start;
mod inputs;
mod streams;
mod target;
mod token;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use headwater_runtime::cli::Options;

/// Live streaming: RTMP in, low-latency HLS out
#[derive(Parser)]
#[command(name = "headwater", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs proxy, server and origin in this process
    Up {
        #[command(flatten)]
        options: Options,
    },
    /// Publishes a moving test picture with a clock and a beep until it is stopped
    Demo(demo::Arguments),
    /// Has a server stop: its broadcasts move to other servers, and viewers don't notice
    Drain(drain::Arguments),
    /// Lists, makes and changes live inputs, through the control API
    Inputs(inputs::Arguments),
    /// Lists streams on air, and disconnects or blocks their publishers, through the control API
    Streams(streams::Arguments),
    /// Makes access tokens of the control API, in the directory of the configuration
    Token(token::Arguments),
    /// Puts load on an installation and tells how it did
    #[command(subcommand)]
    Bench(bench::Tool),
    /// Transcodes one broadcast between standard input and output; started by `up` itself
    #[command(hide = true)]
    Worker,
    /// Makes one still picture between standard input and output; started by `up` itself
    #[command(hide = true)]
    Still,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Up { options } => up::run(&options),
        Command::Bench(tool) => tool.run(),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Drain(arguments) => drain::run(&arguments),
        Command::Inputs(arguments) => inputs::run(&arguments),
        Command::Streams(arguments) => streams::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Worker => headwater_transcode::worker::main(),
        Command::Still => headwater_transcode::still::main(),
    }
}
