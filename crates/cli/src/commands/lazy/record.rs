//! Finding out what a command reads.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use mount::fetch::{self, Fetcher, Place, Recorded};
use mount::fuse::{self, Device, Session};
use mount::overlay::DataDirectory;
use mount::profile::Profile;
use mount::{contents, rootfs};
use registry::ImageSource;
use rustix::mount::{UnmountFlags, unmount};
use store::{Image, Store};

use super::super::daemon::{Log, Sources};
use super::prepare::{Indexed, Opened, index};
use super::shared_profile;
use crate::access::access;
use crate::args::Record;
use crate::request;
use crate::ui;
use crate::ui::words::{Bytes, count};

/// Longer than any command runs: nothing is fetched that is not read.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Runs a command in an image, and writes down what it reads. Ends as the command does.
pub(crate) fn run(args: &Record) -> anyhow::Result<ExitCode> {
    let store = args.store.create()?;
    let request = request::Pull::of_record(args)?;
    let reference = request.references.first().context("no image was named")?;
    let Opened { indexed: Indexed { image, place, .. }, source, manifest } =
        index(&store, &request, reference)
            .with_context(|| format!("cannot bring in what has to be known of `{}`", args.image))?;
    let source: Arc<dyn ImageSource> = Arc::from(source);
    let sources = Sources::with(&place, Arc::clone(&source));
    let (status, Recorded { reads, blob_len }) = record(&store, &sources, &image, &place, &args.command)?;
    // What could not be run says nothing about what comes first, and must not replace what was found out before.
    if reads.is_empty() {
        let command = args.command.first().map_or("", String::as_str);
        bail!("`{command}` read nothing in `{}` ({status}), so no profile was written", args.image);
    }
    let profile = Profile { manifest: image.manifest, reads };
    let path = profile.save(store.path())?;
    if let Some(output) = &args.output {
        fs::copy(&path, output).with_context(|| format!("cannot write `{}`", output.display()))?;
    }
    if !args.form.quiet {
        let (chunks, len) = (count(profile.reads.len() as u64, "chunk", "chunks"), Bytes(blob_len));
        ui::say(&format!(
            "{}: {chunks} ({len} of blobs) were read, and come first from now on\n",
            image.name
        ));
    }
    if args.push {
        let cannot = || format!("cannot put the profile beside `{}`", args.image);
        let digest = shared_profile::push(&*source, &access(&request.registry)?, &manifest, &profile);
        let digest = digest.with_context(cannot)?;
        if !args.form.quiet {
            ui::say(&format!("  for others, too: {digest}\n"));
        }
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Mounts an image so that all that is read goes through this process, and runs a command in it.
fn record(
    store: &Store,
    sources: &Sources,
    image: &Image,
    place: &Place,
    command: &[String],
) -> anyhow::Result<(ExitStatus, Recorded)> {
    let scratch = tempfile::tempdir().context("cannot make a directory for the mount")?;
    let directory = |name: &str| {
        let path = scratch.path().join(name);
        fs::create_dir(&path).map(|()| path).context("cannot make a directory for the mount")
    };
    let (objects, root, changes) = (directory("objects")?, directory("root")?, directory("changes")?);
    let options = fetch::Options { quiet: NEVER, ..fetch::Options::default() };
    let log = Log(store.path().to_owned());
    let (fetcher, ended) = Fetcher::new(store, sources, &log, options);
    for toc_digest in &image.layers {
        let record = store.layers().get(toc_digest)?.context("a layer is not in the store any more")?;
        let table = contents::build(store, &record, &contents::directory_of(store))?;
        fetcher.add_place(&fetcher.attach(&record, table), place);
    }
    let device = Device::open()?;
    fuse::mount(&device, &objects)?;
    let _unmounted = Unmounted(&objects);
    let devices = vec![device.another()?, device];
    let session = Session::new(devices, &fetcher, ended, fuse::Options::default())?;
    let status = thread::scope(|scope| {
        fetcher.start(scope);
        session.start(scope);
        let status = run_in(store, image, (&objects, &root, &changes), &fetcher, command);
        session.stop();
        fetcher.stop();
        status
    })?;
    Ok((status, fetcher.recorded()?))
}

fn run_in(
    store: &Store,
    image: &Image,
    (objects, root, changes): (&Path, &Path, &Path),
    fetcher: &Fetcher<'_>,
    command: &[String],
) -> anyhow::Result<ExitStatus> {
    let content = File::open(objects).context("cannot open what was just mounted")?;
    let content = DataDirectory { fd: content.as_fd(), path: objects };
    let request = rootfs::Request { image, directory: root, writable: Some(changes) };
    rootfs::mount_passing(store, &request, content)?;
    let _unmounted = Unmounted(root);
    // What it took to mount it is of no interest.
    fetcher.record();
    let status = Command::new("chroot").arg(root).args(command).status();
    status.with_context(|| format!("cannot run `{}`", command.join(" ")))
}

/// A mount that goes away with this.
struct Unmounted<'a>(&'a Path);

impl Drop for Unmounted<'_> {
    fn drop(&mut self) {
        // Nothing can be done about one that stays.
        let _ = unmount(self.0, UnmountFlags::DETACH);
    }
}
