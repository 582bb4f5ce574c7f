//! What layers are called.

use chunked::{DiffId, Digest};

use super::LayerId;

/// Characters of a link's name in `overlay/l`; as many as containers-storage takes, which keeps mount options short.
const LINK_LEN: usize = 26;

/// Base 32 of RFC 4648.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Returns the IDs of the layers of a chain, the lowest first: that of the lowest is its diff ID, and that of any other the
/// SHA-256 of `PARENT+DIFF_ID`, all of them without the name of the algorithm. Engines find a layer that they have by it.
pub fn chain_ids(diff_ids: &[DiffId]) -> Vec<LayerId> {
    let mut ids: Vec<LayerId> = Vec::new();
    for diff_id in diff_ids {
        let hex = match ids.last() {
            None => diff_id.0.hex(),
            Some(parent) => Digest::of(format!("{}+{}", parent.as_str(), diff_id.0.hex()).as_bytes()).hex(),
        };
        // A diff ID of SHA-512 is too long for an ID: there is no chain above it.
        match LayerId::try_from(hex) {
            Ok(id) => ids.push(id),
            Err(_) => return Vec::new(),
        }
    }
    ids
}

/// Returns the name of a layer's link in `overlay/l`. It only depends on the layer, so that one which is made anew is found
/// where it was.
pub fn link_name(id: &LayerId) -> String {
    let digest = Digest::of(id.as_str().as_bytes());
    let bytes: &[u8] = match &digest {
        Digest::Sha256(bytes) => bytes,
        Digest::Sha512(bytes) => bytes,
    };
    let digits = bytes.iter().cycle().take(LINK_LEN);
    digits.map(|byte| char::from(BASE32[usize::from(byte % 32)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_chain_are_those_of_the_engines() {
        let hex = |digit: &str| digit.repeat(64);
        let diff_id = |digit: &str| format!("sha256:{}", hex(digit)).parse().unwrap();
        let ids = chain_ids(&[diff_id("a"), diff_id("b")]);
        assert_eq!(ids[0].as_str(), hex("a"));
        // From the tests of the engines' own library.
        assert_eq!(ids[1].as_str(), "76f79efda453922cda1cecb6ec9e7cf9d86ea968c6dd199d4030dd00078a1686");
        assert_eq!(chain_ids(&[]), []);
    }

    #[test]
    fn links_are_named_by_their_layer() {
        let id = |digit: &str| LayerId::try_from(digit.repeat(64)).unwrap();
        let name = link_name(&id("a"));
        assert_eq!(name.len(), LINK_LEN);
        assert!(name.bytes().all(|byte| BASE32.contains(&byte)));
        assert_eq!(name, link_name(&id("a")));
        assert_ne!(name, link_name(&id("b")));
    }
}
