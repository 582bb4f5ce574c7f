//! Makes a layout of images for three platforms: image-set DIR COUNT
//!
//! Each image has a base layer of 8 MiB that all have for its platform, one of 2 MiB and one of 100 KiB of its own; half of
//! each is text, half does not compress.

use std::env;

use morsel_testkit::data;
use morsel_testkit::oci::Layout;
use morsel_testkit::tar::Tar;

const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64/v8", "linux/s390x"];

fn main() {
    let mut words = env::args().skip(1);
    let dir = words.next().expect("the first word is a directory");
    let count: u64 = words.next().and_then(|count| count.parse().ok()).expect("the second word is a number");
    let layout = Layout::create(dir);
    let tar = |seed: u64, len: usize| {
        let (text, noise) = (data::text(seed, len / 2), data::stream(seed, len / 2));
        Tar::new().file(format!("text/{seed}"), text).file(format!("noise/{seed}"), noise).finish()
    };
    let bases = [1, 2, 3].map(|seed| tar(seed, 8 << 20));
    for image in 0..count {
        let own = |platform: u64| {
            (tar(1000 + 10 * image + platform, 2 << 20), tar(5000 + 10 * image + platform, 100 << 10))
        };
        let owns = [own(0), own(1), own(2)];
        let layers: Vec<[&[u8]; 3]> =
            bases.iter().zip(&owns).map(|(base, (own, small))| [base.as_slice(), own, small]).collect();
        let images: Vec<(&str, &[&[u8]])> = PLATFORMS
            .into_iter()
            .zip(&layers)
            .map(|(platform, layers)| (platform, layers.as_slice()))
            .collect();
        layout.add_platforms(&format!("image-{image}"), &images);
    }
}
