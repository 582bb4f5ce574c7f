//! What an operator should know of a place.

use crate::client::SparsePolicy;
use crate::reference::Reference;

/// Says what retention does to children of an index, which have no tags of their own.
pub(super) fn retention(destination: &Reference) -> Option<String> {
    let Reference::Registry(name) = destination else { return None };
    let host = name.host();
    let advice = match host {
        "ghcr.io" => "clean-up jobs that delete untagged versions delete them",
        _ if host.ends_with(".azurecr.io") => "a retention policy for untagged manifests deletes them",
        _ if host.contains(".dkr.ecr.") => {
            "lifecycle rules for untagged images count them; a child that an index lists cannot be deleted"
        }
        _ => {
            "retention or garbage collection by tags must spare what an index lists, and accept that some of it is missing"
        }
    };
    Some(format!("children of an index have no tags of their own: at {host}, {advice}"))
}

/// Says what makes a registry take a sparse index.
pub(super) fn setting(policy: &SparsePolicy, present: &[String]) -> String {
    let list = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
    match policy {
        SparsePolicy::Taken => "nothing has to be set".to_owned(),
        SparsePolicy::Quay { supported: false, .. } => format!(
            "Quay takes it with `FEATURE_SPARSE_INDEX: true` and the architectures of {list} as `SPARSE_INDEX_REQUIRED_ARCHS`"
        ),
        SparsePolicy::Quay { required, .. } if required.is_empty() => format!(
            "Quay requires all architectures while `SPARSE_INDEX_REQUIRED_ARCHS` is empty; it has to list those of {list}"
        ),
        SparsePolicy::Quay { required, .. } => format!(
            "`SPARSE_INDEX_REQUIRED_ARCHS` of this Quay lists {}; what is to be missing has to go from it",
            required.join(", ")
        ),
        SparsePolicy::Morsel(policy) => format!(
            "its `--index-platforms` is `{policy}`; `none`, or a list such as `{}`, would take it",
            present.join(",")
        ),
        SparsePolicy::Unknown => format!(
            "distribution 3 takes it with `validation.manifests.indexes.platforms: none`, or `list` with a `platformlist` of \
             {list}; 2.x, Harbor, Gitea and Nexus do not"
        ),
    }
}
