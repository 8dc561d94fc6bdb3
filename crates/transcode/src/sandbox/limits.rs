//! Limits that the kernel keeps: memory, descriptors, files, core dumps, priority.

use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, nice, set_dumpable_behavior, setrlimit,
};

use super::Gap;

/// Pipelines wake their threads by descriptors, a few each: a ladder of ten rungs has about 60.
const MAX_OPEN_FILES: u64 = 256;
/// Address space that is reserved and not used: malloc's arenas of 64 MiB, twice that while one is made, and guard
/// pages.
const RESERVED_BYTES: u64 = 1 << 30;
/// Of malloc's arenas; without a limit there are eight for each core of the machine, all of it address space.
const MAX_MALLOC_ARENAS: i32 = 4;
/// Below the server's own threads, which answer proxies and origins, and not so low that anything else on the machine
/// stops it.
const WORKER_NICENESS: i32 = 5;
/// Of 1000: the kernel, when it has to end a process, ends a worker before the server and what else is there.
const OOM_SCORE: &str = "500";

/// Lowers the worker's priority from its start on: it is not more important than its server, and leaves no traces.
pub(crate) fn lower_priority() -> Vec<Gap> {
    let priority = nice(WORKER_NICENESS).map(drop).map_err(|why| sandbox_gap("priority", why.into()));
    let score =
        std::fs::write("/proc/self/oom_score_adj", OOM_SCORE).map_err(|why| sandbox_gap("OOM score", why));
    [priority, score].into_iter().filter_map(Result::err).collect()
}

/// Ends this process, whatever it does then, when it has used this much CPU time or when this much time has passed; in
/// seconds.
pub(crate) fn end_after(cpu: u32, time: u32) -> Vec<Gap> {
    let limited = lower_limit(Resource::Cpu, cpu.into()).map_err(|why| sandbox_gap("CPU time", why));
    // SAFETY: only sets a timer. Nobody handles its signal, so it ends the process.
    unsafe { libc::alarm(time) };
    limited.err().into_iter().collect()
}

/// Closes what was inherited, so that there is nothing but the standard streams, and leaves the server's directory.
///
/// To be called first of all, while nothing is open.
pub(crate) fn harden_process() -> Vec<Gap> {
    // SAFETY: nothing in this process has opened a descriptor yet, so none of those that are closed is owned.
    let closed = match unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(sandbox_gap("inherited descriptors", io::Error::last_os_error())),
    };
    let moved = std::env::set_current_dir("/").map_err(|why| sandbox_gap("working directory", why));
    [closed, moved].into_iter().filter_map(Result::err).collect()
}

/// `memory` bytes of data, few descriptors, no file, no core dump.
///
/// RLIMIT_DATA counts what is written to: the heap, stacks of threads, pictures; not libraries, nor address space that
/// is only reserved, of which malloc and GStreamer take as much as the machine has cores. RLIMIT_AS on top counts
/// everything, also what was made read-only after it was written. There is no limit on threads: RLIMIT_NPROC counts all
/// processes of the user, the server's too. Each thread's stack counts as memory, though.
pub(super) fn limit_resources(memory: u64) -> Vec<Gap> {
    // SAFETY: changes only malloc's own settings.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, MAX_MALLOC_ARENAS) };
    let space = address_space().map(|used| used.saturating_add(memory).saturating_add(RESERVED_BYTES));
    let limits = [
        ("memory", Resource::Data, Some(memory)),
        ("address space", Resource::As, space),
        ("open files", Resource::Nofile, Some(MAX_OPEN_FILES)),
        ("size of files", Resource::Fsize, Some(0)),
        ("core dumps", Resource::Core, Some(0)),
    ];
    let mut gaps: Vec<_> = limits
        .into_iter()
        .filter_map(|(what, resource, limit)| {
            lower_limit(resource, limit?).map_err(|why| sandbox_gap(what, why)).err()
        })
        .collect();
    // Where the kernel pipes core dumps to a program, it does not look at RLIMIT_CORE.
    let dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    gaps.extend(dumpable.map_err(|why| sandbox_gap("core dumps", why.into())).err());
    gaps
}

/// Never raises one.
fn lower_limit(resource: Resource, limit: u64) -> io::Result<()> {
    let present = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Some(limit.min(present));
    Ok(setrlimit(resource, Rlimit { current: limit, maximum: limit })?)
}

fn address_space() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').next()?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn sandbox_gap(what: &'static str, why: io::Error) -> Gap {
    Gap::Limit { what, why }
}
