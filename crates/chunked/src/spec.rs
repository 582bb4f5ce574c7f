//! The zstd:chunked format as this crate reads and writes it. Documentation only.
//!
//! # The blob
//!
//! A zstd:chunked layer is a `.tar.zst` to everyone: the frames, decoded one after another, are the tar. What makes it
//! more is where frames are cut, and three skippable frames at the end.
//!
//! ```text
//! headers of the first members             a frame
//! file 1, chunk 1                          a frame   <- the file's `offset`
//! file 1, chunk 2                          a frame
//!                                                    <- the file's `endOffset`
//! padding of file 1, headers up to file 2  a frame
//! file 2, its only chunk                   a frame
//! ...
//! padding of the last file, end of tar     a frame
//! 50 2a 4d 18 | length | TOC               skippable
//! 50 2a 4d 18 | length | tar-split         skippable
//! 50 2a 4d 18 | 64     | footer            skippable
//! ```
//!
//! - Headers and padding never share a frame with content. Members without content (directories, links, devices, empty
//!   files, whiteouts) are headers, and stay in the frame of headers they come in.
//! - Content is cut by [`chunker`](crate::chunker). Every chunk is a frame that decodes to the chunk and nothing else. A
//!   hole is a chunk as well, with a frame of its zeros, for decoders that know nothing of TOCs.
//! - All positions point after the 8 bytes of a skippable frame's header. Numbers are little endian.
//!
//! # The TOC
//!
//! One zstd frame of JSON: `version` (1), `entries` in tar order, `tarSplitDigest`. An entry has the fields of a tar
//! header, for content also `digest` (of the whole file), `offset` and `endOffset`. A file of several chunks has
//! `chunkSize` and `chunkDigest` for its first one, and a row of type `chunk` for each other one; see
//! [`toc::Writer`](crate::toc::Writer) for the fields and [`entry`](crate::entry) for what they mean.
//!
//! # The tar-split
//!
//! One zstd frame of JSON, an object a line: the tar without content. Type 2 is a segment of raw bytes, type 1 stands for
//! the content of a file and holds its CRC-64. Put together with the files it gives the tar back, and so the diff ID;
//! see [`tar_split`](crate::tar_split).
//!
//! # The footer and the annotations
//!
//! Both say where TOC and tar-split are: offset, compressed length, length, and for the TOC its type, 1. The footer is
//! for tools that have only the blob, and nothing vouches for it. The annotations of the layer's descriptor are vouched for by the
//! manifest, and hold the digest of the compressed TOC:
//!
//! | annotation, after `io.github.containers.zstd-chunked.` | value |
//! |---|---|
//! | `manifest-checksum` | digest of the compressed TOC |
//! | `manifest-position` | `offset:compressed length:length:1` |
//! | `tarsplit-position` | `offset:compressed length:length` |
//!
//! # What vouches for what
//!
//! The manifest's digest vouches for its annotations, `manifest-checksum` for the TOC, `tarSplitDigest` for the tar-split,
//! the digests in the TOC for chunks and files, and the diff ID in the image config for the whole tar. TOC, tar-split and
//! tar must agree in every field, or a client that reads one would install something else than a client that reads
//! another: [`audit`](crate::audit).
//!
//! # Dialects
//!
//! Older and other writers differ; [`Dialect`](crate::Dialect) lists them, [`footer`](crate::footer) and
//! [`annotations`](crate::annotations) tell them apart. This crate writes the current one of containers/storage only.
