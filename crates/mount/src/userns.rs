//! Is this process in a user namespace of its own? user_namespaces(7).

use std::fs;

const MAP: &str = "/proc/self/uid_map";

/// Tells whether this process is in another user namespace than the machine's first.
pub(crate) fn is_inside() -> bool {
    // Where there is no such file, there are no user namespaces.
    fs::read_to_string(MAP).is_ok_and(|map| !is_whole(&map))
}

/// Tells whether a map is that of the first namespace: every user is itself.
fn is_whole(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_namespace_maps_everyone() {
        assert!(is_whole("         0          0 4294967295\n"));
        assert!(!is_whole("         0       1000          1\n"));
        assert!(!is_whole("0 1000 1\n1 100000 65536\n"));
    }
}
