//! Stores on disk: what they keep, what several processes do to one, and what crashes leave.

mod images;
mod layers;
mod objects;
mod partials;
mod sample;
