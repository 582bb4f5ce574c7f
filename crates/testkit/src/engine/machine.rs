//! A whole machine, as a person would set it up: its engines read and write where they always do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::process::run;
use crate::tools::{PeerRoot, Tier};

/// The directories that last, of which `/etc/containers` starts as the suite has it.
const LASTING: [&str; 5] =
    ["etc/containers", "etc/morsel", "var/lib/containers", "var/lib/morsel", "home/user"];

/// Programs that are in the image of [`Machine::shell`].
const PROGRAMS: &str = "cat chown id ls mkdir rm sleep stat touch";

/// What containers need inside a machine that is itself one: crun refuses hybrid cgroups, nobody may raise limits, and there
/// is no network of their own.
const CONTAINERS_CONF: &str = "\
[containers]
netns = \"none\"
default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]
[engine]
runtime = \"runc\"
";

/// Makes room for `--userns=auto`.
const USERS: &str = "\
echo containers:x:999:999::/:/bin/false >>/etc/passwd
for map in subuid subgid; do echo containers:200000:655360 >>/etc/$map; done
";

/// Makes a user, and a session.
const USER: &str = "\
chmod 711 /home /home/user/../..
echo user:x:1000:1000::/home/user:/bin/sh >>/etc/passwd; echo user:x:1000: >>/etc/group
for map in subuid subgid; do echo user:100000:65536 >>/etc/$map; done
mkdir -p /run/user/1000; chown 1000:1000 /run/user/1000 /home/user
export HOME=/home/user XDG_RUNTIME_DIR=/run/user/1000; cd";

/// The root of a suite whose configuration and storage last as long as a directory. All else is as new with each command, as
/// after a reboot. Programs of a directory come before all others.
#[derive(Debug)]
pub struct Machine {
    root: PeerRoot,
    dir: PathBuf,
    programs: PathBuf,
}

impl Machine {
    /// Takes a suite that has podman and keeps what lasts below `dir`; without it the test is skipped.
    ///
    /// # Panics
    ///
    /// When the directories cannot be made.
    pub fn start(suite: &str, dir: &Path, programs: &Path) -> Option<Self> {
        let root = PeerRoot::find(Tier::Engine, suite, "podman")?;
        let dir = dir.join(format!("machine-{suite}"));
        for name in LASTING {
            fs::create_dir_all(dir.join(name)).expect("a directory can be made");
        }
        let machine = Self { root, dir, programs: programs.to_owned() };
        let copy = format!("cp -a /etc/containers/. {}/etc/containers", machine.dir.display());
        run(machine.in_root(&copy).args(["sh"]));
        machine.write("etc/containers/containers.conf", CONTAINERS_CONF);
        Some(machine)
    }

    /// Lets its engines speak with a registry without TLS.
    pub fn trust(&self, host: &str) {
        let text = format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n");
        let name = host.replace(':', "-");
        self.write(&format!("etc/containers/registries.conf.d/10-{name}.conf"), &text);
    }

    /// Returns where a lasting file of the machine is on this one.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a lasting file.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is below a directory")).expect("a directory can be made");
        fs::write(path, text).expect("the file can be written");
    }

    /// Runs shell commands that must succeed, and returns what they write to standard output.
    ///
    /// # Panics
    ///
    /// When one fails; the message holds what they wrote.
    pub fn sh(&self, script: &str) -> String {
        run(&mut self.command(script)).text().to_owned()
    }

    /// Runs shell commands as [`Machine::sh`] does, as a user whose home directory lasts.
    pub fn sh_as_user(&self, script: &str) -> String {
        let script = script.replace('\'', r"'\''");
        self.sh(&format!("{USER}\nsetpriv --reuid=1000 --regid=1000 --clear-groups sh -euc '{script}'"))
    }

    /// Runs shell commands.
    ///
    /// # Panics
    ///
    /// When the shell does not start.
    pub fn output(&self, script: &str) -> Output {
        self.command(script).output().expect("a shell starts")
    }

    /// Starts shell commands; the first that fails ends them.
    pub fn command(&self, script: &str) -> Command {
        let programs = self.programs.display();
        let mut prelude = format!("export PATH={programs}:$PATH PODMAN_IGNORE_CGROUPSV1_WARNING=1\n");
        for name in LASTING {
            let from = self.dir.join(name);
            prelude += &format!("mkdir -p /{name}; mount --bind {} /{name}\n", from.display());
        }
        prelude += USERS;
        let mut sh = self.in_root(&(prelude + script));
        sh.arg("sh");
        sh
    }

    fn in_root(&self, script: &str) -> Command {
        let mut sh = self.root.command("sh", &[&self.dir, &self.programs]);
        sh.args(["-euc", script]);
        sh
    }

    /// Returns the tar of a layer with a shell, some programs, and what they need.
    pub fn shell(&self) -> Vec<u8> {
        let script = format!(
            r#"
            cd /; set -- /usr/bin/dash; for p in {PROGRAMS}; do set -- "$@" "/usr/bin/$p"; done
            files=$( {{ printf '%s\n' "$@"; ldd "$@" | grep -o '/[^ ]*' | grep -v ':$'; }} | sort -u)
            mkdir /tmp/root; cd /tmp/root
            for file in $files; do mkdir -p ".$(dirname "$file")"; cp -L "$file" ".$file"; done
            mkdir -p tmp etc root; ln -s dash usr/bin/sh; ln -s usr/bin bin; chmod 1777 tmp
            echo 'root:x:0:0:root:/root:/bin/sh' > etc/passwd
            tar -c --numeric-owner --sort=name --mtime=@1000000000 .
            "#
        );
        run(self.in_root(&script).arg("sh")).stdout
    }
}
