//! The verbs about mounts.

mod text;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use containers_storage::AdditionalStore;
use mount::fuse::Device;
use mount::overlay::DataDirectory;
use mount::rootfs::{self, Mounted, Restored};
use serde::Serialize;
use store::{Image, MountRecord, Store};

use super::lazy::{Ready, prepare, release, resume};
use super::publish;
use crate::args::{Mount, Mounts, Restore, Umount};
use crate::exit;
use crate::image_name;
use crate::output::{print, print_text};
use crate::request;
use crate::ui;
use crate::ui::json::to_json;

/// A mount that was made.
#[derive(Debug, Serialize)]
struct Report {
    image: Image,
    #[serde(flatten)]
    mounted: Mounted,
    /// Why everything was pulled first although nobody asked for that; `None` when it was not.
    no_daemon: Option<String>,
    /// Seconds for the mount, once everything had come that it takes.
    seconds: f64,
}

/// A mount that was to be made again.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    record: MountRecord,
    /// Why there is none; `None` when there is.
    error: Option<String>,
}

/// Mounts an image. What is missing of it is served by a daemon, or pulled before.
pub(crate) fn mount(args: &Mount) -> anyhow::Result<ExitCode> {
    let store = args.store.create()?;
    let cannot = || format!("cannot mount `{}` on `{}`", args.image, args.directory.display());
    // Nothing is fetched for a mount that cannot be made.
    match rootfs::permit() {
        Err(error) if args.or_unpack => return unpack(&store, args, error.into()).with_context(cannot),
        permitted => permitted.with_context(cannot)?,
    }
    let (ready, no_daemon) = ready(&store, args).with_context(cannot)?;
    let Ready { image, missing, done } = ready;
    let started = Instant::now();
    let request = rootfs::Request { image: &image, directory: &args.directory, writable: args.rw.as_deref() };
    let missing = missing.as_ref().map(|(fd, path)| DataDirectory { fd: fd.as_fd(), path });
    let mounted = rootfs::mount(&store, &request, missing).with_context(cannot);
    if mounted.is_err() {
        release(&store, &image)?;
    }
    let mounted = mounted?;
    let mounted = Mounted { is_new: mounted.is_new || done.is_new, ..mounted };
    let elapsed = done.elapsed.saturating_add(started.elapsed());
    let report = Report { image, mounted, no_daemon, seconds: elapsed.as_secs_f64() };
    if args.form.json {
        print(&to_json(&report)?)?;
    } else if !args.form.quiet {
        ui::say(&text::mounted(&report));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes plain files instead of a mount.
fn unpack(store: &Store, args: &Mount, why: anyhow::Error) -> anyhow::Result<ExitCode> {
    let wanted = match image_name::find(store.images(), &args.image) {
        Ok(image) => image.name,
        Err(_) => args.image.clone(),
    };
    super::pull::run(&request::Pull::of(&wanted, args)?)?;
    let image = image_name::find(store.images(), &wanted)?;
    super::unpack::instead_of_mount(store, &image, &args.directory, format!("{why:#}"), &args.form)
}

/// Tells whether an image cannot be served, but be mounted when all of it is here.
fn is_disputed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(mount::Error::Disputed { .. })))
}

/// Gets an image ready: as it is in the store, with what is missing served, or pulled. Where nothing can be served, it is
/// pulled as well, and why is returned.
fn ready(store: &Store, args: &Mount) -> anyhow::Result<(Ready, Option<String>)> {
    let wanted = match image_name::find(store.images(), &args.image) {
        Ok(image) if is_complete(store, &image)? => return Ok((Ready::complete(image), None)),
        Ok(image) => image.name,
        Err(store::Error::NoSuchImage { .. }) => args.image.clone(),
        Err(error) => return Err(error.into()),
    };
    let pull = request::Pull::of(&wanted, args)?;
    let no_daemon = match args.eager {
        true => None,
        false => match Device::open() {
            Ok(_) => match prepare(store, &pull, &wanted, !args.no_fill) {
                Err(error) if is_disputed(&error) => Some(format!("{error:#}")),
                ready => return Ok((ready?, None)),
            },
            Err(error) => Some(format!("{:#}", anyhow::Error::from(error))),
        },
    };
    super::pull::run(&pull)?;
    let image = image_name::find(store.images(), &wanted)?;
    Ok((Ready::complete(image), no_daemon))
}

fn is_complete(store: &Store, image: &Image) -> Result<bool, mount::Error> {
    match rootfs::is_complete(store, image) {
        Err(mount::Error::Store(store::Error::NoLayer { .. })) => Ok(false),
        known => known,
    }
}

/// Takes a mount away.
pub(crate) fn umount(args: &Umount) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    let cannot = || format!("cannot unmount `{}`", args.directory.display());
    let image = store.mounts().get(&absolute(&args.directory))?.map(|record| record.image);
    if !rootfs::umount(&store, &args.directory, args.lazy).with_context(cannot)? {
        ui::say("it was not mounted, and is forgotten\n");
    }
    image.map_or(Ok(()), |image| release(&store, &image))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the path of a directory as mounts are recorded by it.
fn absolute(directory: &Path) -> PathBuf {
    directory.canonicalize().unwrap_or_else(|_| directory.to_owned())
}

/// Lists mounts.
pub(crate) fn mounts(args: &Mounts) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    let mounts = rootfs::list(&store)
        .with_context(|| format!("cannot list the mounts of `{}`", store.path().display()))?;
    match args.json {
        true => print(&to_json(&mounts)?)?,
        false => print_text(&text::mounts(&mounts))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Mounts again what was mounted. What fails is told, and does not keep the others from being mounted.
pub(crate) fn restore(args: &Restore) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    let cannot = || format!("cannot restore the mounts of `{}`", store.path().display());
    if let Ok(additional) = AdditionalStore::open(&publish::place(store.path())) {
        additional.forget_mounts(&store).with_context(cannot)?;
    }
    let missing = resume(&store).with_context(cannot)?;
    let missing = missing.as_ref().map(|(fd, path)| DataDirectory { fd: fd.as_fd(), path });
    let restored = rootfs::restore(&store, missing).with_context(cannot)?;
    let mut code = ExitCode::SUCCESS;
    let mut outcomes = Vec::new();
    for Restored { record, outcome } in restored {
        let cannot = format!("cannot mount `{}` on `{}`", record.image.name, record.directory.display());
        let error = outcome.map_err(anyhow::Error::from).context(cannot).err();
        if let Some(error) = &error {
            code = exit::fail(error);
        } else if !args.form.quiet && !args.form.json {
            ui::say(&text::restored(&record));
        }
        outcomes.push(Outcome { record, error: error.map(|error| format!("{error:#}")) });
    }
    if args.form.json {
        print(&to_json(&outcomes)?)?;
    }
    Ok(code)
}
