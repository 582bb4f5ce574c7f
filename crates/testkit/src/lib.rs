//! Trees, layers and peers' tools for the tests of morsel. It knows tar, JSON and directories, never morsel's types.
//!
//! Everything here may panic: a test that cannot be set up has failed.

pub mod access_log;
pub mod authority;
pub mod compare;
pub mod corpus;
pub mod data;
pub mod engine;
pub mod http;
pub mod link;
pub mod nginx;
pub mod oci;
pub mod process;
pub mod registry;
pub mod scripted;
pub mod tar;
pub mod toc;
pub mod tools;
