//! Finding an image among others.

use super::Image;
use crate::error::Error;

/// Finds the image of that name, or all names of the only image one of whose digests begins like that.
pub(super) fn names(images: Vec<Image>, name: &str) -> Result<Vec<Image>, Error> {
    let (named, others): (Vec<_>, Vec<_>) = images.into_iter().partition(|image| image.name == name);
    if !named.is_empty() {
        return Ok(named);
    }
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let candidates: Vec<_> = others.into_iter().filter(|image| begins(image, digits)).collect();
    let Some(first) = candidates.first() else {
        return Err(Error::NoSuchImage { name: name.to_owned() });
    };
    match candidates.iter().all(|image| image.config == first.config && image.layers == first.layers) {
        true => Ok(candidates),
        false => {
            let candidates = candidates.into_iter().map(|image| image.name).collect();
            Err(Error::SeveralImages { name: name.to_owned(), candidates })
        }
    }
}

fn begins(image: &Image, digits: &str) -> bool {
    let digests = [&image.config, &image.manifest, &image.root.digest];
    !digits.is_empty() && digests.iter().any(|digest| digest.0.hex().starts_with(digits))
}

#[cfg(test)]
mod tests {
    use chunked::BlobDigest;

    use super::*;
    use crate::images::Document;

    fn image(name: &str, content: &str) -> Image {
        let digest = BlobDigest::of(content.as_bytes());
        let root = Document { media_type: String::new(), digest, len: 0 };
        Image {
            name: name.to_owned(),
            root,
            manifest: digest,
            config: digest,
            platform: String::new(),
            layers: Vec::new(),
        }
    }

    #[test]
    fn names_come_before_digests_and_digests_have_to_be_clear() {
        // Digests of 3, 4 and 7 begin with 4e07, 4b22 and 7902.
        let images = || {
            vec![image("a", "3"), image("b", "4"), image("c", "7"), image("also-c", "7"), image("4e", "4")]
        };
        let found = |name: &str| match names(images(), name) {
            Ok(images) => images.into_iter().map(|image| image.name).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(found("a"), "a");
        assert_eq!(found("4e"), "4e");
        assert_eq!(found("4e0"), "a");
        assert_eq!(found("sha256:79"), "c also-c");
        insta::assert_snapshot!(found("4"), @"`4` could be any of several images: `a`, `b`, `4e`");
        insta::assert_snapshot!(found(""), @"there is no image `` in the store");
        insta::assert_snapshot!(found("d\u{1b}[2J"), @"there is no image `d�[2J` in the store");
    }
}
