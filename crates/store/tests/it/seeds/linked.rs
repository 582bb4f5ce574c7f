//! Payload links as ostree makes them, which it does only where files can share their bytes.

use std::process::Command;

use chunked::ContentDigest;
use morsel_store::seed::open;
use testkit::process::run;
use testkit::tools::{self, Tier};

use super::kinds::write;
use super::{files, read};
use crate::disk::in_made_file_system;

#[test]
fn root_ostree_links_digests_to_files() {
    let name = "seeds::linked::root_ostree_links_digests_to_files";
    if tools::host(Tier::Root, "ostree").is_none() {
        return;
    }
    let Some(dir) = in_made_file_system(name, "xfs", "-m reflink=1") else { return };
    let (repo, tree) = (dir.join("repo"), dir.join("tree"));
    files().iter().for_each(|(path, content)| write(&tree.join(path), content));
    let script = r#"for command in 'init --mode=bare-user' 'config set core.payload-link-threshold 0' \
                                   'commit --branch=os --subject=1 --tree=dir=tree'; do
                        ostree --repo=repo $command
                    done"#;
    run(Command::new("sh").args(["-euc", script]).current_dir(&dir));

    let seed = open(&format!("ostree:{}", repo.display()), &[]).unwrap();
    for (path, content) in files() {
        let found = seed.file(&ContentDigest::of(&content), content.len() as u64);
        assert!(found.and_then(|found| read(found, content.len())) == Some(content), "{path}");
    }
}
