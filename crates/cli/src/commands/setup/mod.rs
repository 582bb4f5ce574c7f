//! Makes engines pull through us, and takes that back.

mod files;
mod plan;
mod storage_conf;
pub(in crate::commands) mod systemd;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use containers_storage::{AdditionalStore, EngineStorage, LayerId};

pub(super) use self::files::Places;
use self::files::Scope;
use self::plan::Change;
use super::publish::place;
use crate::args::{Engine, Setup};
use crate::image_stores::image_stores;
use crate::output::print_text;
use crate::{ui, who};

/// Sets up the engines, or takes that back, or says what that would be.
pub(super) fn run(args: &Setup) -> anyhow::Result<ExitCode> {
    // All engines read the same files.
    let (Engine::Podman | Engine::CriO) = args.engine;
    let scope = scope(args);
    let root = std::path::absolute(args.store.path()?)?;
    let files = Places::of(scope, &root)?;
    let used = if args.undo { used(&root)? } else { Vec::new() };
    let changes = match args.undo {
        true => files.uninstall(!used.is_empty())?,
        false => files.install()?,
    };
    if args.print {
        print_text(
            &changes.iter().filter(|change| change.is_needed()).map(Change::show).collect::<String>(),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.undo {
        ensure!(
            scope == Scope::User || who::is_system(),
            "this is for root; `--rootless` sets up your own engines"
        );
        // The store is there, and valid, before anyone looks for it.
        args.store.create()?;
        AdditionalStore::setup(&place(&root))?;
    }
    let has_units = scope == Scope::System && systemd::is_there();
    if has_units && args.undo && used.is_empty() {
        systemd::disable();
    }
    for change in &changes {
        change.execute()?;
        ui::say(&change.summary());
    }
    if has_units && !args.undo {
        systemd::enable();
    }
    ui::say(&ending(args.undo, &used));
    Ok(ExitCode::SUCCESS)
}

fn scope(args: &Setup) -> Scope {
    match (args.system, args.rootless) {
        (true, _) => Scope::System,
        (_, true) => Scope::User,
        _ => Scope::of_user(),
    }
}

/// Lists the layers of the store at `root` that engines use.
fn used(root: &Path) -> anyhow::Result<Vec<LayerId>> {
    let Ok(additional) = AdditionalStore::open(&place(root)) else { return Ok(Vec::new()) };
    let cannot = "cannot tell which layers are in use";
    let mut needed = BTreeSet::new();
    let storages: BTreeSet<_> = image_stores()?.into_iter().chain(additional.engines()?).collect();
    for path in storages.iter().filter(|path| *path != additional.path()) {
        needed.extend(EngineStorage::read(path).context(cannot)?.needs());
    }
    let unneeded = additional.unneeded(&needed, Duration::ZERO).context(cannot)?;
    let layers = additional.layers().context(cannot)?.into_iter().map(|layer| layer.id);
    Ok(layers.filter(|id| !unneeded.contains(id)).collect())
}

fn ending(is_undo: bool, used: &[LayerId]) -> String {
    match (is_undo, used.len()) {
        (false, _) => {
            "engines pull through morsel from now on; `morsel doctor podman` checks it\n".to_owned()
        }
        (true, 0) => "engines pull by themselves from now on\n".to_owned(),
        (true, count) => format!(
            "engines pull by themselves from now on; they still find layers in the store, as their images and containers \
             lie on {count} of them: remove those, then run this again\n"
        ),
    }
}
