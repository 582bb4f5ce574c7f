//! Units for systemd.

use std::env;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

/// Writes a service and the socket that starts it, one after the other.
pub(super) fn render(root: &Path) -> anyhow::Result<String> {
    let program = env::current_exe().context("cannot find this program")?;
    let (program, root) = (program.display(), root.display());
    let mut text = String::new();
    let _ = write!(
        text,
        "\
# /etc/systemd/system/morsel.socket
[Unit]
Description=Socket of the morsel daemon

[Socket]
ListenStream={root}/run/daemon.sock
FileDescriptorName=control
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target

# /etc/systemd/system/morsel.service
[Unit]
Description=Serves what is missing of mounted container images
Requires=morsel.socket
After=morsel.socket network-online.target
Wants=network-online.target

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

[Install]
WantedBy=multi-user.target
"
    );
    Ok(text)
}
