//! Confinement of a process that decodes what strangers sent, as the process that started it asks for.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::sandbox::{self, Gap, MEMORY_VARIABLE, MODE_VARIABLE, Mode};

/// Settings that the server gives in the worker's environment.
pub(crate) struct SandboxConfig {
    pub(crate) mode: Mode,
    /// Bytes.
    pub(crate) memory: u64,
}

impl SandboxConfig {
    pub(crate) fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let wrong =
            |name: &str| Error::Protocol(format!("{name} is not set: workers are started by their server"));
        let text = |name: &str| variable(name).ok_or_else(|| wrong(name));
        let mode = text(MODE_VARIABLE)?.parse().map_err(Error::Protocol)?;
        let memory = text(MEMORY_VARIABLE)?.parse().map_err(|_| wrong(MEMORY_VARIABLE))?;
        Ok(Self { mode, memory })
    }
}

/// Everything that will be needed is loaded, and nothing of a stranger's was read yet.
pub(crate) fn prepare_process(
    config: &SandboxConfig,
    mut gaps: Vec<Gap>,
) -> Result<(Option<Arc<Memory>>, Vec<Gap>)> {
    let memory = Memory::open_statm(config.memory).map(Arc::new);
    gaps.extend(match config.mode {
        Mode::Off => sandbox::limit_resources(config.memory),
        Mode::Required | Mode::Preferred | Mode::Check => sandbox::confine(config.memory),
    });
    if config.mode == Mode::Required && !gaps.is_empty() {
        let gaps: Vec<_> = gaps.iter().map(ToString::to_string).collect();
        return Err(Error::Unconfined(gaps.join("; ")));
    }
    Ok((memory, gaps))
}
