//! The store on disk. Documentation only.
//!
//! # What is where
//!
//! | path | what |
//! |---|---|
//! | `format` | `morsel store 1`: what the rest is to be read as |
//! | `lock` | empty; every process that has the store open holds a lock on it |
//! | `dirty` | there while content may not be on disk; says of which boot |
//! | `objects/aa/<62 hex>` | complete file content, named by its SHA-256, mode 0400 |
//! | `partial/<64 hex>` | content in progress: a sparse file as long as the whole |
//! | `partial/<64 hex>.map` | which chunks of it are here |
//! | `layers/<hex>/` | a layer, named by the digest of its TOC |
//! | `layers/by-blob/<hex>`, `layers/by-diff-id/<hex>` | the TOC digest of the layer in a blob, or with a tar |
//! | `oci/` | an OCI image layout with manifests, indexes and configs, and no layers |
//! | `index/run-<16 hex>` | the dedup index |
//! | `index/seed-<8 hex>` | what the dedup index knows of the files of a seed |
//! | `chains/<hex>.erofs` | metadata of the merged tree of a chain of layers, for mounts by root |
//! | `chains/<hex>.tree/` | the same as files that are all hole, for kernels without EROFS |
//! | `chains/<hex>.user.tree/` | the same, for mounts in user namespaces |
//! | `mounts/<64 hex>.json` | what is mounted where |
//! | `tables/<hex>` | the contents of a layer by digest, for the daemon that serves what is missing |
//! | `lazy/`, `profiles/`, `quarantine/`, `run/` | the daemon's; it says what is in them |
//! | `locks/` | files that are locked: one for each layer being pulled, `images`, `index`, `seeds`, `sync` |
//! | `tmp/` | what is being made |
//!
//! `layers/`, `oci/`, `chains/`, `tables/` and `profiles/` are made with mode 0700: what is in private images is for nobody else to
//! see. Later changes of their modes stay.
//!
//! `<hex>` has 64 digits for SHA-256 and 128 for SHA-512. Numbers in binary files are little-endian. Everything is
//! read with limits, and as if another user might have written it. There are no symbolic links, and none is followed.
//!
//! # Objects
//!
//! An object gets its name when all its bytes are written and were hashed by whoever wrote them; it never changes
//! after that. It is made as a file without a name and then linked, or, on file systems that cannot, under a
//! temporary name in `tmp/` and then renamed. One that is there already stays.
//!
//! # Partial files
//!
//! A map starts with `morselp\x02`, the SHA-256 of the chunk layout (for each chunk the offsets of its first byte and
//! of the byte after its last, 8 bytes each, its digest, or 32 zeros, and one byte, 1 for a chunk of zeros and else 0),
//! and in 40 bytes the boot ID in which its marks were made. Then one byte a chunk: 1 when the chunk is in the file. A
//! chunk that has a digest was verified. One that has none is relied on by nobody but the pull that brings it, and that
//! verifies the whole. Data is written first, then its mark, so the mark of a killed process tells the truth. After a
//! power loss it may not: marks of another boot are checked against the chunks' digests. A map of another layout,
//! another length, or without its file counts for nothing.
//! A complete file is renamed into `objects/`, then its map goes.
//!
//! # Layers
//!
//! | file | what |
//! |---|---|
//! | `record.json` | a [`LayerRecord`](crate::LayerRecord), and `tar_split`, the digest of that file |
//! | `toc` | the TOC as the blob has it |
//! | `tar-split` | the tar-split as the blob has it, compressed; not every layer has one |
//!
//! A layer is made in `tmp/` and renamed, in exchange for one that has the name. The files that lead to it are
//! replaced, and are hints: the record says what is true. `state` is what was verified:
//!
//! | state | says |
//! |---|---|
//! | `indexed` | TOC and tar-split are verified and consistent; content may be missing |
//! | `complete` | every content in the TOC is an object |
//! | `proven` | and the tar has the digest `diff_id` |
//!
//! # Images
//!
//! `oci/index.json` names them. An entry's descriptor is that of the index or manifest its name stands for, with the
//! annotations `org.opencontainers.image.ref.name`, the name; `sh.morsel.manifest` and `sh.morsel.config`, digests of
//! the manifest that was chosen and of its config; `sh.morsel.platform`; and `sh.morsel.layers`, the TOC digests of
//! its layers, the lowest first, with blanks in between. Entries without them belong to others, and stay.
//!
//! # The dedup index
//!
//! Runs of rows that are sorted by what a content's digest begins with, and then by whose file it is in; `index/run.rs` says how
//! they lie in a file, and `index/merge.rs` how many there are.
//!
//! The number of a seed is that in the name of its catalog `index/seed-<8 hex>`, which lists its files:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `morsels\x01` |
//! | 8 | when the files were listed, in nanoseconds since 1970; 0 when their rows were lost |
//! | 8 | where the table starts |
//! | 4 | length of the seed's name |
//! | 4 | number of files, and of entries of the table |
//! | | the seed's name: `KIND:PATH` |
//! | | for each file: 32 bytes of its digest; length, mtime, ctime and inode, 8 each; length of its path, 2; the path |
//! | 8 each | the table: where each file is; 0 for one that is gone |
//!
//! Runs with higher numbers are newer, and are asked first. Everything in the index is a hint, and what it leads to is
//! hashed. A run that is damaged, or that others can write to, is not used, and goes away when the next one is written; all
//! files of all seeds then have to be hashed again, as nobody knows which rows it had.
//!
//! # Chains and mounts
//!
//! What is in `chains/` is named by the [`ChainId`](crate::ChainId), synced before it gets its name, and never changed. It
//! can be made again from the TOCs. The files are for root alone: what they say only makes sense through an overlay.
//!
//! A [`MountRecord`](crate::MountRecord) is named by the SHA-256 of the directory's path. It is written before the mount is
//! made, and removed after it is gone; all that its image needs is kept as long as it is there.
//!
//! # Locks
//!
//! All are `flock` locks, so they end with the process. Whoever takes several takes them in this order:
//!
//! 1. `lock`: shared by all who have the store open, exclusive for garbage collection, repair and recovery.
//! 2. `locks/<hex of the blob's digest>`: one layer is pulled by one process. Several in the order of the digests.
//! 3. `partial/<hex>.map`: one partial file is written by one process. Whoever waits for one while holding another
//!    must be sure that no one does the opposite.
//! 4. `locks/seeds`: while it is changed which seeds there are, or what is known of their files.
//! 5. `locks/images`, `locks/index`: while the list or the runs are changed. They are held briefly, never together.
//! 6. `locks/sync`: while what others wrote is put on disk.
//! 7. `dirty`: shared while there is unsynced content. It is never waited for but by whoever starts to write.
//!
//! A file that is locked may be removed by its holder; whoever waited for it notices, and starts over.
//!
//! # What crashes do
//!
//! A killed process loses nothing of what it wrote; the kernel has it. What it leaves behind has a temporary name, or
//! is a partial file, or is something no image names: [`gc`](mod@crate::gc) removes it.
//!
//! A power loss may take what was not synced, and no object is synced by itself: that would take longer than all the
//! rest. So `dirty` is put on disk, with the ID of the boot, before the first content of a process is written, and
//! removed after everything was synced and no other process writes. A pull need not wait for that, which is a quarter of
//! its time on a fast link: another process does it, or the next one that syncs, and until then the marker stays. Whoever opens a store and finds the marker of
//! another boot takes the store for itself, hashes the objects that were made or changed since a day before the
//! marker was, checks the layers, and removes or takes back what turns out wrong, before anyone relies on it. The day
//! is for clocks that are set back after the start. Manifests, the list of images and changed records are synced one
//! by one.
