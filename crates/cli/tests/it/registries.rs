//! Images in registries, from the command line.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::authority::Authority;
use testkit::oci::{Compression, Layout};
use testkit::process::run;
use testkit::registry::{Auth, Registry, Setup};
use testkit::scripted::{self, Login, Script, Scripted};
use testkit::tar::sample;
use testkit::tools::{self, Tier};

use crate::harness::morsel;

fn image(dir: &Path) -> Layout {
    let layout = Layout::create(dir.join("image"));
    layout.add_image("latest", Compression::Gzip, &[&sample::rich_tar()]);
    layout
}

/// A directory with what `podman login` and an administrator leave.
fn home(dir: &Path, host: &str, authority: Option<&Authority>) {
    let containers = dir.join("home/.config/containers");
    let certs = containers.join("certs.d").join(host);
    fs::create_dir_all(&certs).unwrap();
    if let Some(authority) = authority {
        fs::copy(authority.ca_file(), certs.join("ca.crt")).unwrap();
    }
    // ann:secret
    let auths = format!(r#"{{"auths":{{"{host}":{{"auth":"YW5uOnNlY3JldA=="}}}}}}"#);
    fs::write(containers.join("auth.json"), auths).unwrap();
}

/// Starts a command line of somebody whose home is below `dir`, if there is one.
fn at_home(dir: &Path) -> Command {
    let mut command = morsel();
    command.env_clear().env("HOME", dir.join("home"));
    command
}

/// Returns what a command line that fails says.
fn complaint(command: &mut Command, host: &str) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap().replace(host, "HOST");
    format!("{text}exit {}", output.status.code().unwrap())
}

#[test]
fn tool_images_are_converted_from_and_to_a_registry() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    let Some(mut skopeo) = tools::host(Tier::Tool, "skopeo") else { return };
    let setup = Setup { auth: Auth::Basic(Login::new("ann", "secret")), ..Setup::tls(&authority) };
    let Some(registry) = Registry::start_as(Tier::Tool, dir.path(), &setup) else { return };
    let (host, layout) = (registry.host(), image(dir.path()));
    home(dir.path(), host, Some(&authority));
    let (one, other) = (format!("docker://{host}/team/app:1"), format!("{host}/team/other:2"));

    run(at_home(dir.path()).args(["convert", "-q", &layout.reference("latest"), &one]));
    run(at_home(dir.path()).args(["verify", "-q", &one]));
    run(at_home(dir.path()).args(["convert", "-q", &one, &other]));
    let inspected = run(at_home(dir.path()).args(["inspect", "--json", &other]));
    assert!(inspected.text().contains(&layout.image_id("latest")), "{}", inspected.text());
    let back = Layout::open(dir.path().join("back"));
    skopeo.args(["copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--src-creds=ann:secret"]);
    run(skopeo.args([&format!("docker://{other}"), &back.reference("latest")]));
    assert_eq!(back.image_id("latest"), layout.image_id("latest"));
}

#[test]
fn tool_who_is_not_let_in_is_told_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let Some(authority) = Authority::create(Tier::Tool, dir.path()) else { return };
    let setup = Setup { auth: Auth::Basic(Login::new("ann", "secret")), ..Setup::tls(&authority) };
    let Some(registry) = Registry::start_as(Tier::Tool, dir.path(), &setup) else { return };
    let host = registry.host();
    let inspect = |options: &[&str]| {
        complaint(at_home(dir.path()).args(["inspect", &format!("{host}/app")]).args(options), host)
    };
    insta::assert_snapshot!(inspect(&[]), @"
    error: cannot inspect `docker://HOST/app:latest`
      cause: cannot access `docker://HOST/app:latest`
      cause: the certificate of `https://HOST/v2/app/manifests/latest` is not trusted
      cause: invalid peer certificate: UnknownIssuer
    hint: `--cert-dir` names a directory with the certificate of its authority as a `*.crt`, and `--tls-verify=false` trusts anyone
    exit 6
    ");
    insta::assert_snapshot!(inspect(&["--tls-verify=false"]), @"
    error: cannot inspect `docker://HOST/app:latest`
      cause: cannot access `docker://HOST/app:latest`
      cause: `https://HOST/v2/app/manifests/latest` refuses: 401 Unauthorized: authentication required (there are no credentials for it)
    hint: `podman login` and `docker login` leave credentials where they are found; `--authfile` names a file
    exit 6
    ");
    home(dir.path(), host, Some(&authority));
    insta::assert_snapshot!(inspect(&[]), @"
    error: cannot inspect `docker://HOST/app:latest`
      cause: cannot access `docker://HOST/app:latest`
      cause: there is no such image at HOST
    exit 4
    ");
    let nowhere = dir.path().join("nowhere");
    let named = inspect(&["--authfile", nowhere.to_str().unwrap()]);
    insta::assert_snapshot!(named.replace(nowhere.to_str().unwrap(), "FILE"), @"
    error: cannot read the credentials in `FILE`
      cause: no such file or directory
    exit 4
    ");
}

#[test]
fn credentials_are_found_where_others_leave_them() {
    let dir = tempfile::tempdir().unwrap();
    let auth = scripted::Auth::Basic(Login::new("ann", "secret"));
    let registry = Scripted::start(Script { auth, ..Script::default() });
    registry.add_layout("app", &image(dir.path()));
    let (host, name) = (registry.host(), format!("{}/app", registry.host()));
    home(dir.path(), &host, None);
    let inspect = |command: &mut Command| command.args(["inspect", &name]).output().unwrap().status.success();
    assert!(inspect(&mut at_home(dir.path())));

    let found = dir.path().join("home/.config/containers/auth.json");
    let docker = dir.path().join("docker");
    fs::create_dir(&docker).unwrap();
    fs::rename(&found, docker.join("config.json")).unwrap();
    assert!(!inspect(&mut at_home(dir.path())));
    assert!(inspect(at_home(dir.path()).env("DOCKER_CONFIG", &docker)));
    assert!(inspect(at_home(dir.path()).env("REGISTRY_AUTH_FILE", docker.join("config.json"))));
    fs::create_dir_all(dir.path().join("run/containers")).unwrap();
    fs::copy(docker.join("config.json"), dir.path().join("run/containers/auth.json")).unwrap();
    assert!(inspect(at_home(dir.path()).env("XDG_RUNTIME_DIR", dir.path().join("run"))));
}

#[test]
fn credentials_come_from_helpers() {
    let dir = tempfile::tempdir().unwrap();
    let auth = scripted::Auth::Basic(Login::new("ann", "secret"));
    let registry = Scripted::start(Script { auth, ..Script::default() });
    registry.add_layout("app", &image(dir.path()));
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let helper = bin.join("docker-credential-kit");
    let answer = r#"{"ServerURL":"x","Username":"ann","Secret":"secret"}"#;
    let script = format!(
        "#!/bin/sh\nread server\n[ \"$1 $server\" = \"get {}\" ] && echo '{answer}' && exit 0\necho 'credentials not found in native keychain'\nexit 1\n",
        registry.host()
    );
    fs::write(&helper, script).unwrap();
    run(Command::new("chmod").arg("+x").arg(&helper));
    let config = dir.path().join("config.json");
    fs::write(&config, r#"{"credsStore":"kit"}"#).unwrap();
    let mut command = at_home(dir.path());
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    run(command.args(["inspect", &format!("{}/app", registry.host()), "--authfile"]).arg(&config));
}

#[test]
fn mirrors_are_found_where_others_configure_them() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Scripted::start(Script::default());
    registry.add_layout("hub/library/app", &image(dir.path()));
    let conf = dir.path().join("registries.conf");
    let text = format!(
        "[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"{}/hub\"\n",
        registry.host()
    );
    fs::write(&conf, text).unwrap();
    run(at_home(dir.path()).env("CONTAINERS_REGISTRIES_CONF", &conf).args(["verify", "-q", "app"]));
}

#[test]
fn names_without_a_host_are_completed() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Scripted::start(Script::default());
    for name in ["moved/app", "tool"] {
        registry.add_layout(name, &image(dir.path()));
    }
    let conf = dir.path().join("registries.conf");
    let host = registry.host();
    let text =
        format!("unqualified-search-registries = [\"{host}\"]\n[aliases]\napp = \"{host}/moved/app\"\n");
    fs::write(&conf, text).unwrap();
    let root = dir.path().join("store");
    let at_home = || {
        let mut command = at_home(dir.path());
        command.env("CONTAINERS_REGISTRIES_CONF", &conf);
        command
    };
    run(at_home().args(["pull", "-q", "app", "tool", "--root"]).arg(&root));
    let listed = run(at_home().args(["images", "--root"]).arg(&root));
    let images = listed.text();
    assert!(images.contains(&format!("{host}/moved/app:latest")), "{images}");
    assert!(images.contains(&format!("{host}/tool:latest")), "{images}");
    run(at_home().args(["rm", "tool", "app", "--root"]).arg(&root));

    fs::write(&conf, "unqualified-search-registries = [\"a.io\", \"b.io\"]").unwrap();
    insta::assert_snapshot!(complaint(at_home().args(["inspect", "app"]), &host), @"
    error: cannot inspect `docker://docker.io/library/app:latest`
      cause: cannot access `docker://docker.io/library/app:latest`
      cause: `registries.conf` does not say where `app` is
      cause: it could be in any of `a.io`, `b.io`; write which, or give it an alias
    exit 1
    ");
}
