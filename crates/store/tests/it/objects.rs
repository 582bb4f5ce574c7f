use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use chunked::ContentDigest;

use crate::sample::{Place, files};

#[test]
fn what_was_put_is_read_back_and_named_by_its_digest() {
    let place = Place::new();
    let objects = place.store.objects();
    let digest = ContentDigest::of(b"content");
    assert_eq!(objects.len_of(&digest).unwrap(), None);
    assert!(objects.open(&digest).unwrap().is_none());
    assert!(objects.put(&digest, b"content").unwrap());
    assert!(!objects.put(&digest, b"content").unwrap());
    assert_eq!(objects.len_of(&digest).unwrap(), Some(7));
    let mut read = String::new();
    objects.open(&digest).unwrap().unwrap().read_to_string(&mut read).unwrap();
    assert_eq!(read, "content");

    let path = place.root().join("objects/ed/7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o400);
    assert_eq!(files(&place.root().join("tmp")), [""; 0]);
}

#[test]
fn objects_come_in_pieces_with_holes() {
    let place = Place::new();
    let objects = place.store.objects();
    let mut staged = objects.stage().unwrap();
    staged.write_all(b"start").unwrap();
    staged.write_all_at(b"middle", 10).unwrap();
    staged.set_len(20).unwrap();
    let digest = ContentDigest::of(b"start\0\0\0\0\0middle\0\0\0\0");
    assert!(staged.commit(&digest).unwrap());
    assert_eq!(objects.len_of(&digest).unwrap(), Some(20));
    drop(objects.stage().unwrap());
    assert!(!objects.stage().unwrap().commit(&digest).unwrap());
    assert_eq!(files(&place.root().join("objects")).len(), 1);
}
