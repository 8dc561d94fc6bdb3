//! Child processes of a test. Each is ended with the test, and its output is kept in a file that a failure shows.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; standard output and error go to `<directory>/<name>.log`.
    pub fn start<I, S>(
        directory: &Path,
        name: &str,
        program: &Path,
        arguments: I,
        environment: &[(String, String)],
    ) -> Result<Self>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let log = directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        Ok(Self { name: name.into(), child, log })
    }

    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Output of the process so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Fails, with what it said, when the process has ended.
    pub fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} is over too soon: {status}: {}", self.name, self.output()),
        }
    }

    /// Waits for the process to end by itself.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} was still running after {limit:?}", self.name),
        }
    }

    /// Sends a signal by its name, such as `TERM`.
    pub async fn signal(&self, signal: &str) -> Result<()> {
        let id = self.child.id().context("the process has ended")?;
        let status = Command::new("kill").args([format!("-{signal}"), id.to_string()]).status().await?;
        anyhow::ensure!(status.success(), "kill -{signal} {id} failed");
        Ok(())
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// From now on, processes that end don't show their output: for programs that no test runner listens to.
pub fn keep_quiet() {
    IS_QUIET.store(true, Relaxed);
}

impl Drop for Process {
    /// The test runner keeps this for itself, unless the test fails.
    #[expect(clippy::print_stderr, reason = "for whoever reads why a test failed")]
    fn drop(&mut self) {
        if IS_QUIET.load(Relaxed) {
            return;
        }
        eprintln!("---- {} ----\n{}", self.name, tail(&self.output()));
    }
}

/// The last lines: enough to see what went wrong.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// Path of one of this project's executables, beside the running test.
pub fn binary(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let directory = test.parent().and_then(Path::parent).context("tests run from target/<profile>/deps")?;
    let path = directory.join(name);
    anyhow::ensure!(path.exists(), "{} is missing: cargo build --workspace --bins", path.display());
    Ok(path)
}

/// Runs a program to its end and gives its standard output; fails with its standard error.
pub async fn run(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| {
            format!("{program} could not be started: is it installed? (deploy/setup.sh test)")
        })?;
    anyhow::ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
