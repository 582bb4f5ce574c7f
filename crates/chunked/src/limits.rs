//! Bounds on what a parser of outside bytes accepts.

/// Bounds that every parser of this crate is given. Nothing is allocated from a number that an input claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a compressed TOC. Default 150 MiB, as the reference puller (containers/storage) allows.
    pub toc_blob_len: u64,
    /// Bytes of a TOC's JSON, counted while it is decompressed: stops a small bomb. Default 1 GiB.
    pub toc_len: u64,
    /// Bytes of a compressed tar-split. Default 150 MiB.
    pub tar_split_blob_len: u64,
    /// Bytes of a tar-split's JSON, counted while it is decompressed. Default 4 GiB.
    pub tar_split_len: u64,
    /// Bytes of one record of a tar-split. Default 16 MiB: writers put one member's header, or at most 1 MiB of what follows
    /// the last member, into a record.
    pub tar_split_record_len: u64,
    /// Entries of a TOC, files and chunks together: stops memory exhaustion by tiny rows. Default 4 million.
    pub entries: u64,
    /// Extended attributes of one entry. Default 1000: file systems take names of 64 KiB together, which no image uses up.
    pub attributes: u64,
    /// Bytes of one entry's extended attributes, names and values together. Default 1 MiB, as of a tar's headers.
    pub attributes_len: u64,
    /// Extended attributes of all entries of a TOC together, each of which takes many times its bytes in memory. Default 8
    /// million: two for each entry there may be.
    pub toc_attributes: u64,
    /// Bytes of one name, link name, or extended attribute. Default 64 KiB, the kernel's bound on attribute values.
    pub string_len: u64,
    /// Bytes of all pax headers and GNU long names before one tar member. Default 1 MiB, which Go's archive/tar allows each
    /// of them; unbounded, a tar could be nothing but one endless header.
    pub tar_extension_len: u64,
    /// Bytes of zeros between the data of a tar's sparse files. Default 16 GiB: a few bytes of tar ask for any number of
    /// them, and all have to be hashed.
    pub tar_holes_len: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            toc_blob_len: 150 << 20,
            toc_len: 1 << 30,
            tar_split_blob_len: 150 << 20,
            tar_split_len: 4 << 30,
            tar_split_record_len: 16 << 20,
            entries: 4_000_000,
            attributes: 1000,
            attributes_len: 1 << 20,
            toc_attributes: 8_000_000,
            string_len: 64 << 10,
            tar_extension_len: 1 << 20,
            tar_holes_len: 16 << 30,
        }
    }
}
