//! `headwater bench`: load tools for operators. They say what they did while they run and at their end, and their exit
//! code tells a script whether all went well: 0, or 1, or 2 where they were started wrongly.

mod cpu;
mod duration;
mod publish;
mod recording;
mod run;
mod spread;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Subcommand)]
pub enum Tool {
    /// Publishes a recording many times over, with true timing
    #[command(after_help = EXIT_CODES)]
    Publish(publish::Arguments),
}

const EXIT_CODES: &str = "Exit code: 0 when every publisher was accepted at once and none was lost, 1 when not, \
                          2 when the command was used wrongly.\nThe key is a secret: it is shown nowhere.";

impl Tool {
    pub fn run(&self) -> ExitCode {
        match self {
            Self::Publish(arguments) => publish::run(arguments),
        }
    }
}
