//! Decides what is done to mirror an image. A plan is a value: it can be printed, and it knows its bytes beforehand.

use std::cmp::Reverse;
use std::collections::HashSet;

use chunked::BlobDigest;
use serde::{Serialize, Serializer};

use super::beside::Said;
use super::destination::{Destination, Placed};
use super::intent::{EMPTY_CONTENT, Entry, Intent};
use super::refusal::{self, Missing};
use super::select::{self, Selection, Why};
use super::survey::{self, Content, Node};
use super::{Options, Record, Shape, advice, beside, check, trim};
use crate::client::SparsePolicy;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{Document, Invalid, Manifest};
use crate::media_type::LayerKind;
use crate::reference::Reference;
use crate::source::ImageSource;

/// What is done to mirror an image, in the order in which it is: blobs, documents, and at last the root under its name.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Where the image comes from.
    pub source: String,
    /// Where it goes.
    pub destination: String,
    /// Its manifest or index as it will be there.
    #[serde(serialize_with = "described")]
    pub root: Document,
    /// Whether the destination has that under the image's name already, so that it is not sent.
    pub root_is_there: bool,
    /// What a new index costs, if one is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trimmed: Option<Trimmed>,
    /// Everything that is listed and no index, in the order of the indexes.
    pub children: Vec<Child>,
    /// What is recorded of the purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The blobs, each once, the longest first.
    pub blobs: Vec<BlobStep>,
    /// The manifests and indexes but the root, in the order in which they are sent.
    pub documents: Vec<DocumentStep>,
    /// The sums.
    pub totals: Totals,
    /// What should be known.
    pub notices: Vec<String>,
    /// What will be listed but not there.
    #[serde(skip)]
    pub(super) missing: Vec<Missing>,
    /// What the destination says of such indexes.
    #[serde(skip)]
    pub(super) policy: SparsePolicy,
}

/// What a new index costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trimmed {
    /// The digest of the index in the source.
    pub before: BlobDigest,
    /// What is said about that index, above all its signatures, and does not hold for the new one.
    pub lost: Vec<BlobDigest>,
}

/// A child of an index, or the only image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Child {
    /// The digest of its manifest.
    pub digest: BlobDigest,
    /// What it runs on, if that is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What becomes of it.
    pub fate: ChildFate,
    /// Why it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// Whether the destination has its manifest before.
    pub is_there: bool,
    /// Bytes of its manifest and of its blobs, as far as they are known.
    pub len: u64,
    /// Its descriptor.
    #[serde(skip)]
    pub(super) listed: Descriptor,
}

/// What becomes of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChildFate {
    /// It is mirrored.
    Mirrored,
    /// It is not wanted.
    LeftOut,
    /// It is wanted, and the source does not have it.
    Absent,
}

/// A blob, and what becomes of it.
#[derive(Debug, Clone, Serialize)]
pub struct BlobStep {
    /// The blob.
    #[serde(flatten)]
    pub blob: Descriptor,
    /// What becomes of it.
    pub fate: BlobFate,
    /// Its content, if it is made here.
    #[serde(skip)]
    pub(super) content: Option<Vec<u8>>,
}

impl BlobStep {
    fn new(blob: Descriptor, content: Option<Vec<u8>>, fate: BlobFate) -> Self {
        // Nobody else has what is made here.
        let fate = if content.is_some() && fate != BlobFate::There { BlobFate::Copy } else { fate };
        Self { blob, fate, content }
    }
}

/// What becomes of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobFate {
    /// Its bytes are moved.
    Copy,
    /// The registry is asked to take it from another of its repositories; where it does not, its bytes are moved.
    Mount(Reference),
    /// Nothing: it is there.
    There,
}

impl Serialize for BlobFate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Copy => serializer.serialize_str("copy"),
            Self::Mount(from) => serializer.collect_str(&format_args!("mount {from}")),
            Self::There => serializer.serialize_str("there"),
        }
    }
}

/// A manifest or index, and what becomes of it.
#[derive(Debug, Clone, Serialize)]
pub struct DocumentStep {
    /// The document.
    #[serde(serialize_with = "described")]
    pub document: Document,
    /// What it is.
    #[serde(flatten)]
    pub role: Role,
    /// Whether the destination has it, so that it is not sent.
    pub is_there: bool,
}

/// What a document is to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "role")]
pub enum Role {
    /// A child of an index, or an index below the root.
    Child,
    /// Something that is said about another document.
    Referrer {
        /// What it is about.
        subject: BlobDigest,
    },
    /// The same, found by a tag.
    Tagged {
        /// What it is about.
        subject: BlobDigest,
        /// The tag.
        tag: String,
    },
    /// The record of the purpose.
    Intent,
}

/// The sums of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Blobs whose bytes are moved.
    pub copy: Tally,
    /// Blobs that another repository of the registry has.
    pub mount: Tally,
    /// Blobs that are there.
    pub there: Tally,
    /// Documents that are sent, the root included.
    pub documents: Tally,
}

/// A number of things and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Tally {
    /// Counts one more.
    pub(super) fn add(&mut self, bytes: u64) {
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Plan {
    /// Tells whether something will be listed that is not there.
    pub fn is_sparse(&self) -> bool {
        !self.missing.is_empty()
    }
}

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
    let jobs = options.jobs.get();
    let tree = survey::survey(source, &options.selection, jobs)?;
    check::check(source, &tree, options)?;
    let original = tree.listed.digest;
    let leaves = entries(&tree);
    let mut notices = absent_notices(source, &tree);
    let place = destination.reference.clone();
    let invalid = |source| Error::NewDocument { place: Box::new(place.clone()), source };
    let tree = match options.shape {
        Shape::Exact => tree,
        Shape::Trimmed => trim::trim(tree).map_err(invalid)?,
    };
    let is_new = tree.listed.digest != original;
    let said = beside::gather(source, subjects(&tree, original), jobs)?;
    let (lost, said): (Vec<_>, _) = said.into_iter().partition(|said| is_new && said.subject == original);
    let root = root(source, &tree)?;

    let mut draft = Draft { source, steps: documents(&tree, said), blobs: Vec::new() };
    draft.blobs_of_tree(&tree)?;
    let held = destination.held(&leaves)?;
    let missing = if is_new { Vec::new() } else { missing(&leaves, &held) };
    let record = match (&options.record, &root) {
        (Record::On { by }, Document::Index(_)) if !is_new => {
            let wanted = intent(source.reference(), by.as_deref(), &options.selection, &leaves);
            destination.earlier_intents(&original).map(|earlier| new_record(wanted, &earlier))?
        }
        _ => None,
    };
    if let Some(record) = &record {
        draft.record(record, &root.descriptor()).map_err(invalid)?;
    }
    let root_is_there = destination.has_root(&root)?;
    let policy = match missing.is_empty() || root_is_there {
        true => SparsePolicy::Taken,
        false => refusal::foresee(destination, &root, &missing)?,
    };
    if !missing.is_empty() {
        notices.extend(advice::retention(&place));
    }
    let steps = destination.look_for(draft.steps)?;
    let blobs = blob_steps(draft.blobs, destination, source.reference(), placed)?;
    Ok(Plan {
        source: source.reference().to_string(),
        destination: place.to_string(),
        totals: totals(&blobs, &steps, (!root_is_there).then_some(&root)),
        root,
        root_is_there,
        trimmed: is_new.then(|| Trimmed { before: original, lost: lost.iter().filter_map(digest).collect() }),
        children: leaves.into_iter().zip(held).map(|(leaf, is_there)| Child { is_there, ..leaf }).collect(),
        intent: record,
        blobs,
        documents: steps,
        notices,
        missing,
        policy,
    })
}

fn digest(said: &Said) -> Option<BlobDigest> {
    said.root().map(|root| root.descriptor().digest)
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
fn documents(tree: &Node, said: Vec<Said>) -> Vec<DocumentStep> {
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
    for Said { subject, tag, mut documents } in said {
        let last = documents.pop();
        documents.into_iter().for_each(|document| add(document, Role::Child));
        let role = match tag {
            Some(tag) => Role::Tagged { subject, tag },
            None => Role::Referrer { subject },
        };
        last.into_iter().for_each(|document| add(document, role.clone()));
    }
    steps
}

fn missing(leaves: &[Child], held: &[bool]) -> Vec<Missing> {
    let gaps = leaves.iter().zip(held).filter(|(leaf, held)| leaf.fate != ChildFate::Mirrored && !**held);
    let missing = |(leaf, _): (&Child, &bool)| Missing {
        digest: leaf.digest,
        platform: leaf.platform.clone(),
        architecture: leaf.listed.platform.as_ref().map(|platform| platform.architecture.clone()),
    };
    gaps.map(missing).collect()
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
struct Draft<'a> {
    source: &'a dyn ImageSource,
    steps: Vec<DocumentStep>,
    blobs: Vec<(Descriptor, Option<Vec<u8>>)>,
}

impl Draft<'_> {
    /// Adds the blobs of all documents, and those that indexes list themselves.
    fn blobs_of_tree(&mut self, tree: &Node) -> Result<(), Error> {
        let listed = tree.leaves().into_iter().filter(|leaf| matches!(leaf.content, Content::Blob));
        let mut blobs: Vec<Descriptor> = listed.map(|leaf| leaf.listed.bare()).collect();
        let manifests = self.steps.iter().map(|step| &step.document);
        let root = tree.documents().pop().map(|(_, document)| document);
        for document in manifests.chain(&root) {
            let Document::Manifest(manifest) = document else { continue };
            for blob in blobs_of(manifest.value()) {
                // A foreign layer is often only where its `urls` say.
                if blob.media_type.layer() != LayerKind::Foreign || self.source.blob(blob)?.is_some() {
                    blobs.push(blob.bare());
                }
            }
        }
        self.blobs.extend(blobs.into_iter().map(|blob| (blob, None)));
        Ok(())
    }

    /// Adds the record of the purpose.
    fn record(&mut self, intent: &Intent, root: &Descriptor) -> Result<(), Invalid> {
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

fn blobs_of(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    [&manifest.config].into_iter().chain(&manifest.layers)
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

fn described<S: Serializer>(document: &Document, serializer: S) -> Result<S::Ok, S::Error> {
    document.descriptor().serialize(serializer)
}
