//! The kit on its own: the peers that judge morsel, and the registry that misbehaves.

mod client;
mod peers;
mod scripted;
mod servers;
