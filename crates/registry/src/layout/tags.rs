//! The images of a layout, by name.

use crate::descriptor::{Descriptor, REF_NAME};
use crate::image::Index;

/// Says why no image was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// There is no image of that name.
    Tag,
    /// No name was given, and there is more or less than one image; or one name stands for several.
    Ambiguous,
}

/// Finds the image named `tag`, or without one the only image. What is said about images is none.
pub(crate) fn find<'a>(index: &'a Index, tag: Option<&str>) -> Result<&'a Descriptor, NotFound> {
    let named = |image: &&Descriptor| match tag {
        Some(tag) => name(image) == Some(tag),
        None => !is_beside(image),
    };
    let mut candidates = index.manifests.iter().filter(named);
    let Some(first) = candidates.next() else { return Err(NotFound::Tag) };
    match candidates.all(|other| other.digest == first.digest) {
        true => Ok(first),
        false => Err(NotFound::Ambiguous),
    }
}

/// Gives `image` the name `tag`, which any other image loses; without one, it takes the place of the only nameless image.
/// Of several nameless ones, which others may have left there, nobody knows which it could be: they stay.
pub fn set(index: &mut Index, mut image: Descriptor, tag: Option<&str>) {
    match tag {
        Some(tag) => image.annotations.insert(REF_NAME.to_owned(), tag.to_owned()),
        None => image.annotations.remove(REF_NAME),
    };
    let is_nameless = |other: &Descriptor| name(other).is_none() && !is_beside(other);
    let nameless = index.manifests.iter().filter(|other| is_nameless(other)).count();
    let replaced = |other: &Descriptor| match tag {
        Some(tag) => name(other) == Some(tag),
        None => is_nameless(other) && (nameless == 1 || other.digest == image.digest),
    };
    let place = index.manifests.iter().position(replaced).unwrap_or(index.manifests.len());
    index.manifests.retain(|other| !replaced(other));
    index.manifests.insert(place.min(index.manifests.len()), image);
}

/// Lists a manifest that is about another one, by no name.
pub(crate) fn add_referrer(index: &mut Index, referrer: &Descriptor) {
    if !index.manifests.iter().any(|other| other.digest == referrer.digest) {
        index.manifests.push(referrer.clone());
    }
}

/// Lists the names of the images, as far as they have one.
pub(crate) fn names(index: &Index) -> impl Iterator<Item = &str> {
    index.manifests.iter().filter(|image| !is_beside(image)).filter_map(name)
}

/// Tells what is said about images from images: manifests with a subject are listed with their type of artifact, and
/// signatures of cosign and lists of referrers have names that begin with a digest.
fn is_beside(listed: &Descriptor) -> bool {
    let Some(name) = name(listed) else { return listed.artifact_type.is_some() };
    let digits = name.strip_prefix("sha256-").and_then(|rest| rest.get(..64));
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns the name of an image, if it has one.
pub fn name(image: &Descriptor) -> Option<&str> {
    image.annotations.get(REF_NAME).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use chunked::BlobDigest;

    use super::*;
    use crate::media_type::MediaType;

    fn image(content: &str) -> Descriptor {
        Descriptor::new(MediaType::OCI_MANIFEST, BlobDigest::of(content.as_bytes()), 1)
    }

    fn digest(index: &Index, tag: Option<&str>) -> Result<BlobDigest, NotFound> {
        find(index, tag).map(|image| image.digest)
    }

    #[test]
    fn images_are_found_by_name_or_by_being_alone() {
        let mut index = Index::of(vec![]);
        assert_eq!(digest(&index, None), Err(NotFound::Tag));
        set(&mut index, image("a"), Some("1"));
        assert_eq!(digest(&index, None), Ok(image("a").digest));
        set(&mut index, image("a"), Some("2"));
        assert_eq!(digest(&index, None), Ok(image("a").digest));
        set(&mut index, image("b"), Some("3"));
        assert_eq!(digest(&index, None), Err(NotFound::Ambiguous));
        assert_eq!(digest(&index, Some("3")), Ok(image("b").digest));
        assert_eq!(digest(&index, Some("4")), Err(NotFound::Tag));
    }

    #[test]
    fn a_name_moves_and_keeps_its_place() {
        let mut index = Index::of(vec![]);
        set(&mut index, image("a"), Some("1"));
        set(&mut index, image("b"), Some("2"));
        set(&mut index, image("c"), Some("1"));
        set(&mut index, image("d"), None);
        set(&mut index, image("d"), None);
        assert_eq!(names(&index).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(index.manifests.len(), 3);
        assert_eq!(digest(&index, Some("1")), Ok(image("c").digest));
    }

    #[test]
    fn a_nameless_image_replaces_the_only_nameless_one() {
        let mut index = Index::of(vec![image("a")]);
        set(&mut index, image("b"), None);
        assert_eq!(index.manifests, [image("b")]);
        let mut index = Index::of(vec![image("a"), image("b")]);
        set(&mut index, image("c"), None);
        assert_eq!(index.manifests, [image("a"), image("b"), image("c")]);
    }

    #[test]
    fn one_name_for_two_images_is_ambiguous() {
        let named = |content| {
            let mut image = image(content);
            image.annotations.insert(REF_NAME.to_owned(), "1".to_owned());
            image
        };
        assert_eq!(digest(&Index::of(vec![named("a"), named("b")]), Some("1")), Err(NotFound::Ambiguous));
    }

    #[test]
    fn what_is_beside_an_image_does_not_make_it_ambiguous() {
        let mut index = Index::of(vec![image("a")]);
        let referrer = Descriptor { artifact_type: Some("x/y".to_owned()), ..image("referrer") };
        add_referrer(&mut index, &referrer);
        add_referrer(&mut index, &referrer);
        let signature = format!("sha256-{}.sig", image("a").digest.0.hex());
        set(&mut index, image("signature"), Some(&signature));
        assert_eq!(index.manifests.len(), 3);
        assert_eq!(digest(&index, None), Ok(image("a").digest));
        set(&mut index, image("b"), None);
        assert_eq!(digest(&index, None), Ok(image("b").digest));
        assert_eq!(digest(&index, Some(&signature)), Ok(image("signature").digest));
        assert_eq!(index.manifests.len(), 3);
    }
}
