//! The page cache of this machine.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Drops what is on disk from the page cache, where that is permitted, and reads again what is served: the registry is not what is measured.
pub(super) fn drop(layouts: Option<&Path>) {
    let _ = fs::write("/proc/sys/vm/drop_caches", "3");
    layouts.map(warm);
}

/// Reads everything below a directory.
fn warm(path: &Path) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            warm(&path);
        } else if let Ok(mut file) = File::open(&path) {
            // What cannot be read now is not served either.
            let _ = io::copy(&mut file, &mut io::sink());
        }
    }
}
