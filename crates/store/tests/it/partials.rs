use chunked::ContentDigest;
use chunked::estimate::Known;
use std::os::unix::fs::FileExt;

use crate::sample::{Place, chunks, files};

#[test]
fn chunks_survive_the_process_and_become_an_object() {
    let place = Place::new();
    let content = b"0123456789abcdefghijklm";
    let digest = ContentDigest::of(content);
    let chunks = chunks(content, 10);
    let partials = place.store.partials();
    {
        let partial = partials.open(&digest, &chunks).unwrap().unwrap();
        partial.write(1, 10, b"abcde").unwrap();
        assert!(!partial.has(1));
        assert_eq!(
            partials.marks(&digest, &chunks).unwrap().unwrap(),
            [false; 3],
            "marks are read while the file is open"
        );
        partial.write(1, 15, b"fghij").unwrap();
        partial.write(0, 0, b"xxxxxxxxxx").unwrap();
        partial.forget(0).unwrap();
    }
    assert_eq!(partials.marks(&digest, &chunks).unwrap().unwrap(), [false, true, false]);
    assert!(
        place.store.has_chunks(&digest, &chunks).unwrap()[1]
            && !place.store.has_content(&digest, 23).unwrap()
    );
    let partial = partials.open(&digest, &chunks).unwrap().unwrap();
    assert_eq!([0, 1, 2, 3].map(|chunk| partial.has(chunk)), [false, true, false, false]);
    partial.write(0, 0, &content[..10]).unwrap();
    partial.write(2, 20, &content[20..]).unwrap();
    let mut whole = [0; 23];
    partial.file().read_exact_at(&mut whole, 0).unwrap();
    assert_eq!(&whole, content);
    partial.commit().unwrap();
    assert_eq!(place.store.objects().len_of(&digest).unwrap(), Some(23));
    assert_eq!(files(&place.root().join("partial")), [""; 0]);
    assert!(partials.open(&digest, &chunks).unwrap().is_none());
    assert_eq!(partials.marks(&digest, &chunks).unwrap(), None);
    assert_eq!(files(&place.root().join("partial")), [""; 0]);
}
