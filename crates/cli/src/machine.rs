//! What this machine is, and what this process took of it.

use std::fs;
use std::thread;

use serde::Serialize;

/// Returns the most memory that was resident at once, in bytes, as the kernel counts it; `None` where it does not tell.
pub(crate) fn peak_memory() -> Option<u64> {
    peak_memory_of("self")
}

/// Returns the same of a process that still runs.
pub(crate) fn peak_memory_of(process: &str) -> Option<u64> {
    parse(&fs::read_to_string(format!("/proc/{process}/status")).ok()?)
}

/// What it is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) kernel: String,
    pub(crate) morsel: &'static str,
}

impl Machine {
    /// Finds out what the machine is.
    pub(crate) fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, name| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = after(&read("/proc/meminfo"), "MemTotal").and_then(|text| kibibytes(&text));
        Self {
            processor: after(&read("/proc/cpuinfo"), "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            processors: thread::available_parallelism().map_or(1, Into::into),
            memory: memory.unwrap_or_default(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            morsel: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    kibibytes(line.trim())
}

fn kibibytes(text: &str) -> Option<u64> {
    let kibibytes: u64 = text.strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_found() {
        assert_eq!(parse("VmPeak:\t 9 kB\nVmHWM:\t  154624 kB\nVmRSS:\t 1 kB\n"), Some(154_624 << 10));
        assert_eq!(parse("VmHWM:\t 1 MB\n"), None);
        assert!(peak_memory().is_some_and(|bytes| bytes > 100_000));
    }
}
