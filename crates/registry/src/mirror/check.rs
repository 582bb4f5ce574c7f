//! Whether what was asked for can be mirrored.

use super::Options;
use super::select::{self, Children, Encoding, Selection, Why};
use super::survey::{self, Content, Node};
use crate::error::Error;
use crate::platform::Selector;
use crate::selection::{Listed, State, absence};
use crate::source::ImageSource;

/// Checks that every platform that was asked for is listed, that every one that is required is there, and that there is
/// something to mirror.
///
/// # Errors
/// [`Error::NoPlatform`] for a platform that is not listed, [`Error::NoEncoding`] for one that is listed in other
/// encodings only, [`Error::AbsentPlatform`] for one that is required, or when nothing of what was asked for is there.
pub(super) fn check(source: &dyn ImageSource, tree: &Node, options: &Options) -> Result<(), Error> {
    let Selection { platforms, encodings, children, .. } = &options.selection;
    if *children == Children::None {
        return Ok(());
    }
    let leaves = tree.leaves();
    let chooses = |selector: &Selector, leaf: &Node| {
        leaf.listed.platform.as_ref().is_some_and(|platform| selector.matches(platform))
    };
    for selector in platforms.iter().chain(&options.require) {
        let chosen: Vec<&Node> = leaves.iter().copied().filter(|leaf| chooses(selector, leaf)).collect();
        if chosen.is_empty() {
            return Err(not_listed(source, &leaves, selector));
        }
        if chosen.iter().all(|leaf| matches!(leaf.content, Content::Left(Why::Encoding))) {
            return Err(no_encoding(source, selector, encodings));
        }
        let is_there = chosen.iter().any(|leaf| leaf.is_kept());
        if options.require.contains(selector) && !is_there {
            return Err(absent(source, tree, |leaf| chooses(selector, leaf)));
        }
    }
    if leaves.is_empty() {
        return Err(Error::NoImages { place: Box::new(source.reference().clone()) });
    }
    match tree.is_kept() {
        true => Ok(()),
        false => Err(absent(source, tree, |leaf| matches!(leaf.content, Content::Absent))),
    }
}

fn not_listed(source: &dyn ImageSource, leaves: &[&Node], selector: &Selector) -> Error {
    let mut listed: Vec<String> = Vec::new();
    for platform in leaves.iter().filter_map(|leaf| select::platform(&leaf.listed)) {
        let name = platform.to_string();
        if !listed.contains(&name) {
            listed.push(name);
        }
    }
    Error::NoPlatform { place: Box::new(source.reference().clone()), wanted: selector.to_string(), listed }
}

fn no_encoding(source: &dyn ImageSource, selector: &Selector, encodings: &[Encoding]) -> Error {
    Error::NoEncoding {
        place: Box::new(source.reference().clone()),
        platform: selector.to_string(),
        wanted: encodings.iter().map(ToString::to_string).collect(),
    }
}

fn absent(source: &dyn ImageSource, tree: &Node, chosen: impl Fn(&Node) -> bool) -> Error {
    let listed = |leaf: &&Node| Listed {
        descriptor: leaf.listed.clone(),
        platform: select::platform(&leaf.listed).cloned(),
        state: match leaf.content {
            Content::Absent => State::Absent,
            Content::Left(_) => State::NotLookedAt,
            _ => State::Present,
        },
    };
    let (chosen, others): (Vec<&Node>, Vec<&Node>) = tree.leaves().into_iter().partition(|leaf| chosen(leaf));
    match chosen.is_empty() {
        true => Error::NoneSelected {
            place: Box::new(source.reference().clone()),
            listed: others.iter().map(|leaf| survey::name(&leaf.listed)).collect(),
        },
        false => absence(
            source,
            &chosen.iter().map(listed).collect::<Vec<_>>(),
            &others.iter().map(listed).collect::<Vec<_>>(),
        ),
    }
}
