//! Least privilege: what a decoder that a publisher's media has taken over can still do is read its input and write
//! its output.
//!
//! Everything the worker needs is loaded before; see [`crate::preload`].

mod calls;
mod files;
mod limits;

use std::fmt;
use std::str::FromStr;

pub(crate) use limits::{end_after, harden_process, lower_priority};

/// Variables by which a server tells its workers how to confine themselves; it clears all others.
pub const MODE_VARIABLE: &str = "WORKER_SANDBOX";
/// Bytes.
pub const MEMORY_VARIABLE: &str = "WORKER_MEMORY";

/// How much of the sandbox must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A worker that can't be confined does not work.
    Required,
    /// Without the restrictions that the kernel can't do.
    Preferred,
    /// Neither the file system nor system calls are shut; the limits on memory and files still hold.
    Off,
    /// As `Preferred`; the worker says what is left out, one line each, and ends.
    Check,
}

/// A part of the sandbox that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Gap {
    #[error("file access by Landlock: {0}")]
    Files(String),
    #[error("system calls by seccomp: {0}")]
    Calls(String),
    #[error("{what}: {why}")]
    Limit { what: &'static str, why: std::io::Error },
}

/// Confines this process for good: no file, no socket, no other process, and at most `memory` bytes.
///
/// Called while the process has one thread only: Landlock binds the thread that asks for it, and those that it starts.
/// Gives what could not be had; everything else holds.
pub fn confine(memory: u64) -> Vec<Gap> {
    let mut gaps = limits::limit_resources(memory);
    gaps.extend(files::restrict_files().err());
    // Last: it refuses the calls that the others are made of.
    gaps.extend(calls::restrict_calls().err());
    gaps
}

/// Only the limits of [`confine`].
pub(crate) fn limit_resources(memory: u64) -> Vec<Gap> {
    limits::limit_resources(memory)
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::Preferred => "preferred",
            Self::Off => "off",
            Self::Check => "check",
        })
    }
}

impl FromStr for Mode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let modes = [Self::Required, Self::Preferred, Self::Off, Self::Check];
        let found = modes.into_iter().find(|mode| mode.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is no way to confine a worker"))
    }
}
