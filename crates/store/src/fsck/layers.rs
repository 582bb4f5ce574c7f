//! Checks layers: their own files, and that what should be here of their content is.

use std::collections::HashSet;

use chunked::{ContentDigest, TocDigest};

use super::{BadLayer, Findings, LayerProblem, Options, reason};
use crate::contents;
use crate::error::Error;
use crate::layers::LayerState;
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
        let layers = store.layers();
        let Some(record) = layers.get(toc_digest)? else { return Ok(None) };
        let toc = layers.toc(&record)?;
        layers.tar_split(&record)?;
        if record.state == LayerState::Indexed {
            return Ok(Some(0));
        }
        let mut lacking = 0;
        for (digest, len) in contents::of(&toc) {
            let is_here = !bad_objects.contains(&digest) && store.objects().len_of(&digest)? == Some(len);
            lacking += u64::from(!is_here);
        }
        Ok(Some(lacking))
    };
    match lacking() {
        Ok(Some(0)) => None,
        Ok(Some(lacking)) => Some(LayerProblem::Lacks(lacking)),
        Ok(None) => Some(LayerProblem::Damaged("it has no record".to_owned())),
        Err(error) => Some(LayerProblem::Damaged(reason(&error))),
    }
}
