//! A machine that systemd runs.

use super::Scene;

/// What stands in for a systemd that runs: the directory that says so, and a program that writes down what it is asked.
const SYSTEMD: &str = r#"
mkdir -p /run/systemd/system /tmp/bin /etc/systemd/system; export PATH=/tmp/bin:$PATH
printf '#!/bin/sh\necho "$@" >>/tmp/asked\n' >/tmp/bin/systemctl; chmod +x /tmp/bin/systemctl
asked() { cat /tmp/asked; rm /tmp/asked; ls /etc/systemd/system | grep morsel || echo 'no units'; }
"#;

#[test]
fn engine_setup_has_systemd_bring_mounts_back() {
    let Some(scene) = Scene::bare("sid") else { return };

    let out = scene.machine.sh(&format!(
        "{SYSTEMD}
         morsel setup podman --print | grep -c '^# /etc/systemd'; morsel setup podman 2>/dev/null; asked
         grep -h ^Exec /etc/systemd/system/morsel* | sed 's/=.*morsel /=morsel /'
         morsel setup podman --undo 2>/dev/null; asked"
    ));

    insta::assert_snapshot!(out, @"
    3
    daemon-reload
    enable --now morsel.socket morsel-restore.service
    morsel-restore.service
    morsel.service
    morsel.socket
    ExecStart=morsel restore --quiet --root /var/lib/morsel
    ExecStart=morsel daemon --root /var/lib/morsel
    disable --now morsel.service morsel.socket morsel-restore.service
    no units
    ");
}
