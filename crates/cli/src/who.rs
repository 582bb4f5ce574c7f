//! For whom this process works.

use std::env;

use rustix::process::geteuid;

/// The variable in which podman and buildah say whose process this is when they run it as root of a user namespace.
const ROOTLESS_UID: &str = "_CONTAINERS_ROOTLESS_UID";

/// Tells whether this process works for root of the machine. A process that a rootless engine starts is root of a user
/// namespace, and works for the user.
pub(crate) fn is_system() -> bool {
    let user = env::var(ROOTLESS_UID).ok();
    geteuid().is_root() && !user.is_some_and(|user| is_another(&user))
}

fn is_another(user: &str) -> bool {
    !matches!(user, "" | "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_nobody_else() {
        assert!(!is_another("0") && !is_another(""));
        assert!(is_another("1000"));
    }
}
