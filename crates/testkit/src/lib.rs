//! Trees, layers and peers' tools for the tests of morsel. It knows tar, JSON and directories, never morsel's types.
