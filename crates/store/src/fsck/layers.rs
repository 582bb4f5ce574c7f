//! Checks layers: their own files, and that what should be here of their content is.

use std::collections::HashSet;

use chunked::{ContentDigest, TocDigest};

use super::{BadLayer, Findings, LayerProblem, Options, reason};
use crate::contents;
use crate::error::Error;
use crate::layers::{LayerRecord, LayerState};
use crate::store::Store;

pub(super) fn check(store: &Store, options: &Options, findings: &mut Findings) -> Result<(), Error> {
    let bad_objects: HashSet<_> = findings.bad_objects.iter().map(|object| object.digest).collect();
    for toc_digest in store.layers().list()? {
        // Old layers lack content only if objects turned out to be bad.
        if bad_objects.is_empty()
            && let Some(since) = options.since
            && store.layers().changed(&toc_digest)?.is_some_and(|changed| changed < since)
        {
            continue;
        }
        findings.layers += 1;
        let problem = problem(store, &toc_digest, &bad_objects);
        findings.bad_layers.extend(problem.map(|problem| BadLayer { toc_digest, problem }));
    }
    Ok(())
}

fn problem(
    store: &Store,
    toc_digest: &TocDigest,
    bad_objects: &HashSet<ContentDigest>,
) -> Option<LayerProblem> {
    let lacking = || -> Result<Option<u64>, Error> {
        let Some(record) = store.layers().get(toc_digest)? else { return Ok(None) };
        store.layers().tar_split(&record)?;
        lacking(store, &record, bad_objects).map(Some)
    };
    match lacking() {
        Ok(Some(0)) => None,
        Ok(Some(lacking)) => Some(LayerProblem::Lacks(lacking)),
        Ok(None) => Some(LayerProblem::Damaged("it has no record".to_owned())),
        Err(error) => Some(LayerProblem::Damaged(reason(&error))),
    }
}

/// Counts the contents that should be here and are not.
fn lacking(store: &Store, record: &LayerRecord, bad_objects: &HashSet<ContentDigest>) -> Result<u64, Error> {
    let is_here = |(digest, len): (ContentDigest, u64)| {
        Ok(!bad_objects.contains(&digest) && store.objects().len_of(&digest)? == Some(len))
    };
    let mut lacking = Ok(0_u64);
    store.layers().visit_toc(record, |entry| {
        let content = contents::of(&entry).filter(|_| record.state > LayerState::Indexed);
        if let (Some(content), Ok(count)) = (content, &mut lacking) {
            match is_here(content) {
                Ok(is_here) => *count += u64::from(!is_here),
                Err(error) => lacking = Err(error),
            }
        }
    })?;
    lacking
}
