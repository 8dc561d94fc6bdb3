//! The programs that make, encode and compare pictures.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Debian's ffmpeg encodes; the other one, where there is one with libvmaf, compares.
pub struct Tool {
    pub vmaf: Option<PathBuf>,
}

impl Tool {
    /// Finds out whether `candidate` knows VMAF.
    pub fn new(candidate: Option<PathBuf>) -> Self {
        let knows = |program: &PathBuf| {
            let output = Command::new(program).args(["-hide_banner", "-filters"]).output();
            output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(" libvmaf "))
        };
        Self { vmaf: candidate.filter(knows) }
    }

    pub fn ffmpeg(&self) -> Command {
        quiet("ffmpeg")
    }

    /// For comparisons.
    pub fn comparing(&self) -> Command {
        self.vmaf.as_ref().map_or_else(|| quiet("ffmpeg"), quiet)
    }

    pub fn run(&self, command: &mut Command) -> Result<()> {
        self.said(command).map(drop)
    }

    /// Runs a command and gives its standard error; its standard output is read apart.
    pub fn said(&self, command: &mut Command) -> Result<String> {
        let output = command.output().with_context(|| format!("{command:?} can't be started"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{command:?} failed: {said}");
        Ok(said)
    }

    pub fn answer(&self, command: &mut Command) -> Result<String> {
        let output = command.output().with_context(|| format!("{command:?} can't be started"))?;
        ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// First words of `program -version`.
    pub fn version(&self, program: impl AsRef<OsStr>) -> Result<String> {
        let answer = self.answer(Command::new(program).arg("-version"))?;
        Ok(answer.split(' ').skip(2).take(1).collect())
    }
}

fn quiet(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.args(["-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-y"]).stdin(Stdio::null());
    command
}
