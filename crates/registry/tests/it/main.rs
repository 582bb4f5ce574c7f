//! Images on disk, end to end.
//!
//! Tests named `tool_*` need skopeo and umoci.

mod archive;
mod layout;
mod made;
