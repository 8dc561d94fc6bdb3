//! Time and chance of the operating system, taken over on the thread of a simulation: the clocks of libc tell simulated
//! time, and its random numbers follow from the seed. So do the hash maps' orders, tokio's choices and UUIDs then.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_uint, c_void};

use super::chance::Chance;

/// The wall clock at the start of every simulation: some day in 2026.
const EPOCH_S: u64 = 1_790_000_000;

thread_local! {
    static NOW_MS: Cell<Option<u64>> = const { Cell::new(None) };
    static CHANCE: RefCell<Chance> = const { RefCell::new(Chance::fixed()) };
}

/// From now on this thread lives in simulated time.
pub fn take_over(seed: u64) {
    CHANCE.set(Chance::new(seed));
    NOW_MS.set(Some(0));
}

/// Milliseconds since the simulation began.
pub fn now() -> u64 {
    NOW_MS.get().expect("only called on a simulation's thread")
}

pub fn set_now(now_ms: u64) {
    NOW_MS.set(Some(now_ms));
}

/// # Safety
/// As of the function of libc: `time` points to a `timespec` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    let Some(now) = NOW_MS.get() else {
        // SAFETY: the caller keeps the promise that the system call asks for, too.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as c_int };
    };
    let seconds = if clock == libc::CLOCK_REALTIME { EPOCH_S + now / 1_000 } else { 1_000 + now / 1_000 };
    // SAFETY: the caller promises that `time` may be written.
    unsafe {
        (*time).tv_sec = seconds as libc::time_t;
        (*time).tv_nsec = (now % 1_000 * 1_000_000) as libc::c_long;
    }
    0
}

/// # Safety
/// As of the function of libc: `length` bytes at `buffer` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    if NOW_MS.get().is_none() {
        // SAFETY: the caller keeps the promise that the system call asks for, too.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) as isize };
    }
    CHANCE.with_borrow_mut(|chance| {
        for at in 0..length {
            // SAFETY: the caller promises that `length` bytes at `buffer` may be written.
            unsafe { buffer.cast::<u8>().add(at).write(chance.next() as u8) };
        }
    });
    length as isize
}
