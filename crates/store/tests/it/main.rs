//! Stores on disk: what they keep, what several processes do to one, and what crashes leave.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod believed;
mod crash;
mod disk;
mod evict;
mod fsck;
mod fuzz;
mod gc;
mod images;
mod index;
mod layers;
mod made;
mod objects;
mod partials;
mod properties;
mod pull;
mod pull_laws;
mod sample;
mod seeded;
mod seeds;
mod source;
mod together;
