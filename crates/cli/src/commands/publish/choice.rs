//! In which layout an image is published: what is wanted, as far as the machine and the image can.

use std::fs;

use anyhow::{Context, ensure};
use mount::fuse::Device;
use mount::rootfs;
use registry::Descriptor;

use super::super::pull::is_chunked;
use crate::args::Layout;
use crate::request::Wish;
use crate::who;

/// What is done with an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) how: How,
    /// Why it is not what was wanted.
    pub(super) why: Option<String>,
}

/// A way to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Plain files of content that is here and proven.
    Plain,
    /// Mounts of content that is here and proven.
    Mounted,
    /// Mounts of content that comes later.
    Lazy,
}

impl How {
    fn plain(why: impl Into<String>) -> Choice {
        Choice { how: Self::Plain, why: Some(why.into()) }
    }
}

/// Chooses for an image with these layers.
pub(super) fn choose<'l>(wish: &Wish, layers: impl Iterator<Item = &'l Descriptor>) -> Choice {
    choose_for(wish, layers, can_mount, can_serve)
}

fn choose_for<'l>(
    wish: &Wish,
    mut layers: impl Iterator<Item = &'l Descriptor>,
    can_mount: impl FnOnce() -> anyhow::Result<()>,
    can_serve: impl FnOnce() -> anyhow::Result<()>,
) -> Choice {
    match (wish.layout, wish.is_lazy) {
        (Layout::Plain, true) => return How::plain("plain files take all of the content"),
        (Layout::Plain, false) | (Layout::Auto, false) => return Choice { how: How::Plain, why: None },
        (Layout::Auto, true) | (Layout::Mounted, _) => {}
    }
    if let Err(error) = can_mount() {
        return How::plain(format!("{error:#}"));
    }
    if !wish.is_lazy {
        return Choice { how: How::Mounted, why: None };
    }
    let why = match (&wish.obstacle, layers.any(is_chunked)) {
        (Some(why), _) => Some(why.clone()),
        (None, false) => Some("none of its layers is zstd:chunked".to_owned()),
        (None, true) => can_serve().err().map(|error| format!("{error:#}")),
    };
    let how = match (&why, wish.layout) {
        (None, _) => How::Lazy,
        (Some(_), Layout::Mounted) => How::Mounted,
        (Some(_), _) => How::Plain,
    };
    Choice { how, why }
}

/// Fails when engines would not see mounts.
fn can_mount() -> anyhow::Result<()> {
    ensure!(who::is_system(), "only root's engines see mounts");
    rootfs::permit()?;
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt"));
    let (own, first) = (namespace("self"), namespace("1"));
    let is_first =
        own.context("cannot tell who sees mounts")? == first.context("cannot tell who sees mounts")?;
    ensure!(is_first, "whoever asks has a mount namespace of its own, so others would not see mounts");
    Ok(())
}

/// Fails when nothing can serve what is missing.
fn can_serve() -> anyhow::Result<()> {
    Device::open()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use chunked::BlobDigest;
    use registry::MediaType;

    use super::*;

    fn layer(is_chunked: bool) -> Descriptor {
        let mut layer = Descriptor::new(MediaType::from(String::new()), BlobDigest::of(b""), 0);
        if is_chunked {
            let digest = format!("sha256:{}", "a".repeat(64));
            let annotations = [
                ("io.github.containers.zstd-chunked.manifest-checksum", digest),
                ("io.github.containers.zstd-chunked.manifest-position", "1:2:3:1".to_owned()),
            ];
            layer.annotations = annotations.map(|(key, value)| (key.to_owned(), value)).into();
        }
        layer
    }

    #[test]
    fn mounts_are_for_what_is_lazy_or_wanted_as_far_as_possible() {
        let choose = |layout, is_lazy, is_chunked, can: bool| {
            let able = || if can { Ok(()) } else { bail!("no") };
            let wish = Wish { is_lazy, layout, obstacle: None };
            let choice = choose_for(&wish, [layer(is_chunked)].iter(), || Ok(()), able);
            (choice.how, choice.why.is_some())
        };
        assert_eq!(choose(Layout::Auto, false, true, true), (How::Plain, false));
        assert_eq!(choose(Layout::Plain, true, true, true), (How::Plain, true));
        assert_eq!(choose(Layout::Auto, true, true, true), (How::Lazy, false));
        assert_eq!(choose(Layout::Auto, true, false, true), (How::Plain, true));
        assert_eq!(choose(Layout::Auto, true, true, false), (How::Plain, true));
        assert_eq!(choose(Layout::Mounted, true, true, false), (How::Mounted, true));
        assert_eq!(choose(Layout::Mounted, false, false, false), (How::Mounted, false));
        let mut wish = Wish { is_lazy: true, layout: Layout::Mounted, obstacle: None };
        let choice = choose_for(&wish, [layer(true)].iter(), || bail!("no rights"), || Ok(()));
        assert_eq!(choice, How::plain("no rights"));
        (wish.layout, wish.obstacle) = (Layout::Auto, Some("not now".to_owned()));
        let choice = choose_for(&wish, [layer(true)].iter(), || Ok(()), || Ok(()));
        assert_eq!(choice, How::plain("not now"));
    }
}
