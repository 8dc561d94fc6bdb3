//! CPU time of the load tool itself: its user should know when the tool is the bottleneck.

/// `/proc` counts in these, on every Linux (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;
/// Of `/proc/self/stat`, counted behind the command's name: time in user mode, then in the kernel.
const USER_FIELD: usize = 11;

/// Seconds of CPU that this process has used, to a hundredth; none where `/proc` can't be read.
pub fn used_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the command may hold anything but ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(") ")?;
    let times = fields.split(' ').skip(USER_FIELD).take(2);
    let ticks: Option<u64> = times.map(|field| field.parse::<u64>().ok()).sum();
    ticks.map(|ticks| ticks as f64 / TICKS_PER_SECOND)
}
