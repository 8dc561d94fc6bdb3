//! No file system, by Landlock.

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetStatus, Scope,
};

use super::Gap;

/// Handles every right and grants none: nothing can be opened, made, removed or run, no TCP port bound or connected
/// to, no process outside signalled. An older kernel knows fewer of these; the system calls behind all of them are
/// refused as well, so only one that knows none is a gap.
pub(super) fn restrict_files() -> Result<(), Gap> {
    if count_threads() != Some(1) {
        return Err(Gap::Files("the process had more than one thread already".into()));
    }
    restrict_thread()
}

/// This thread, and those that it starts.
fn restrict_thread() -> Result<(), Gap> {
    let gap = |why: String| Gap::Files(why);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V6))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V6)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| gap(error.to_string()))?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced, _) => Ok(()),
        (_, LandlockStatus::NotEnabled) => Err(gap("it is not enabled (kernel parameter lsm=)".into())),
        (_, LandlockStatus::NotImplemented) => {
            Err(gap("this kernel does not have it, or the container forbids it".into()))
        }
        (_, LandlockStatus::Available { .. }) => Err(gap("the kernel did not enforce it".into())),
    }
}

fn count_threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind::PermissionDenied;

    /// Also where seccomp is missing.
    #[test]
    fn a_thread_that_is_restricted_opens_nothing() {
        let restricted = std::thread::spawn(|| {
            restrict_thread().expect("this kernel has Landlock");
            let read = std::fs::read("/etc/passwd").unwrap_err();
            let write = std::fs::write("/tmp/headwater-probe", "x").unwrap_err();
            let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap_err();
            [read, write, listen].map(|error| error.kind())
        });
        assert_eq!(restricted.join().unwrap(), [PermissionDenied; 3]);
        assert!(std::fs::read("/etc/passwd").is_ok(), "only the thread is");
    }
}
