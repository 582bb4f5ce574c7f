//! What the fuzz targets do with an input. The tests of `morsel-containers-storage` include this file to replay the corpora.

use morsel_containers_storage::record::{ContainerRecord, ImageRecord, LayerRecord, ParentRecord, list};

/// What a target does with an input; it panics when it finds something.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 2] = [("layers", layers), ("engine_lists", engine_lists)];

/// The list of published layers: what was read is read again as the same, and every ID can be part of a path.
pub fn layers(input: &[u8]) {
    let Ok(layers) = list::<LayerRecord>(input) else { return };
    let json = serde_json::to_vec(&layers).expect("records can be written");
    assert_eq!(list::<LayerRecord>(&json).expect("what was written can be read"), layers);
    for layer in layers {
        assert!(layer.id.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}

/// The lists of engines: whatever they are, they are read or refused.
pub fn engine_lists(input: &[u8]) {
    let _ = list::<ParentRecord>(input);
    let _ = list::<ImageRecord>(input);
    let _ = list::<ContainerRecord>(input);
}
