//! Cleaning of path names, so that two spellings of one path compare equal.

/// Shortens a path lexically: no empty and `.` elements, `..` resolved against what precedes it, no trailing slash.
///
/// This is what Go's `filepath.Clean` does, which tar-split applies to every name before it looks for duplicates. An
/// empty path becomes `.`; a leading slash is kept; `..` above the root of an absolute path is dropped.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut elements: Vec<&[u8]> = Vec::new();
    for element in path.split(|byte| *byte == b'/') {
        match element {
            b"" | b"." => {}
            b".." => match elements.last() {
                Some(last) if *last != b".." => drop(elements.pop()),
                _ if rooted => {}
                _ => elements.push(element),
            },
            _ => elements.push(element),
        }
    }
    let joined = elements.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/".as_slice(), &joined].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn names_clean_as_go_cleans_them() {
        let pairs = [
            ("", "."),
            ("./", "."),
            ("a", "a"),
            ("a/", "a"),
            ("./a", "a"),
            ("a//b", "a/b"),
            ("a/./b", "a/b"),
            ("a/../b", "b"),
            ("a/..", "."),
            ("../a", "../a"),
            ("../../a", "../../a"),
            ("a/../../b", "../b"),
            ("/", "/"),
            ("//", "/"),
            ("/../a", "/a"),
            ("/a/../..", "/"),
            ("a/b/../..", "."),
            ("...", "..."),
        ];
        for (path, cleaned) in pairs {
            assert_eq!(String::from_utf8(clean(path.as_bytes())).unwrap(), cleaned, "{path}");
        }
    }
}
