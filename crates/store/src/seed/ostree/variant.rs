//! The part of GVariant that ostree's objects are made of: strings, byte arrays, and tuples and arrays of these.
//!
//! A container ends with offsets that say where its members end, as wide as its length asks for, little-endian. The
//! offsets of a tuple come in reverse order and leave out the last member. See "GVariant Specification", 2.3 to 2.5.

/// Returns how many bytes an offset into a container of `len` bytes takes.
fn offset_width(len: usize) -> usize {
    match len as u64 {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Reads the offset at `at`.
fn offset(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    usize::try_from(value).ok()
}

/// Reads the offset that is the `number`th from the end: in a tuple, where its `number`th member of variable size ends.
pub(super) fn offset_from_end(bytes: &[u8], number: usize) -> Option<usize> {
    let width = offset_width(bytes.len());
    offset(bytes, bytes.len().checked_sub(width.checked_mul(number.checked_add(1)?)?)?, width)
}

/// Takes a tuple apart whose `N` members are all of variable size and aligned to one byte.
pub(super) fn tuple<const N: usize>(bytes: &[u8]) -> Option<[&[u8]; N]> {
    let offsets = N.checked_sub(1)?;
    let content_len = bytes.len().checked_sub(offset_width(bytes.len()).checked_mul(offsets)?)?;
    let mut members = [[].as_slice(); N];
    let mut start = 0;
    for (number, member) in members.iter_mut().enumerate() {
        let end = if number < offsets { offset_from_end(bytes, number)? } else { content_len };
        *member = bytes.get(..content_len)?.get(start..end)?;
        start = end;
    }
    Some(members)
}

/// Takes the NUL off the end of a string.
pub(super) fn string(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_suffix(&[0])
}

/// An array whose elements are of variable size and aligned to one byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Array<'a> {
    bytes: &'a [u8],
    width: usize,
    /// Where the last element ends, and the offsets start.
    elements_len: usize,
}

impl<'a> Array<'a> {
    /// Takes the bytes of an array; `None` when its offsets cannot be.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let width = offset_width(bytes.len());
        if bytes.is_empty() {
            return Some(Self { bytes, width, elements_len: 0 });
        }
        let elements_len = offset_from_end(bytes, 0)?;
        let offsets_len = bytes.len().checked_sub(elements_len)?;
        (offsets_len > 0 && offsets_len.is_multiple_of(width)).then_some(Self { bytes, width, elements_len })
    }

    /// Counts the elements.
    pub(super) fn len(&self) -> usize {
        (self.bytes.len() - self.elements_len) / self.width
    }

    /// Returns an element; `None` when there is none, or its offsets cannot be.
    pub(super) fn get(&self, number: usize) -> Option<&'a [u8]> {
        let start = match number.checked_sub(1) {
            Some(before) => self.end_of(before)?,
            None => 0,
        };
        self.bytes.get(..self.elements_len)?.get(start..self.end_of(number)?)
    }

    fn end_of(&self, number: usize) -> Option<usize> {
        let at = number.checked_mul(self.width)?.checked_add(self.elements_len)?;
        offset(self.bytes, at, self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tuple_has_its_offsets_at_its_end_in_reverse_order() {
        assert_eq!(tuple(b"one\0two\x07\x04"), Some([b"one\0".as_slice(), b"two", b""]));
        assert_eq!(tuple(b"one\0two"), Some([b"one\0two".as_slice()]));
        for damaged in [b"one\0two\x03\x04".as_slice(), b"\x09\x01", b"\x01", b""] {
            assert_eq!(tuple::<3>(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn an_array_has_the_ends_of_its_elements_at_its_end() {
        let array = Array::parse(b"abbccc\x01\x03\x06").unwrap();
        assert_eq!(array.len(), 3);
        assert_eq!((array.get(0), array.get(2)), (Some(b"a".as_slice()), Some(b"ccc".as_slice())));
        assert_eq!(array.get(3), None);
        assert_eq!(Array::parse(b"").unwrap().len(), 0);
        assert!(Array::parse(b"ab\x03").is_none());
        assert!(Array::parse(b"ab\xff").is_none());
    }

    #[test]
    fn long_containers_have_wide_offsets() {
        let long = [vec![b'x'; 300], vec![0x2c, 0x01]].concat();
        assert_eq!(Array::parse(&long).unwrap().get(0).map(<[u8]>::len), Some(300));
        assert_eq!(tuple(&long), Some([&[b'x'; 300], [].as_slice()]));
    }
}
