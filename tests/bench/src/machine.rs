//! Machine that the measurements were made on.

use std::fs;
use std::process::Command;

/// Describes the machine in one line: processor, cores, memory, system, toolchain, day.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory =
        field("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let memory =
        memory.map_or_else(|| "unknown".into(), |kb| format!("{:.0} GB", kb as f64 / (1 << 20) as f64));
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown processor".into());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim().to_owned();
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    let day = jiff::Zoned::now().date();
    format!(
        "{processor}, {cores} cores, {memory} of memory, {}, Linux {kernel}, {}, {day}",
        system.trim_matches('"'),
        compiler(),
    )
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value =
        text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':').map(str::trim));
    value.map(str::to_owned)
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().ok();
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
