//! Whether engines pull through us: each piece, and each engine.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use containers_storage::AdditionalStore;
use serde::Serialize;

use crate::args::DoctorEngines;
use crate::commands::publish::place;
use crate::commands::setup::{Places, systemd};
use crate::commands::storage_helper::LOG;
use crate::config::Config;
use crate::exit::code;
use crate::image_stores::image_stores;
use crate::output::{print, print_text};
use crate::ui::json::to_json;

/// Lines of the log that are shown.
const LOG_LINES: usize = 3;

/// Something that has to be in place.
#[derive(Debug, Serialize)]
struct Check {
    what: String,
    is_good: bool,
    /// What was found, and what to do where that is not good.
    finding: String,
}

/// What was found out.
#[derive(Debug, Serialize)]
struct Diagnosis {
    checks: Vec<Check>,
    /// The last lines of the helper's log.
    log: Vec<String>,
}

/// The engines, with the first version that calls the helper. The library that does has been in all of them since 2024.
const ENGINES: [(&str, [u32; 2]); 4] =
    [("podman", [5, 2]), ("buildah", [1, 37]), ("skopeo", [1, 16]), ("crio", [1, 31])];

/// Checks every piece.
pub(in crate::commands) fn run(args: &DoctorEngines) -> anyhow::Result<ExitCode> {
    let root = std::path::absolute(args.store.path()?)?;
    let places = Places::of_user(&root)?;
    let mut checks = vec![published(&root), storage_conf(&root), helper(&places), config()];
    checks.extend(after_reboot(&root));
    let engines = ENGINES.iter().filter_map(|(engine, since)| version(engine, *since));
    checks.extend(engines);
    let text = fs::read_to_string(root.join(LOG)).unwrap_or_default();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let log = lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).cloned().collect();
    let diagnosis = Diagnosis { checks, log };
    match args.json {
        true => print(&to_json(&diagnosis)?)?,
        false => print_text(&render(&diagnosis))?,
    }
    let is_good = diagnosis.checks.iter().all(|check| check.is_good);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(code::LOCAL) })
}

fn published(root: &Path) -> Check {
    let path = place(root);
    let found = AdditionalStore::open(&path).and_then(|store| Ok((store.check()?, store)));
    let (is_good, finding) = match found {
        Ok((findings, store)) if findings.0.is_empty() => {
            let count = store.layers().map_or(0, |layers| layers.len());
            (true, format!("`{}` with {count} layers", path.display()))
        }
        Ok((findings, _)) => {
            let all: Vec<_> = findings.0.iter().map(ToString::to_string).collect();
            (false, format!("{}; `morsel fsck --repair` repairs it", all.join(", ")))
        }
        Err(error) => (false, format!("{error}; `morsel setup podman` makes it")),
    };
    Check { what: "published layers".to_owned(), is_good, finding }
}

fn storage_conf(root: &Path) -> Check {
    let (is_good, finding) = match image_stores() {
        Ok(stores) if stores.contains(&place(root)) => (true, "engines look there".to_owned()),
        Ok(_) => (false, "engines do not look there; `morsel setup podman` tells them".to_owned()),
        Err(error) => (false, format!("{error:#}")),
    };
    Check { what: "storage.conf".to_owned(), is_good, finding }
}

fn helper(places: &Places) -> Check {
    let drop_in = places.drop_in();
    let helper = places.helper();
    let names_it = fs::read_to_string(&drop_in).is_ok_and(|text| text.contains(&*helper.to_string_lossy()));
    let runs = fs::metadata(&helper).is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
    let (is_good, finding) = match (names_it, runs) {
        (true, true) => (true, format!("`{}` is called before a pull", helper.display())),
        (false, _) => {
            (false, format!("`{}` does not name it; `morsel setup podman` writes it", drop_in.display()))
        }
        (true, false) => {
            (false, format!("`{}` cannot be run; `morsel setup podman` writes it", helper.display()))
        }
    };
    Check { what: "storage helper".to_owned(), is_good, finding }
}

fn config() -> Check {
    let (is_good, finding) = match Config::load(None) {
        Ok(_) => (true, "is understood".to_owned()),
        Err(error) => (false, format!("{error:#}, so engines pull by themselves").replace('\n', " ")),
    };
    Check { what: "config.toml".to_owned(), is_good, finding }
}

/// Says whether mounts come back when the machine starts; `None` when there are none, or systemd has nothing to do with it.
fn after_reboot(root: &Path) -> Option<Check> {
    let mounts = AdditionalStore::open(&place(root)).and_then(|store| store.mounts()).ok()?;
    if mounts.is_empty() || !systemd::is_there() {
        return None;
    }
    let is_good = systemd::is_installed();
    let finding = match is_good {
        true => "mounts come back when the machine starts",
        false => "there are no units that bring mounts back; `morsel setup podman` writes them",
    };
    Some(Check { what: "systemd".to_owned(), is_good, finding: finding.to_owned() })
}

/// Says whether an engine is new enough; `None` when it is not here.
fn version(engine: &str, since: [u32; 2]) -> Option<Check> {
    find(engine)?;
    let output = Command::new(engine).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let found = [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)];
    let finding = match found >= since {
        true => format!("{version} asks for layers before it pulls"),
        false => format!("{version} is too old to ask; `morsel publish IMAGE` before a pull does the same"),
    };
    Some(Check { what: engine.to_owned(), is_good: true, finding })
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

fn render(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for Check { what, is_good, finding } in &diagnosis.checks {
        let mark = if *is_good { "ok   " } else { "wrong" };
        let _ = writeln!(text, "{mark}  {what:<16}  {finding}");
    }
    for line in &diagnosis.log {
        let _ = writeln!(text, "log    {line}");
    }
    text
}
