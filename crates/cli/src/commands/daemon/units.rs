//! Units for systemd.

use std::env;
use std::path::Path;

use anyhow::Context;

/// The units that are enabled; the third one is started by its socket.
pub(in crate::commands) const ENABLED: [&str; 2] = ["morsel.socket", "morsel-restore.service"];

/// A unit: its name, and what it says.
pub(in crate::commands) type Unit = (&'static str, String);

/// Writes them one after the other.
pub(super) fn render(root: &Path) -> anyhow::Result<String> {
    let text = |(name, text): &Unit| format!("# /etc/systemd/system/{name}\n{text}");
    Ok(units(root)?.iter().map(text).collect::<Vec<_>>().join("\n"))
}

/// Returns a socket, the service that it starts, and another one that mounts again what was mounted. They come before all
/// that may want what is mounted, so none of them waits for a network.
pub(in crate::commands) fn units(root: &Path) -> anyhow::Result<[Unit; 3]> {
    let program = env::current_exe().context("cannot find this program")?;
    let (program, root) = (escaped(&program), escaped(root));
    Ok([
        ("morsel.socket", socket(&root)),
        ("morsel.service", service(&program, &root)),
        ("morsel-restore.service", restore(&program, &root)),
    ])
}

fn socket(root: &str) -> String {
    format!(
        "\
[Unit]
Description=Socket of the morsel daemon
DefaultDependencies=no
RequiresMountsFor={root}
Before=sockets.target shutdown.target
Conflicts=shutdown.target

[Socket]
ListenStream={root}/run/daemon.sock
FileDescriptorName=control
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target
"
    )
}

fn service(program: &str, root: &str) -> String {
    format!(
        "\
[Unit]
Description=Serves what is missing of mounted container images
DefaultDependencies=no
Requires=morsel.socket
After=morsel.socket local-fs.target
Before=shutdown.target
Conflicts=shutdown.target

[Service]
Type=notify
ExecStart={program} daemon --root {root}
# The connection to the kernel outlives the process: readers wait for the next one.
FileDescriptorStoreMax=32
FileDescriptorStorePreserve=restart
Restart=always
RestartSec=100ms
WatchdogSec=30s
# What it mounts has to be seen by everybody.
PrivateMounts=no
NoNewPrivileges=yes
OOMScoreAdjust=-500
"
    )
}

fn restore(program: &str, root: &str) -> String {
    format!(
        "\
[Unit]
Description=Mounts again what container engines find
DefaultDependencies=no
ConditionPathExists={root}/format
RequiresMountsFor={root}
After=local-fs.target morsel.socket
Before=basic.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={program} restore --quiet --root {root}
TimeoutStartSec=2min

[Install]
WantedBy=basic.target
"
    )
}

/// Writes a path so that systemd does not take a part of it for something else.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace('%', "%%").replace(' ', r"\x20")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use testkit::tools::{self, Tier};

    use super::*;

    /// Since systemd 254.
    const LATER: &str = "FileDescriptorStorePreserve";

    #[test]
    fn tool_systemd_understands_the_units() {
        if tools::host(Tier::Tool, "systemd-analyze").is_none() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["verify", "--man=no", "--recursive-errors=no"]);
        for (name, text) in units(Path::new("/var/lib/morsel")).unwrap() {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            analyze.arg(path);
        }
        // It fails for keys that came later than the systemd of this machine, and are ignored then.
        let output = analyze.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let wrong: Vec<_> =
            said.lines().filter(|line| line.contains("morsel") && !line.contains(LATER)).collect();
        assert_eq!(wrong, [""; 0]);
    }
}
