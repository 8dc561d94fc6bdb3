//! System calls, by seccomp: a list of what is allowed.
//!
//! An allow-list, because a list of what is dangerous grows with every kernel and is never whole, while what decoders,
//! GStreamer and glibc need once everything is loaded is short: memory, threads, clocks, and descriptors that are open.
//! What keeps it from breaking with the next glibc is the answer to what is on no list: ENOSYS, as from an older
//! kernel, for which a library has another way. What somebody would try on purpose is answered EPERM, so that an error
//! says what it is.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};

use super::Gap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Allowed whatever their arguments.
const ALLOWED_CALLS: &[c_long] = &[
    // Descriptors that are open: the pipes to the server, and what threads wake each other with.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    // Memory; new mappings are below.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads; new ones are below. `clone3` is refused below so that glibc uses `clone`, whose flags can be looked at.
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals of its own.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Clocks, chance, and what the machine is like.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    // Only to put the second filter on top of the first one.
    libc::SYS_seccomp,
];

/// The older names of some of them.
#[cfg(target_arch = "x86_64")]
const OLDER_NAMES: &[c_long] =
    &[libc::SYS_poll, libc::SYS_select, libc::SYS_pipe, libc::SYS_eventfd, libc::SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_NAMES: &[c_long] = &[];

/// On no list above either; answered EPERM and not ENOSYS.
const REFUSED_CALLS: &[c_long] = &[
    libc::SYS_seccomp,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_readlinkat,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_chdir,
    libc::SYS_chroot,
    libc::SYS_memfd_create,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_io_uring_setup,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_pidfd_open,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_setpriority,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setsid,
    libc::SYS_personality,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_OLDER: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_fork,
    libc::SYS_vfork,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OLDER: &[c_long] = &[];

/// Commands of `fcntl` that do no more than Rust's and GLib's handling of pipes needs.
const FCNTL_COMMANDS: [i32; 5] =
    [libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL];

pub(super) fn restrict_calls() -> Result<(), Gap> {
    let gap = |why: &dyn std::fmt::Display| Gap::Calls(format!("{why}; a container may forbid it"));
    let filters = build_filters().map_err(|error| gap(&error))?;
    filters.iter().try_for_each(|filter| apply_filter_all_threads(filter).map_err(|error| gap(&error)))
}

/// In the order in which they are put on. Of two that both refuse, the later one says with which error.
fn build_filters() -> Result<[BpfProgram; 3], seccompiler::BackendError> {
    let errno = |errno: i32| SeccompAction::Errno(errno as u32);
    let always = |calls: &[&[c_long]]| -> Rules {
        calls.concat().into_iter().map(|call| (call, Vec::new())).collect()
    };
    let mut allowed = always(&[ALLOWED_CALLS, OLDER_NAMES]);
    allowed.extend(conditional_rules()?);
    let mut refused = always(&[REFUSED_CALLS, REFUSED_OLDER]);
    // A socket that can reach others, a new process, and a signal to another one.
    let unix = libc::AF_UNIX as u64;
    refused.insert(libc::SYS_socketpair, vec![make_rule(&[(0, SeccompCmpOp::Ne, unix)])?]);
    refused.insert(libc::SYS_clone, vec![make_rule(&[masked_argument_is(0, libc::CLONE_THREAD as u64, 0)])?]);
    refused.insert(libc::SYS_tgkill, vec![make_rule(&[(0, SeccompCmpOp::Ne, std::process::id().into())])?]);
    let unknown = always(&[&[libc::SYS_clone3]]);
    Ok([
        compile_program(unknown, SeccompAction::Allow, errno(libc::ENOSYS))?,
        compile_program(allowed, errno(libc::ENOSYS), SeccompAction::Allow)?,
        compile_program(refused, SeccompAction::Allow, errno(libc::EPERM))?,
    ])
}

fn compile_program(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    SeccompFilter::new(rules, otherwise, matched, ARCH.try_into()?)?.try_into()
}

/// Allowed with some arguments only.
fn conditional_rules() -> Result<Rules, seccompiler::BackendError> {
    let threads = libc::CLONE_THREAD as u64;
    let private = libc::MAP_PRIVATE as u64;
    // A mapping that is shared, or that grows like a stack, does not count against RLIMIT_DATA.
    let kinds = (libc::MAP_TYPE | libc::MAP_GROWSDOWN) as u64;
    let own = u64::from(std::process::id());
    let fcntl = FCNTL_COMMANDS.into_iter().map(|command| make_rule(&[argument_is(1, command as u64)]));
    Ok(BTreeMap::from([
        (libc::SYS_clone, vec![make_rule(&[masked_argument_is(0, threads, threads)])?]),
        (libc::SYS_mmap, vec![make_rule(&[masked_argument_is(3, kinds, private)])?]),
        (libc::SYS_fcntl, fcntl.collect::<Result<_, _>>()?),
        // `abort`, and threads of this process among each other.
        (libc::SYS_tgkill, vec![make_rule(&[argument_is(0, own)])?]),
        // Two ends that only this process has: GStreamer's threads wake each other with it. Descriptors can't be sent
        // through it, as there is no `sendmsg`.
        (libc::SYS_socketpair, vec![make_rule(&[argument_is(0, libc::AF_UNIX as u64)])?]),
        // Reading the limits of this process.
        (libc::SYS_prlimit64, vec![make_rule(&[argument_is(0, 0), argument_is(2, 0)])?]),
        (
            libc::SYS_prctl,
            vec![
                make_rule(&[argument_is(0, libc::PR_SET_NAME as u64)])?,
                // Asked for again by every filter.
                make_rule(&[argument_is(0, libc::PR_SET_NO_NEW_PRIVS as u64)])?,
            ],
        ),
    ]))
}

type Condition = (u8, SeccompCmpOp, u64);

fn argument_is(argument: u8, value: u64) -> Condition {
    (argument, SeccompCmpOp::Eq, value)
}

fn masked_argument_is(argument: u8, mask: u64, value: u64) -> Condition {
    (argument, SeccompCmpOp::MaskedEq(mask), value)
}

fn make_rule(conditions: &[Condition]) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions.iter().cloned().map(|(argument, operation, value)| {
        // As wide as the registers: a flag in the upper half must not be overlooked.
        SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operation, value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_valid() {
        assert!(build_filters().unwrap().iter().all(|filter| filter.len() < 4096));
    }

    #[test]
    fn nothing_that_is_refused_is_needed() {
        let both = |call: &&c_long| ALLOWED_CALLS.contains(call) && **call != libc::SYS_seccomp;
        assert_eq!(REFUSED_CALLS.iter().find(both), None);
    }
}
