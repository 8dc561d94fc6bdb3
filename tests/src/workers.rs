//! The worker processes of a server, seen from outside.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::process;
use crate::stack::Service;

/// Ids of the processes that the server has started and that have not ended.
pub fn of(server: &Service) -> Result<BTreeSet<u32>> {
    let parent = server.process.id().context("the server runs")?;
    let ids =
        std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(ids.filter(|id| is_child(*id, parent).unwrap_or(false)).collect())
}

/// None where the process is not there any more.
fn is_child(id: u32, parent: u32) -> Option<bool> {
    // The program's name comes before, in parentheses, and may hold anything (proc(5)).
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let of = fields.next()?.parse::<u32>().ok()?;
    Some(of == parent && state != "Z")
}

/// Sends a process a signal by its name, such as `KILL`.
pub async fn signal(id: u32, name: &str) -> Result<()> {
    process::run("kill", &[&format!("-{name}"), &id.to_string()]).await.map(drop)
}
