//! `headwater bench`: load tools for operators. They say what they did while they run and at their end, and their exit
//! code tells a script whether all went well: 0, or 1, or 2 where they were started wrongly.

mod cpu;
mod duration;
mod publish;
mod recording;
mod run;
mod spread;
mod view;

use std::process::ExitCode;

use clap::Subcommand;

/// Load tools, by the side of an installation that they are on.
#[derive(Subcommand)]
pub enum Tool {
    /// Publishes a recording many times over, with true timing
    #[command(after_help = EXIT_CODES)]
    Publish(publish::Arguments),
    /// Watches a low-latency stream many times over, by the rules of players
    #[command(after_help = VIEW_EXIT_CODES)]
    View(view::Arguments),
}

const EXIT_CODES: &str = "Exit code: 0 when every publisher was accepted at once and none was lost, 1 when not, \
                          2 when the command was used wrongly.\nThe key is a secret: it is shown nowhere.";

const VIEW_EXIT_CODES: &str = "Exit code: 0 when every viewer began and none met a fault, a stall or a wrong sequence \
                               number, 1 when not, 2 when the command was used wrongly.";

impl Tool {
    /// Runs the tool to its end.
    pub fn run(&self) -> ExitCode {
        match self {
            Self::Publish(arguments) => publish::run(arguments),
            Self::View(arguments) => view::run(arguments),
        }
    }
}
