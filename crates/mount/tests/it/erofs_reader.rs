//! Reads EROFS images, as the kernel's documentation has the format. It shares no code with the writer, and is as strict
//! as it can be.

use std::collections::BTreeMap;

/// What is known of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) number: u64,
    pub(crate) mode: u16,
    pub(crate) size: u64,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: (i64, u32),
    pub(crate) links: u32,
    /// The device, or 0.
    pub(crate) device: u32,
    /// The target of a link.
    pub(crate) target: Vec<u8>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// An image in memory.
pub(crate) struct Reader<'a> {
    image: &'a [u8],
    shared: usize,
}

const BLOCK: usize = 4096;

impl<'a> Reader<'a> {
    /// Checks the superblock, and returns what all paths lead to, the root by the empty path.
    pub(crate) fn read(image: &'a [u8]) -> BTreeMap<Vec<u8>, Facts> {
        assert_eq!(image.len() % BLOCK, 0);
        let sb = &image[1024..1152];
        assert_eq!(u32_at(sb, 0), 0xE0F5_E1E2);
        let mut block = image[1024..BLOCK].to_vec();
        block[4..8].fill(0);
        assert_eq!(u32_at(sb, 4), crc32c(&block));
        assert_eq!(sb[12], 12);
        assert_eq!(u32_at(sb, 36) as usize, image.len() / BLOCK);
        assert_eq!(u32_at(sb, 40), 0, "inodes count from the start");
        assert_eq!(u32_at(sb, 80), 4);
        let reader = Self { image, shared: u32_at(sb, 44) as usize * BLOCK };
        let mut found = BTreeMap::new();
        let root = u64::from(u16_at(sb, 14));
        reader.visit(root, root, Vec::new(), &mut found);
        let numbers: std::collections::BTreeSet<_> = found.values().map(|facts| facts.number).collect();
        assert_eq!(u64_at(sb, 16), numbers.len() as u64, "number of inodes");
        found
    }

    fn visit(&self, number: u64, parent: u64, path: Vec<u8>, found: &mut BTreeMap<Vec<u8>, Facts>) {
        let (facts, data) = self.inode(number);
        let kind = facts.mode & 0o170_000;
        found.insert(path.clone(), facts);
        if kind != 0o040_000 {
            return;
        }
        let mut last: Option<Vec<u8>> = None;
        for block in data.chunks(BLOCK) {
            let count = usize::from(u16_at(block, 8)) / 12;
            for index in 0..count {
                let entry = &block[index * 12..];
                let start = usize::from(u16_at(entry, 8));
                let end = match index + 1 < count {
                    true => usize::from(u16_at(block, (index + 1) * 12 + 8)),
                    false => block[start..]
                        .iter()
                        .position(|byte| *byte == 0)
                        .map_or(block.len(), |len| start + len),
                };
                let name = block[start..end].to_vec();
                assert!(last.as_ref().is_none_or(|last| *last < name), "names are sorted");
                last = Some(name.clone());
                let child = u64_at(entry, 0);
                match name.as_slice() {
                    b"." => assert_eq!(child, number),
                    b".." => assert_eq!(child, parent),
                    _ => {
                        let mut path = path.clone();
                        if !path.is_empty() {
                            path.push(b'/');
                        }
                        path.extend(&name);
                        self.visit(child, number, path.clone(), found);
                        let types = [0, 0o10, 0o4, 0o2, 0o6, 0o1, 0o14, 0o12];
                        assert_eq!(
                            types[usize::from(entry[10])],
                            found[&path].mode >> 12,
                            "type of the entry"
                        );
                    }
                }
            }
        }
    }

    fn inode(&self, number: u64) -> (Facts, Vec<u8>) {
        let at = number as usize * 32;
        let inode = &self.image[at..at + 64];
        let format = u16_at(inode, 0);
        assert_eq!(format & 1, 1, "64 bytes");
        let xattrs_len = match u16_at(inode, 2) {
            0 => 0,
            count => 12 + 4 * (usize::from(count) - 1),
        };
        let size = u64_at(inode, 8);
        let specific = u32_at(inode, 16);
        let mode = u16_at(inode, 4);
        let is_device = matches!(mode >> 12, 0o2 | 0o6);
        let rest = at + 64 + xattrs_len;
        let data = match format >> 1 {
            0 if size == 0 => Vec::new(),
            0 => self.image[specific as usize * BLOCK..][..size as usize].to_vec(),
            2 => {
                let full = size as usize / BLOCK * BLOCK;
                let tail = size as usize - full;
                assert_eq!(rest / BLOCK, (rest + tail - 1) / BLOCK, "what is inline is in one block");
                let start = if full == 0 { 0 } else { specific as usize * BLOCK };
                [&self.image[start..start + full], &self.image[rest..rest + tail]].concat()
            }
            4 => {
                let chunk = (BLOCK as u64) << (specific & 31);
                for index in 0..size.div_ceil(chunk) as usize {
                    assert_eq!(u32_at(self.image, rest + 4 * index), u32::MAX, "a hole");
                }
                Vec::new()
            }
            layout => panic!("layout {layout}"),
        };
        let facts = Facts {
            number,
            mode,
            size,
            owner: (u32_at(inode, 24), u32_at(inode, 28)),
            modified: (u64_at(inode, 32) as i64, u32_at(inode, 40)),
            links: u32_at(inode, 44),
            device: if is_device { specific } else { 0 },
            target: if mode >> 12 == 0o12 { data.clone() } else { Vec::new() },
            xattrs: self.xattrs(&self.image[at + 64..rest]),
        };
        (facts, data)
    }

    fn xattrs(&self, body: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut found = BTreeMap::new();
        if body.is_empty() {
            return found;
        }
        let mut at = 12;
        for _ in 0..body[4] {
            let place = self.shared + 4 * u32_at(body, at) as usize;
            let (name, value, _) = attribute(&self.image[place..]);
            assert!(found.insert(name, value).is_none());
            at += 4;
        }
        while at < body.len() {
            let (name, value, len) = attribute(&body[at..]);
            assert!(found.insert(name, value).is_none());
            at += len;
        }
        assert_eq!(at, body.len());
        found
    }
}

fn attribute(bytes: &[u8]) -> (Vec<u8>, Vec<u8>, usize) {
    let (name_len, value_len) = (usize::from(bytes[0]), usize::from(u16_at(bytes, 2)));
    let prefix: &[u8] = match bytes[1] {
        1 => b"user.",
        2 => b"system.posix_acl_access",
        3 => b"system.posix_acl_default",
        4 => b"trusted.",
        6 => b"security.",
        prefix => panic!("prefix {prefix}"),
    };
    let name = [prefix, &bytes[4..4 + name_len]].concat();
    let value = bytes[4 + name_len..][..value_len].to_vec();
    (name, value, (4 + name_len + value_len).next_multiple_of(4))
}

fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 })
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
