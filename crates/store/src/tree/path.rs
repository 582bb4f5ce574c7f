//! Names of entries as paths beneath the root.

use super::invalid::Problem;

/// Longest name in a directory, of Linux and of every file system that images are made on.
const NAME_LEN: usize = 255;

/// Splits an entry's name into the elements of its path. `..` is resolved by what stands before it, and does not lead above
/// the root, wherever the name starts; podman and umoci do so too. No elements mean the root.
pub(super) fn elements(name: &str, depth: u16) -> Result<Vec<&str>, Problem> {
    if name.contains('\0') {
        return Err(Problem::Nul);
    }
    let mut elements = Vec::new();
    for element in steps(name) {
        match element {
            ".." => drop(elements.pop()),
            _ => {
                check_name(element)?;
                elements.push(element);
            }
        }
    }
    if elements.len() > usize::from(depth) { Err(Problem::TooDeep { limit: depth }) } else { Ok(elements) }
}

/// Tells whether a directory can hold that name.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    match name.len() {
        0..=NAME_LEN => Ok(()),
        len => Err(Problem::NameTooLong { len }),
    }
}

/// Returns the elements of a path that mean something; `..` does, as the one before may be a link.
pub(super) fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|element| !matches!(*element, "" | "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_beneath_the_root() {
        for (name, expected) in [
            ("", ""),
            ("./", ""),
            ("/", ""),
            ("..", ""),
            ("a/b", "a b"),
            ("./a//b/", "a b"),
            ("/a/./b", "a b"),
            ("a/../b", "b"),
            ("../../b", "b"),
            ("a/../../b/..", ""),
            ("...", "..."),
        ] {
            assert_eq!(elements(name, 9).unwrap().join(" "), expected, "{name}");
        }
    }

    #[test]
    fn paths_have_bounds() {
        assert_eq!(elements("a/b/c", 2), Err(Problem::TooDeep { limit: 2 }));
        assert!(elements(&"n".repeat(255), 2).is_ok());
        assert_eq!(elements(&"n".repeat(256), 2), Err(Problem::NameTooLong { len: 256 }));
        assert_eq!(elements("a\0b", 2), Err(Problem::Nul));
    }
}
