//! Decides what is done to mirror an image.

use std::cmp::Reverse;
use std::collections::HashSet;

use chunked::BlobDigest;

use super::beside::Said;
use super::destination::{Destination, Placed};
use super::intent::{EMPTY_CONTENT, Entry, Intent};
use super::plan::{
    BlobFate, BlobStep, Child, ChildFate, DocumentStep, Plan, Role, Totals, Trimmed, blobs_of,
};
use super::refusal::{self, Missing};
use super::select::{self, Selection};
use super::survey::{self, Content, Node};
use super::{Options, Record, Shape, advice, beside, check, trim};
use crate::client::SparsePolicy;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{Document, Invalid};
use crate::media_type::LayerKind;
use crate::reference::Reference;
use crate::source::ImageSource;

/// Reads what is needed to decide, and decides. Nothing is written.
///
/// # Errors
/// When a platform that was asked for is not listed, or nothing of what was asked for is there; when the destination says
/// beforehand that it will not take the index; and those of reading.
pub fn plan(
    source: &dyn ImageSource,
    destination: &mut Destination,
    options: &Options,
    placed: &Placed,
) -> Result<Plan, Error> {
    let wanted = Wanted::read(source, &destination.reference, options)?;
    let leaves = entries(&wanted.original);
    let held = destination.held(&leaves)?;
    let missing = if wanted.is_new() { Vec::new() } else { missing(&wanted.original, &leaves, &held) };
    let root_is_there = destination.has_root(&wanted.root)?;
    let policy = match missing.is_empty() || root_is_there {
        true => SparsePolicy::Taken,
        false => refusal::foresee(destination, &wanted.root, &missing)?,
    };
    let intent = match (&options.record, &wanted.root) {
        (Record::On { by }, Document::Index(_)) if !wanted.is_new() => {
            let earlier = destination.earlier_intents(&wanted.root.descriptor().digest)?;
            new_record(intent(source.reference(), by.as_deref(), &options.selection, &leaves), &earlier)
        }
        _ => None,
    };
    let mut notices = absent_notices(source, &wanted.original);
    notices.extend(advice::retention(&destination.reference).filter(|_| !missing.is_empty()));
    let draft = Draft::new(source, &wanted, intent.as_ref(), &destination.reference)?;
    let documents = destination.look_for(draft.steps)?;
    let blobs = blob_steps(draft.blobs, destination, source.reference(), placed)?;
    Ok(Plan {
        source: source.reference().to_string(),
        destination: destination.reference.to_string(),
        totals: totals(&blobs, &documents, (!root_is_there).then_some(&wanted.root)),
        trimmed: wanted.is_new().then(|| wanted.cost()),
        root: wanted.root,
        root_is_there,
        children: leaves.into_iter().zip(held).map(|(leaf, is_there)| Child { is_there, ..leaf }).collect(),
        intent,
        blobs,
        documents,
        notices,
        missing,
        policy,
    })
}

/// What is wanted of the source.
struct Wanted {
    /// As the source lists it.
    original: Node,
    /// As it is to be; the same unless it is trimmed.
    tree: Node,
    root: Document,
    /// What is said about it.
    said: Vec<Said>,
    /// What is said about an index that does not stay.
    lost: Vec<Said>,
}

impl Wanted {
    fn read(source: &dyn ImageSource, destination: &Reference, options: &Options) -> Result<Self, Error> {
        let jobs = options.jobs.get();
        let original = survey::survey(source, &options.selection, jobs)?;
        check::check(source, &original, options)?;
        let tree = match options.shape {
            Shape::Exact => original.clone(),
            Shape::Trimmed => {
                let place = || Box::new(destination.clone());
                trim::trim(original.clone())
                    .map_err(|source| Error::NewDocument { place: place(), source })?
            }
        };
        let old = original.listed.digest;
        let is_new = tree.listed.digest != old;
        let said = beside::gather(source, subjects(&tree, old), jobs)?;
        let (lost, said) = said.into_iter().partition(|said| is_new && said.subject == old);
        Ok(Self { root: root(source, &tree)?, original, tree, said, lost })
    }

    fn is_new(&self) -> bool {
        self.tree.listed.digest != self.original.listed.digest
    }

    fn cost(&self) -> Trimmed {
        let lost = self.lost.iter().filter_map(Said::root);
        Trimmed {
            before: self.original.listed.digest,
            lost: lost.map(|document| document.descriptor().digest).collect(),
        }
    }
}

/// Returns the root as it is sent.
fn root(source: &dyn ImageSource, tree: &Node) -> Result<Document, Error> {
    match &tree.content {
        Content::Index(index, _) => Ok(Document::Index(index.clone())),
        Content::Manifest(manifest) => Ok(Document::Manifest(manifest.clone())),
        _ => Err(source.no_blob(&tree.listed)),
    }
}

/// Lists all leaves.
fn entries(tree: &Node) -> Vec<Child> {
    let entry = |leaf: &Node| {
        let (fate, why) = match leaf.content {
            Content::Left(why) => (ChildFate::LeftOut, Some(why)),
            Content::Absent => (ChildFate::Absent, None),
            _ => (ChildFate::Mirrored, None),
        };
        let blobs: u64 = match &leaf.content {
            Content::Manifest(manifest) => {
                blobs_of(manifest.value()).fold(0, |len: u64, blob| len.saturating_add(blob.len))
            }
            _ => 0,
        };
        Child {
            listed: leaf.listed.clone(),
            digest: leaf.listed.digest,
            platform: select::platform(&leaf.listed).map(ToString::to_string),
            fate,
            why,
            is_there: false,
            len: leaf.listed.len.saturating_add(blobs),
        }
    };
    tree.leaves().into_iter().map(entry).collect()
}

fn absent_notices(source: &dyn ImageSource, tree: &Node) -> Vec<String> {
    let absent = tree.leaves().into_iter().filter(|leaf| matches!(leaf.content, Content::Absent));
    let notice = |leaf: &Node| {
        let (name, digest) = (survey::name(&leaf.listed), leaf.listed.digest);
        format!("{name} is listed as {digest}, but `{}` does not have it", source.reference())
    };
    absent.map(notice).collect()
}

/// Lists what may be spoken of: the original index, even if it does not stay, and all that is kept.
fn subjects(tree: &Node, original: BlobDigest) -> Vec<BlobDigest> {
    let mut subjects = vec![original];
    for (listed, _) in tree.documents() {
        if !subjects.contains(&listed.digest) {
            subjects.push(listed.digest);
        }
    }
    subjects
}

/// Lists the documents but the root, children before parents, and what is said about something after it. Each is sent once.
fn documents(tree: &Node, said: &[Said]) -> Vec<DocumentStep> {
    let mut steps: Vec<DocumentStep> = Vec::new();
    let mut seen = HashSet::from([tree.listed.digest]);
    let mut add = |document: Document, role: Role| {
        if matches!(role, Role::Tagged { .. }) || seen.insert(document.descriptor().digest) {
            steps.push(DocumentStep { document, role, is_there: false });
        }
    };
    for (_, document) in tree.documents() {
        add(document, Role::Child);
    }
    for Said { subject, tag, documents } in said {
        let Some((last, below)) = documents.split_last() else { continue };
        below.iter().for_each(|document| add(document.clone(), Role::Child));
        let role = match tag.clone() {
            Some(tag) => Role::Tagged { subject: *subject, tag },
            None => Role::Referrer { subject: *subject },
        };
        add(last.clone(), role);
    }
    steps
}

/// Lists what will be listed and not be there.
fn missing(tree: &Node, leaves: &[Child], held: &[bool]) -> Vec<Missing> {
    let gaps = leaves.iter().zip(held).filter(|(leaf, held)| leaf.fate != ChildFate::Mirrored && !**held);
    let listed = gaps.map(|(leaf, _)| &leaf.listed).chain(tree.left_indexes());
    let missing = |listed: &Descriptor| Missing {
        digest: listed.digest,
        platform: select::platform(listed).map(ToString::to_string),
        listed: listed.clone(),
    };
    listed.map(missing).collect()
}

/// Says what is mirrored on purpose.
fn intent(source: &Reference, by: Option<&str>, selection: &Selection, leaves: &[Child]) -> Intent {
    let entries = |is_mirrored: bool| {
        let fits = |leaf: &&Child| (leaf.fate == ChildFate::Mirrored) == is_mirrored;
        let entry = |leaf: &Child| Entry { digest: leaf.digest, platform: leaf.platform.clone() };
        leaves.iter().filter(fits).map(entry).collect()
    };
    Intent {
        source: source.to_string(),
        by: by.map(str::to_owned),
        platforms: selection.platforms.iter().map(ToString::to_string).collect(),
        mirrored: entries(true),
        left_out: entries(false),
    }
}

/// Returns what has to be recorded beyond what is recorded; a complete mirror needs no record.
fn new_record(wanted: Intent, earlier: &[Intent]) -> Option<Intent> {
    let is_needed = !wanted.left_out.is_empty() || !earlier.is_empty();
    let wanted = wanted.after(earlier);
    let says_more = |record: &Intent| {
        let Intent { mirrored, left_out, .. } = record;
        *mirrored != wanted.mirrored || *left_out != wanted.left_out
    };
    (is_needed && earlier.iter().all(says_more)).then_some(wanted)
}

/// What is sent, before the destination is asked.
struct Draft {
    steps: Vec<DocumentStep>,
    blobs: Vec<(Descriptor, Option<Vec<u8>>)>,
}

impl Draft {
    fn new(
        source: &dyn ImageSource,
        wanted: &Wanted,
        intent: Option<&Intent>,
        destination: &Reference,
    ) -> Result<Self, Error> {
        let mut draft = Self { steps: documents(&wanted.tree, &wanted.said), blobs: Vec::new() };
        draft.add_blobs(source, wanted)?;
        if let Some(intent) = intent {
            draft
                .add_record(intent, &wanted.root.descriptor())
                .map_err(|source| Error::NewDocument { place: Box::new(destination.clone()), source })?;
        }
        Ok(draft)
    }

    /// Adds the blobs of all documents, and those that indexes list themselves.
    fn add_blobs(&mut self, source: &dyn ImageSource, wanted: &Wanted) -> Result<(), Error> {
        let listed = wanted.tree.leaves().into_iter().filter(|leaf| matches!(leaf.content, Content::Blob));
        let mut blobs: Vec<Descriptor> = listed.map(|leaf| leaf.listed.bare()).collect();
        for document in self.steps.iter().map(|step| &step.document).chain([&wanted.root]) {
            let Document::Manifest(manifest) = document else { continue };
            for blob in blobs_of(manifest.value()) {
                // A foreign layer is often only where its `urls` say.
                if blob.media_type.layer() != LayerKind::Foreign || source.blob(blob)?.is_some() {
                    blobs.push(blob.bare());
                }
            }
        }
        self.blobs.extend(blobs.into_iter().map(|blob| (blob, None)));
        Ok(())
    }

    /// Adds the record of the purpose.
    fn add_record(&mut self, intent: &Intent, root: &Descriptor) -> Result<(), Invalid> {
        let (document, content) = intent.encode(root)?;
        if let Document::Manifest(manifest) = &document {
            let contents = [EMPTY_CONTENT.to_vec(), content];
            let blobs = blobs_of(manifest.value()).map(Descriptor::bare).zip(contents);
            self.blobs.extend(blobs.map(|(blob, content)| (blob, Some(content))));
        }
        self.steps.push(DocumentStep { document, role: Role::Intent, is_there: false });
        Ok(())
    }
}

fn blob_steps(
    blobs: Vec<(Descriptor, Option<Vec<u8>>)>,
    destination: &mut Destination,
    source: &Reference,
    placed: &Placed,
) -> Result<Vec<BlobStep>, Error> {
    let mut seen = HashSet::new();
    let (blobs, contents): (Vec<_>, Vec<_>) =
        blobs.into_iter().filter(|(blob, _)| seen.insert((blob.digest, blob.len))).unzip();
    let fates = destination.fates(&blobs, source, placed)?;
    let steps = blobs.into_iter().zip(contents).zip(fates);
    let mut steps: Vec<BlobStep> =
        steps.map(|((blob, content), fate)| BlobStep::new(blob, content, fate)).collect();
    // The last thread to finish should have little left.
    steps.sort_by_key(|step| Reverse(step.blob.len));
    Ok(steps)
}

fn totals(blobs: &[BlobStep], documents: &[DocumentStep], root: Option<&Document>) -> Totals {
    let mut totals = Totals::default();
    for step in blobs {
        let tally = match step.fate {
            BlobFate::Copy => &mut totals.copy,
            BlobFate::Mount(_) => &mut totals.mount,
            BlobFate::There => &mut totals.there,
        };
        tally.add(step.blob.len);
    }
    let sent = documents.iter().filter(|step| !step.is_there).map(|step| &step.document).chain(root);
    sent.for_each(|document| totals.documents.add(document.bytes().len() as u64));
    totals
}
