//! What this process took of the machine.

use std::fs;

/// Returns the most memory that was resident at once, in bytes, as the kernel counts it; `None` where it does not tell.
pub(crate) fn peak_memory() -> Option<u64> {
    parse(&fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
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
