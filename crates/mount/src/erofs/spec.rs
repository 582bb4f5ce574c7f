//! What an EROFS image of ours consists of. Documentation only.
//!
//! The format is that of Linux, `fs/erofs/erofs_fs.h` and `Documentation/filesystems/erofs.rst`; this is the part of it
//! that we write, all of which Linux reads since 5.15. Numbers are little-endian. A block has 4096 bytes.
//!
//! # Places
//!
//! | from | what |
//! |---|---|
//! | byte 1024 | the superblock, 128 bytes |
//! | block 1 | inodes, the root first, then level by level, each directory's children in the order of their names |
//! | next block | attributes that several files share |
//! | next block | blocks of directories and of long symbolic links, in the order of the inodes |
//!
//! What is between is zeros. The root is first because the superblock has only 16 bits for its number.
//!
//! # Superblock
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `0xE0F5E1E2` |
//! | 4 | 4 | CRC-32C, not inverted at the end, of the block from byte 1024 on, with these four bytes zero |
//! | 8 | 4 | compatible features: 1, there is a checksum, and 2, times are those of modification |
//! | 12 | 1 | 12: a block has 2^12 bytes |
//! | 14 | 2 | number of the root, 128 |
//! | 16 | 8 | number of inodes |
//! | 36 | 4 | number of blocks |
//! | 40 | 4 | 0: inode numbers count from the start of the image |
//! | 44 | 4 | the block where shared attributes start |
//! | 48 | 16 | UUID |
//! | 80 | 4 | incompatible features: 4, there are files of chunks |
//!
//! Everything else is zero.
//!
//! # Inodes
//!
//! The number of an inode is where it starts, divided by 32. It has 64 bytes, then come its attributes, then its data if
//! that is short.
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 2 | 1, that is 64 bytes, plus twice the layout |
//! | 2 | 2 | n, for 12 + 4 * (n - 1) bytes of attributes; 0 for none |
//! | 4 | 2 | type and permissions, as `st_mode` |
//! | 8 | 8 | size |
//! | 16 | 4 | depends on the layout; the device, as Linux encodes it, of a device |
//! | 20 | 4 | which inode of the image it is, from 1; only for 32-bit systems |
//! | 24 | 4 | owner |
//! | 28 | 4 | group |
//! | 32 | 8 | seconds since 1970 of last modification, signed |
//! | 40 | 4 | nanoseconds |
//! | 44 | 4 | number of names; for a directory 2 and the number of directories in it |
//!
//! | layout | for | what it is |
//! |---|---|---|
//! | 0, plain | devices, pipes, empty files; directories and links that do not end in the inode | data in blocks; at 16, the first |
//! | 2, inline | directories and links whose last block, not filled, fits | full blocks as in 0, the rest after the attributes |
//! | 4, chunks | files with content | at 16, binary logarithm of the blocks of a chunk; after the attributes, 4 bytes for each chunk, `0xFFFFFFFF`: a hole |
//!
//! The chunk is the smallest that holds the whole file, up to 2^31 blocks, 8 TiB. What is inline does not cross the end
//! of a block; where it would, the inode starts in the next block.
//!
//! # Directories
//!
//! Entries, `.` and `..` among them, are sorted by the bytes of their names, and fill one block after another. A block
//! has 12 bytes for each entry, then the names, one after another: inode number (8 bytes), where in the block the name
//! starts (2), type as in `linux/fs_types.h` (1), 0 (1). A name ends where the next one starts, the last one with a zero
//! or the end of the data.
//!
//! # Attributes
//!
//! In the inode: 4 zeros, the number of shared ones (1 byte), 7 zeros, the places of the shared ones (4 bytes each:
//! distance from the start of their blocks, divided by 4), then the others. Each attribute, shared or not: length of the
//! name without its prefix (1), prefix (1), length of the value (2), name, value, zeros up to 4 bytes.
//!
//! | prefix | |
//! |---|---|
//! | 1 | `user.` |
//! | 2 | `system.posix_acl_access`, no more name |
//! | 3 | `system.posix_acl_default`, no more name |
//! | 4 | `trusted.` |
//! | 6 | `security.` |
//!
//! Attributes are shared when several inodes have them, or one does not fit. Left out are `security.selinux`, for labels
//! are the business of the machine; names without one of the prefixes, and values beyond 65535 bytes, which EROFS has no
//! room for.
//!
//! # Content
//!
//! A file with content has two more attributes, in [the form](super::Form) of the image: `overlay.metacopy`, empty, and
//! `overlay.redirect`, `/aa/<62 hex>`, the path of the object below a directory of objects. Attributes of overlayfs that
//! layers bring never come here: [`store::tree`] leaves them out.
//!
//! A character device 0:0 is a whiteout to overlayfs, so one that a layer brings is in the image and not in the mount.
