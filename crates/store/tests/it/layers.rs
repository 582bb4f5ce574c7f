use morsel_store::LayerState;

use chunked::{BlobDigest, DiffId};

use crate::sample::{Place, files, layer};

#[test]
fn layers_are_found_by_blob_and_by_diff_id_and_replaced_as_a_whole() {
    let place = Place::new();
    let layers = place.store.layers();
    let (record, toc) = layer(&[b"one", b"a content of two chunks"]);
    assert_eq!(layers.find(&record.blob).unwrap(), None);
    layers.save(&record, &toc, Some(b"tar-split")).unwrap();
    assert_eq!(layers.find(&record.blob).unwrap().as_ref(), Some(&record));
    assert_eq!(layers.find_diff_id(&record.diff_id.unwrap()).unwrap().as_ref(), Some(&record));
    assert_eq!(layers.find(&BlobDigest::of(b"other")).unwrap(), None);
    assert_eq!(layers.find_diff_id(&DiffId::of(b"other")).unwrap(), None);
    assert_eq!(layers.toc(&record).unwrap().entries.len(), 2);
    assert_eq!(layers.tar_split(&record).unwrap().as_deref(), Some(b"tar-split".as_slice()));

    let complete = layers.set_state(&record, LayerState::Complete).unwrap();
    assert_eq!(layers.find(&record.blob).unwrap(), Some(complete));
    layers.save(&record, &toc, None).unwrap();
    assert_eq!(layers.tar_split(&record).unwrap(), None);
    assert_eq!(layers.list().unwrap(), [record.toc_digest]);
    assert_eq!(files(&place.root().join("tmp")), [""; 0]);
}
