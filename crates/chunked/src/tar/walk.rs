//! A tar from its first byte to its last, as it comes.

use super::{BLOCK_LEN, Invalid, Member, Step, parse};
use crate::limits::Limits;

/// Something that a walk over a tar meets. `Raw` and `Content` together are all its bytes, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// Bytes that are not content: headers, padding, and whatever follows the last member.
    Raw(&'a [u8]),
    /// A header is complete: its last bytes were those of the `Raw` before.
    Member(Box<Member>),
    /// Bytes of the last member's content.
    Content(&'a [u8]),
}

/// Walks a tar that is given to it in pieces of any size. Holds one header, never content.
#[derive(Debug)]
pub struct Walk {
    limits: Limits,
    state: State,
    header: Vec<u8>,
    wanted: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    Payload { left: u64, padding: usize },
    Trailer,
}

impl Walk {
    /// Starts before the first member.
    pub fn new(limits: &Limits) -> Self {
        Self { limits: *limits, state: State::Header, header: Vec::new(), wanted: BLOCK_LEN }
    }

    /// Takes bytes off the front of `input`, as many as belong to one event; `None` asks for more input.
    ///
    /// # Errors
    /// [`Invalid`] when the bytes are not a tar. The walk cannot go on then.
    pub fn step<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Invalid> {
        match self.state {
            State::Header if self.header.len() >= self.wanted => self.parse(input),
            State::Header => {
                let bytes = take(input, self.wanted.saturating_sub(self.header.len()) as u64);
                self.header.extend_from_slice(bytes);
                Ok(some(bytes).map(Event::Raw))
            }
            State::Payload { left: 0, padding: 0 } => {
                self.state = State::Header;
                self.step(input)
            }
            State::Payload { left: 0, padding } => {
                let bytes = take(input, padding as u64);
                self.state = State::Payload { left: 0, padding: padding.saturating_sub(bytes.len()) };
                Ok(some(bytes).map(Event::Raw))
            }
            State::Payload { left, padding } => {
                let bytes = take(input, left);
                self.state = State::Payload { left: left.saturating_sub(bytes.len() as u64), padding };
                Ok(some(bytes).map(Event::Content))
            }
            State::Trailer => Ok(some(take(input, u64::MAX)).map(Event::Raw)),
        }
    }

    /// Goes to the end of the current member's content without being given it.
    pub fn skip_content(&mut self) {
        if let State::Payload { left, .. } = &mut self.state {
            *left = 0;
        }
    }

    /// Tells whether the bytes given so far end inside a header.
    pub fn is_inside_header(&self) -> bool {
        matches!(self.state, State::Header) && !self.header.is_empty() && self.header != [0; BLOCK_LEN]
    }

    /// Tells whether the zero blocks that end a tar have been met.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Trailer)
    }

    /// Tells whether the bytes given so far are a whole tar. Like Go's reader, takes one that ends at a member boundary, in
    /// the padding of a member, or with a single block of zeros.
    ///
    /// # Errors
    /// [`Invalid::Truncated`] when they end in the middle of a member.
    pub fn finish(&self) -> Result<(), Invalid> {
        let missing = match self.state {
            State::Trailer => 0,
            State::Payload { left, .. } => left,
            State::Header if self.header.is_empty() || self.header == [0; BLOCK_LEN] => 0,
            State::Header => self.wanted.saturating_sub(self.header.len()) as u64,
        };
        if missing == 0 { Ok(()) } else { Err(Invalid::Truncated { missing }) }
    }

    fn parse<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Invalid> {
        match parse(&self.header, &self.limits)? {
            Step::NeedMore(wanted) => {
                self.wanted = wanted;
                self.step(input)
            }
            Step::Member { member, .. } => {
                self.state = State::Payload { left: member.payload_len(), padding: member.padding_len() };
                self.restart();
                Ok(Some(Event::Member(member)))
            }
            Step::End => {
                self.state = State::Trailer;
                self.restart();
                self.step(input)
            }
        }
    }

    fn restart(&mut self) {
        self.header.clear();
        self.wanted = BLOCK_LEN;
    }
}

fn take<'a>(input: &mut &'a [u8], len: u64) -> &'a [u8] {
    let len = usize::try_from(len).map_or(input.len(), |len| len.min(input.len()));
    let (taken, rest) = input.split_at_checked(len).unwrap_or_default();
    *input = rest;
    taken
}

fn some(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}
