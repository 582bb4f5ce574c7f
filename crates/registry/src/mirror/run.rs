//! Carries a plan out, and reports.

use chunked::Class;
use serde::Serialize;

use super::destination::{Destination, Placed};
use super::plan::{BlobFate, BlobStep, ChildFate, Plan, Role, Tally};
use super::{Options, Trial, crew, refusal};
use crate::copy::copy_blob;
use crate::error::Error;
use crate::sink::ImageSink;
use crate::source::ImageSource;

/// Is told how far the mirroring of images is.
pub trait Progress: Sync {
    /// So many more bytes are to be moved.
    fn planned(&self, bytes: u64);

    /// So many of them have been.
    fn moved(&self, bytes: u64);
}

/// Ignores progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn planned(&self, _: u64) {}

    fn moved(&self, _: u64) {}
}

/// What was done, beside the plan it followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Done {
    /// Blobs whose bytes were moved.
    pub copied: Tally,
    /// Blobs that the registry took from another of its repositories.
    pub mounted: Tally,
    /// Documents that were sent.
    pub documents: Tally,
}

/// Carries out `plan`, which was made for `source` and `destination`.
///
/// # Errors
/// [`Error::SparseRefused`] when the destination does not take the index, and those of reading and writing. What was
/// brought there stays for the next run; the name of the image is what it was.
pub fn run(
    plan: &Plan,
    source: &dyn ImageSource,
    mut destination: Destination,
    options: &Options,
    placed: &Placed,
    progress: &dyn Progress,
) -> Result<Done, Error> {
    if options.trial == Trial::On && plan.is_sparse() && !plan.root_is_there {
        refusal::try_out(&mut destination, plan)?;
    }
    progress.planned(plan.totals.copy.bytes);
    let mut done = Done::default();
    for (step, way) in plan.blobs.iter().zip(blobs(plan, source, &mut destination, placed, progress)?) {
        match way {
            Way::Copied => done.copied.add(step.blob.len),
            Way::Mounted => done.mounted.add(step.blob.len),
            Way::There => {}
        }
    }
    done.documents = documents(plan, destination)?;
    Ok(done)
}

/// How a blob got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Copied,
    Mounted,
    There,
}

fn blobs(
    plan: &Plan,
    source: &dyn ImageSource,
    destination: &mut Destination,
    placed: &Placed,
    progress: &dyn Progress,
) -> Result<Vec<Way>, Error> {
    let place = destination.reference.clone();
    crew::each(&mut destination.sinks, &plan.blobs, |sink, step| {
        let way =
            blob(step, source, &mut **sink, progress).map_err(|error| missing(plan, source, step, error))?;
        placed.note(step.blob.digest, &place);
        Ok(way)
    })
}

fn blob(
    step: &BlobStep,
    source: &dyn ImageSource,
    sink: &mut dyn ImageSink,
    progress: &dyn Progress,
) -> Result<Way, Error> {
    match &step.fate {
        BlobFate::There => return Ok(Way::There),
        BlobFate::Mount(from) if sink.adopt_blob(&step.blob.digest, from)? => return Ok(Way::Mounted),
        BlobFate::Mount(_) => progress.planned(step.blob.len),
        BlobFate::Copy => {}
    }
    if let Some(content) = &step.content {
        write(content, step, sink)?;
        progress.moved(step.blob.len);
        return Ok(Way::Copied);
    }
    let blob = source.expect_blob(&step.blob)?;
    copy_blob(&*blob, &step.blob, source.reference(), sink, |bytes| progress.moved(bytes))?;
    Ok(Way::Copied)
}

/// Says of a blob that the source does not have which platform it is of.
fn missing(plan: &Plan, source: &dyn ImageSource, step: &BlobStep, error: Error) -> Error {
    let is_read = matches!(error, Error::NoBlob { .. } | Error::ReadBlob { .. });
    let Some(broken) = plan.user_of(&step.blob.digest).filter(|_| is_read && error.class() == Class::Missing)
    else {
        return error;
    };
    let others = plan.children.iter().filter(|child| child.fate == ChildFate::Mirrored && *child != broken);
    let name = |platform: &String| format!("{platform} as {}", broken.digest);
    Error::BrokenPlatform {
        place: Box::new(source.reference().clone()),
        index: Box::new(source.root().digest),
        image: broken.platform.as_ref().map_or_else(|| broken.digest.to_string(), name),
        blob: Box::new(step.blob.digest),
        present: others.filter_map(|child| child.platform.clone()).collect(),
    }
}

fn write(content: &[u8], step: &BlobStep, sink: &mut dyn ImageSink) -> Result<(), Error> {
    let place = Box::new(sink.reference().clone());
    let mut staged = sink.start_blob()?;
    staged.write_all(content).map_err(|source| Error::WriteBlob { place, source })?;
    staged.commit(step.blob.digest).map(drop)
}

/// Sends the documents, the root last.
fn documents(plan: &Plan, destination: Destination) -> Result<Tally, Error> {
    let Destination { reference, sinks, .. } = destination;
    let explain = |error| refusal::explain(error, &plan.policy, &reference, &plan.root, &plan.missing);
    let mut sent = Tally::default();
    let Some(mut sink) = sinks.into_iter().next() else { return Ok(sent) };
    for step in plan.documents.iter().filter(|step| !step.is_there) {
        match &step.role {
            Role::Tagged { tag, .. } => sink.put_tagged(tag, &step.document)?,
            // An index below the root may be refused as the root may.
            Role::Child => sink.put_document(&step.document).map_err(explain)?,
            Role::Referrer { .. } | Role::Intent => sink.put_document(&step.document)?,
        }
        sent.add(step.document.bytes().len() as u64);
    }
    if plan.root_is_there {
        sink.commit(&plan.root.descriptor())?;
        return Ok(sent);
    }
    sink.commit_document(&plan.root).map_err(explain)?;
    sent.add(plan.root.bytes().len() as u64);
    Ok(sent)
}
