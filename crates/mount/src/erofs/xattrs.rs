//! Extended attributes: those of the tree, and those that tell overlayfs where content is.

use std::collections::BTreeMap;

use chunked::ContentDigest;
use store::objects;
use store::tree::{Kind, Node, Tree, Xattr};

use super::Form;
use super::blocks::align;

/// Bytes before the attributes of an inode.
const HEADER_LEN: u64 = 12;
/// Attributes are aligned to this many bytes, and counted in them.
const UNIT: u64 = 4;
/// Most bytes of attributes of an inode: 16 bits count them.
const LEN_MAX: u64 = HEADER_LEN + (u16::MAX as u64 - 1) * UNIT;
/// Most shared attributes of an inode.
const SHARED_MAX: usize = u8::MAX as usize;
/// Values from this length on are not put into the inode, so that it stays short.
const LONG: usize = 1024;

/// The attribute with the labels of SELinux: the policy of the machine says what they are.
const SECURITY_LABEL: &str = "security.selinux";

/// Prefixes of names, and the numbers that stand for them.
const PREFIXES: [(&str, u8); 5] = [
    ("user.", 1),
    ("system.posix_acl_access", 2),
    ("system.posix_acl_default", 3),
    ("trusted.", 4),
    ("security.", 6),
];

/// An attribute as EROFS has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute<'a> {
    prefix: u8,
    /// The name without the prefix, at most 255 bytes.
    name: &'a str,
    /// At most 65535 bytes.
    value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Returns what becomes of an attribute of the tree; `None` when it is left out.
    fn of(xattr: &'a Xattr) -> Option<Self> {
        if &*xattr.name == SECURITY_LABEL {
            return None;
        }
        let (prefix, name) = PREFIXES.iter().find_map(|(text, prefix)| {
            let name = xattr.name.strip_prefix(text)?;
            // A whole name is followed by nothing, a prefix by something.
            (name.is_empty() != text.ends_with('.')).then_some((*prefix, name))
        })?;
        let fits = name.len() <= usize::from(u8::MAX) && xattr.value.len() <= usize::from(u16::MAX);
        fits.then_some(Self { prefix, name, value: &xattr.value })
    }

    fn len(&self) -> u64 {
        align(4 + self.name.len() as u64 + self.value.len() as u64, UNIT)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.len() as usize;
        out.extend([self.name.len() as u8, self.prefix]);
        out.extend((self.value.len() as u16).to_le_bytes());
        out.extend(self.name.as_bytes());
        out.extend(self.value);
        out.resize(end, 0);
    }
}

/// The attributes that several inodes refer to.
#[derive(Debug)]
pub(super) struct Shared<'t> {
    form: Form,
    /// Where each is among them, in bytes.
    places: BTreeMap<Attribute<'t>, u64>,
    /// Where the one is that every file with content has.
    metacopy: Option<u64>,
    len: u64,
}

impl<'t> Shared<'t> {
    /// Finds the attributes that more than one inode has, or that are long.
    pub(super) fn of(tree: &'t Tree, form: Form) -> Self {
        let mut uses = BTreeMap::new();
        // Every file with content has it.
        uses.insert(form.metacopy(), 2_u64);
        for attribute in tree.nodes().flat_map(|(_, node)| attributes(node)) {
            let is_long = attribute.value.len() >= LONG;
            *uses.entry(attribute).or_insert(0) += if is_long { 2 } else { 1 };
        }
        let (mut places, mut len) = (BTreeMap::new(), 0);
        for (attribute, _) in uses.into_iter().filter(|(_, uses)| *uses > 1) {
            places.insert(attribute, len);
            len += attribute.len();
        }
        let metacopy = places.get(&form.metacopy()).copied();
        Self { form, places, metacopy, len }
    }

    /// Bytes of them.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Returns their bytes, one attribute after another.
    pub(super) fn encode(&self) -> impl Iterator<Item = Vec<u8>> {
        self.places.keys().map(|attribute| {
            let mut bytes = Vec::new();
            attribute.encode(&mut bytes);
            bytes
        })
    }

    /// Returns the attributes of an inode; `None` when there are too many.
    pub(super) fn split(&self, node: &'t Node) -> Option<Xattrs<'t>> {
        let mut xattrs = Xattrs { form: self.form, shared: Vec::new(), own: Vec::new(), redirect: None };
        if let Kind::File(Some(content)) = &node.kind {
            xattrs.redirect = Some(content.digest);
            xattrs.shared.extend(self.metacopy);
        }
        for attribute in attributes(node) {
            match self.places.get(&attribute) {
                Some(place) if xattrs.shared.len() < SHARED_MAX => xattrs.shared.push(*place),
                _ => xattrs.own.push(attribute),
            }
        }
        (xattrs.len() <= LEN_MAX).then_some(xattrs)
    }
}

fn attributes(node: &Node) -> impl Iterator<Item = Attribute<'_>> {
    node.metadata.xattrs.iter().filter_map(Attribute::of)
}

impl Form {
    fn prefix(self) -> u8 {
        match self {
            Self::Trusted => 4,
            Self::User => 1,
        }
    }

    /// Tells overlayfs that the content of a file is elsewhere.
    fn metacopy(self) -> Attribute<'static> {
        Attribute { prefix: self.prefix(), name: "overlay.metacopy", value: &[] }
    }
}

/// The attributes of one inode.
#[derive(Debug)]
pub(super) struct Xattrs<'t> {
    form: Form,
    /// Where each is among the shared ones, in bytes.
    shared: Vec<u64>,
    own: Vec<Attribute<'t>>,
    /// Where the content is.
    redirect: Option<ContentDigest>,
}

impl Xattrs<'_> {
    /// Bytes of them in the inode.
    pub(super) fn len(&self) -> u64 {
        // The length of a redirect does not depend on the digest.
        const REDIRECT_LEN: u64 = 4 + "overlay.redirect".len() as u64 + 1 + objects::PATH_LEN as u64;
        let redirect = self.redirect.map_or(0, |_| align(REDIRECT_LEN, UNIT));
        let own: u64 = self.own.iter().map(Attribute::len).sum();
        match self.shared.len() as u64 * UNIT + own + redirect {
            0 => 0,
            len => HEADER_LEN + len,
        }
    }

    /// Returns the number that stands for their length.
    pub(super) fn count(&self) -> u16 {
        match self.len() {
            0 => 0,
            len => ((len - HEADER_LEN) / UNIT + 1) as u16,
        }
    }

    /// Adds their bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if self.len() == 0 {
            return;
        }
        out.extend([0, 0, 0, 0, self.shared.len() as u8, 0, 0, 0, 0, 0, 0, 0]);
        for place in &self.shared {
            out.extend(((place / UNIT) as u32).to_le_bytes());
        }
        if let Some(digest) = &self.redirect {
            let mut path = objects::path_of(digest);
            path.insert(0, '/');
            let prefix = self.form.prefix();
            Attribute { prefix, name: "overlay.redirect", value: path.as_bytes() }.encode(out);
        }
        for attribute in &self.own {
            attribute.encode(out);
        }
    }
}
