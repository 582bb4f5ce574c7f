//! What the fuzz targets do with an input. The tests of `morsel-mount` include this file to replay the corpora.

use morsel_mount::daemon::protocol::Question;
use morsel_mount::fuse::wire::{IN_HEADER_LEN, Operation, Request};

/// What a target does with an input; it panics when it finds something.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 2] = [("fuse", fuse), ("question", question)];

/// A request of the kernel. One that is taken is as long as it says, and its name lies within it.
pub fn fuse(input: &[u8]) {
    let Ok(request) = Request::parse(input) else { return };
    assert!(input.len() >= IN_HEADER_LEN);
    match request.operation {
        Operation::Lookup(name) => assert!(name.len() < input.len() && !name.contains(&0)),
        Operation::Init(init) => assert_eq!(init.answer(1 << 20, 64).len(), 64),
        _ => {}
    }
}

/// What a verb says to the daemon; written anew, it says the same.
pub fn question(input: &[u8]) {
    let Ok(question) = Question::parse(input) else { return };
    assert_eq!(Question::parse(&question.to_line()).ok(), Some(question));
}
