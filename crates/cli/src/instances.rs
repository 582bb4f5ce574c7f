//! What stands behind a reference beside images.

use registry::Descriptor;

/// Says of what an index lists why there is nothing more to say about it.
pub(crate) fn not_images(absent: &[Descriptor], other: &[Descriptor]) -> String {
    let line = |descriptor: &Descriptor, why: &str| {
        let platform =
            descriptor.platform.as_ref().map(|platform| format!("{platform} ")).unwrap_or_default();
        format!("{platform}{}: {why}\n", descriptor.digest)
    };
    let absent = absent.iter().map(|descriptor| line(descriptor, "not there, the index is sparse"));
    let other = other.iter().map(|descriptor| line(descriptor, "not an image"));
    absent.chain(other).collect()
}
