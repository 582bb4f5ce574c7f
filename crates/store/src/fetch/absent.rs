//! Directories that seeds do not have: none of the files that an image has below them is looked for.

use crate::seed::{Regular, Seed};

/// What one worker knows of the directories of some seeds. Files come in the order of the layer, where those of a directory
/// follow one another, so the last answers of each seed do.
#[derive(Debug)]
pub(super) struct Absent(Vec<Answers>);

#[derive(Debug, Clone, Default)]
struct Answers {
    /// A directory that the seed does not have.
    absent: Option<String>,
    /// One that it has, although a file was not in it.
    present: Option<String>,
}

impl Absent {
    /// Knows nothing yet of so many seeds.
    pub(super) fn new(seeds: usize) -> Self {
        Self(vec![Answers::default(); seeds])
    }

    /// Finds the files that a seed, by its place, has at a path. Once a directory is known to be missing, that takes no call
    /// of the system for anything below it.
    pub(super) fn at(&mut self, place: usize, seed: &dyn Seed, path: &str) -> Vec<Regular> {
        let Some(answers) = self.0.get_mut(place) else { return seed.at(path) };
        if answers.absent.as_deref().is_some_and(|directory| is_below(path, directory)) {
            return Vec::new();
        }
        let found = seed.at(path);
        if found.is_empty() {
            answers.miss(seed, path);
        }
        found
    }
}

impl Answers {
    /// Finds out after a miss which of the directories on the way is the first that is not there.
    fn miss(&mut self, seed: &dyn Seed, path: &str) {
        for directory in ancestors(path) {
            if self.present.as_deref() == Some(directory) {
                return;
            }
            if seed.has_directory(directory) {
                self.present = Some(directory.to_owned());
                return;
            }
            self.absent = Some(directory.to_owned());
        }
    }
}

/// Lists the directories that a path is in, the innermost first; not the root.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let ancestors = std::iter::successors(Some(path), |path| Some(path.rsplit_once('/')?.0));
    ancestors.skip(1).take_while(|directory| !matches!(*directory, "" | "."))
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;

    use chunked::ContentDigest;

    use super::*;
    use crate::error::Error;
    use crate::seed::{Abilities, Candidate, HostRoot, SeedName, Visit};

    /// A directory that takes note of what it is asked.
    #[derive(Debug)]
    struct Noting(HostRoot, Mutex<Vec<String>>);

    impl Noting {
        fn note(&self, asked: String) {
            self.1.lock().unwrap().push(asked);
        }
    }

    impl Seed for Noting {
        fn name(&self) -> &SeedName {
            self.0.name()
        }
        fn abilities(&self) -> Abilities {
            self.0.abilities()
        }
        fn file(&self, _digest: &ContentDigest, _len: u64) -> Option<Candidate> {
            None
        }
        fn at(&self, path: &str) -> Vec<Regular> {
            self.note(path.to_owned());
            self.0.at(path)
        }
        fn has_directory(&self, path: &str) -> bool {
            self.note(format!("{path}/"));
            self.0.has_directory(path)
        }
        fn chunk(&self, _digest: &ContentDigest, _len: u64) -> Option<Candidate> {
            None
        }
        fn walk(&self, _visit: Visit<'_>) -> Result<(), Error> {
            Ok(())
        }
        fn open(&self, _path: &std::path::Path) -> Option<Regular> {
            None
        }
    }

    #[test]
    fn a_directory_that_is_missing_answers_for_all_below() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        fs::write(dir.path().join("usr/bin/env"), "x").unwrap();
        let seed = Noting(HostRoot::open(dir.path(), &[]).unwrap(), Mutex::default());
        let mut absent = Absent::new(1);
        let mut find = |path: &str| absent.at(0, &seed, path).len();
        for (path, count) in [
            ("./usr/bin/env", 1),
            ("./usr/bin/cat", 0),
            ("./usr/bin/dog", 0),
            ("./opt/app/lib/x/1", 0),
            ("./opt/app/lib/x/2", 0),
            ("./opt/app/lib/y", 0),
            ("./opt/other", 0),
            ("./optional", 0),
            ("./usr/bin/env", 1),
        ] {
            assert_eq!(find(path), count, "{path}");
        }
        let asked = seed.1.into_inner().unwrap();
        assert_eq!(
            asked,
            [
                "./usr/bin/env",
                "./usr/bin/cat",
                "./usr/bin/",
                "./usr/bin/dog",
                "./opt/app/lib/x/1",
                "./opt/app/lib/x/",
                "./opt/app/lib/",
                "./opt/app/",
                "./opt/",
                "./optional",
                "./usr/bin/env",
            ]
        );
    }
}
