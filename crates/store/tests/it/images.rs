use crate::sample::{Place, borrowed, image, layer};

#[test]
fn images_are_found_by_name_and_by_digest() {
    let place = Place::new();
    let images = place.store.images();
    assert_eq!(images.list().unwrap(), []);
    let (record, _) = layer(&[b"one"]);
    let (one, one_documents) = image("example.org/one:1", &[record.toc_digest]);
    let (two, two_documents) = image("example.org/two:1", &[]);
    images.put(&one, &borrowed(&one_documents)).unwrap();
    images.put(&two, &borrowed(&two_documents)).unwrap();
    images.put(&one, &borrowed(&one_documents)).unwrap();
    assert_eq!(images.list().unwrap(), [one.clone(), two.clone()]);
    assert_eq!(images.find("example.org/one:1").unwrap(), one);
    assert_eq!(images.find(&two.config.0.hex()[..12]).unwrap(), two);
    assert_eq!(images.document(&one.manifest).unwrap().unwrap(), one_documents[0].1);
    assert!(images.remove(&one.name).unwrap());
    assert!(!images.remove(&one.name).unwrap());
    assert_eq!(images.list().unwrap(), [two]);
}
