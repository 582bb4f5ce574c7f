//! How a command ends: exit codes, and what is said of a failure.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use chunked::{Class, annotations};
use registry::client::Failure;
use registry::http;
use registry::mirror::list;
use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;
use store::unpack::Refused;

use crate::commands::{NoToc, NotIndexed};
use crate::descriptor_file::NotADescriptor;
use crate::request::{Invalid, NotAFile};
use crate::ui;

/// The exit codes. `args` and `docs/verify.md` tell people.
pub(crate) mod code {
    pub(crate) const LOCAL: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const CORRUPT: u8 = 3;
    pub(crate) const MISSING: u8 = 4;
    pub(crate) const UNSUPPORTED: u8 = 5;
    pub(crate) const DENIED: u8 = 6;
    pub(crate) const TRANSIENT: u8 = 7;
    /// Only of `verify`.
    pub(crate) const UNPROVEN: u8 = 8;
    /// Only of `mirror verify`.
    pub(crate) const SPARSE: u8 = 9;
}

/// Says what went wrong, and returns the exit code that tells it to programs.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        // Nobody reads what we write; ending by SIGPIPE, silently, is what a pipeline expects. It only fails to return.
        let _ = emulate_default_handler(SIGPIPE);
    }
    ExitCode::from(report(error))
}

/// Says what went wrong with one of several things, and returns its exit code.
pub(crate) fn report(error: &anyhow::Error) -> u8 {
    ui::say(&render(error));
    code(error)
}

/// Writes a failure as one line, its causes, and a hint where there is one.
fn render(error: &anyhow::Error) -> String {
    let mut messages: Vec<_> = error.chain().map(words).collect();
    // Wrappers often repeat what they wrap: the longer one stays.
    messages.dedup_by(|cause, last| {
        let is_repeated = last.ends_with(cause.as_str());
        if cause.starts_with(last.as_str()) {
            last.clone_from(cause);
        }
        is_repeated || last == cause
    });
    let mut text = format!("error: {}\n", messages.join("\n  cause: "));
    if let Some(hint) = hint(error) {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

/// Writes a cause as all messages are written; those of the operating system end in a number and start in upper case.
pub(crate) fn words(cause: &(dyn std::error::Error + 'static)) -> String {
    let text = cause.to_string();
    let Some((message, _)) = text.split_once(" (os error ") else { return text };
    let mut chars = message.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn code(error: &anyhow::Error) -> u8 {
    let is_misplaced = matches!(find(error), Some(registry::Error::Irreplaceable { .. }));
    let is_impossible =
        matches!(find(error), Some(store::Error::Refused(refused)) if refused.is_request_wrong());
    let is_no_place = matches!(find(error), Some(list::Invalid::Base(_) | list::Invalid::Place { .. }));
    if is_misplaced
        || is_impossible
        || is_no_place
        || find::<Invalid>(error).is_some()
        || find::<NotAFile>(error).is_some()
    {
        return code::USAGE;
    }
    match class(error) {
        Class::Local => code::LOCAL,
        Class::Corrupt => code::CORRUPT,
        Class::Missing => code::MISSING,
        Class::Unsupported => code::UNSUPPORTED,
        Class::Denied => code::DENIED,
        Class::Transient => code::TRANSIENT,
    }
}

/// Says what a failure means.
pub(crate) fn class(error: &anyhow::Error) -> Class {
    let layer = find::<chunked::Error>(error).map(chunked::Error::class);
    let image = || find::<registry::Error>(error).map(registry::Error::class);
    let store = || find::<store::Error>(error).map(store::Error::class);
    let mount = || find::<mount::Error>(error).map(mount::Error::class);
    let server = || find::<server::Error>(error).map(server::Error::class);
    let own = || match () {
        () if find::<annotations::Invalid>(error).is_some() => Some(Class::Corrupt),
        () if find::<NotADescriptor>(error).is_some() => Some(Class::Corrupt),
        () if find::<NoToc>(error).is_some() => Some(Class::Unsupported),
        () if matches!(find(error), Some(list::Invalid::NoTag { .. })) => Some(Class::Missing),
        () if find::<list::Invalid>(error).is_some() => Some(Class::Corrupt),
        () if find::<NotIndexed>(error).is_some() => Some(Class::Missing),
        () => None,
    };
    let missing = || {
        let io: &io::Error = find(error)?;
        (io.kind() == io::ErrorKind::NotFound).then_some(Class::Missing)
    };
    layer
        .or_else(image)
        .or_else(store)
        .or_else(mount)
        .or_else(server)
        .or_else(own)
        .or_else(missing)
        .unwrap_or(Class::Local)
}

fn hint(error: &anyhow::Error) -> Option<String> {
    find(error).and_then(sparse_hint).or_else(|| fixed_hint(error).map(str::to_owned))
}

/// Says what to do where an index lists what is not there.
fn sparse_hint(error: &registry::Error) -> Option<String> {
    Some(match error {
        registry::Error::AbsentPlatform { upstream, place, absent, .. } => {
            let original = upstream.as_deref().unwrap_or("ORIGINAL");
            let platform = absent.first().and_then(|name| name.split_once(" as ")).map(|(platform, _)| platform);
            let platform = platform.map(|platform| format!(" --platform {platform}")).unwrap_or_default();
            format!("`morsel mirror {original} {place}{platform}` adds it from where it is")
        }
        registry::Error::BrokenPlatform { place, .. } => {
            format!("`morsel mirror ORIGINAL {place}` brings what is missing")
        }
        registry::Error::SparseRefused(_) => {
            "`--trim` writes a new index of what is mirrored, with another digest and without its signatures; without \
             `--platform`, everything is copied; `oci:DIR` and `morsel serve --index-platforms none` take the index as it is"
                .to_owned()
        }
        _ => return None,
    })
}

fn fixed_hint(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(chunked::Error::SelfCheck { .. } | chunked::Error::WorkerLost) = find(error) {
        return Some(
            "nothing was written; this is a defect of morsel or of this machine's memory, please report it",
        );
    }
    if let Some(Invalid::LayerToImage(_, image) | Invalid::ImageToLayer(image, _)) = find(error)
        && !image.contains(':')
    {
        return Some("a bare name is an image in a registry; a file of that name is written `./NAME`");
    }
    if let Some(hint) = failure(error).and_then(registry_hint) {
        return Some(hint);
    }
    if let Some(store::Error::NoLayer { .. } | store::Error::Refused(Refused::NoContent { .. })) = find(error)
    {
        return Some("`morsel pull` brings what is missing of an image");
    }
    if let Some(hint) = find(error).and_then(mount_hint) {
        return Some(hint);
    }
    if let Some(server::Error::IsLayout(_)) = find(error) {
        return Some(
            "serve the directory it is in; its images are then in the repository that it is the name of",
        );
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::StorageFull) => {
            Some("free space where the result goes, and in TMPDIR, where archives are unpacked")
        }
        _ if is_damaged_store(error) => Some("`morsel fsck --repair` removes what is damaged in a store"),
        _ if is_damaged_layer(error) => Some("compare the digest of the input with the one it should have"),
        _ => None,
    }
}

fn mount_hint(error: &mount::Error) -> Option<&'static str> {
    use mount::Error::{Busy, Incomplete, Kernel};
    Some(match error {
        Busy { .. } => "`fuser -vm DIR` says who uses it; `--lazy` takes it away all the same",
        Incomplete { .. } => "`morsel pull` brings what is missing of an image",
        Kernel { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            "mounting takes root, or a namespace of one's own: `unshare --user --map-root-user --mount`"
        }
        _ => return None,
    })
}

fn registry_hint(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::Denied { had_credentials: false, .. } => {
            "`podman login` and `docker login` leave credentials where they are found; `--authfile` names a file"
        }
        Failure::Http(http::Failure::Certificate { .. }) => {
            "`--cert-dir` names a directory with the certificate of its authority as a `*.crt`, and `--tls-verify=false` trusts anyone"
        }
        Failure::Http(http::Failure::NotTls { .. }) => "`--tls-verify=false` does without TLS",
        Failure::Everywhere(failures) => {
            return failures.iter().rev().find_map(|(_, failure)| registry_hint(failure));
        }
        _ => return None,
    })
}

/// Finds what a registry did not do; errors of I/O may be in between.
fn failure(error: &anyhow::Error) -> Option<&Failure> {
    find(error).or_else(|| find::<Box<Failure>>(error).map(Box::as_ref))
}

/// Tells whether the bytes of a layer or its annotations are wrong: something that a digest would have told beforehand.
fn is_damaged_layer(error: &anyhow::Error) -> bool {
    let is_of_a_layer =
        find::<chunked::Error>(error).is_some() || find::<annotations::Invalid>(error).is_some();
    is_of_a_layer && class(error) == Class::Corrupt
}

/// Tells whether a file of the store is not what it should be.
fn is_damaged_store(error: &anyhow::Error) -> bool {
    use store::Error::{Damaged, NotAFile, Toc, TooLong};
    matches!(find(error), Some(Damaged { .. } | NotAFile { .. } | Toc { .. } | TooLong { .. }))
}

/// Tells whether nobody reads what is written. A registry or a daemon that hangs up is something else.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let is_of_a_socket = find::<registry::Error>(error).is_some()
        || find::<mount::Error>(error).is_some()
        || find::<server::Error>(error).is_some();
    let is_broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    !is_of_a_socket && find::<io::Error>(error).is_some_and(is_broken)
}

/// Finds the outermost error of a type.
fn find<E: std::error::Error + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|cause| cause.downcast_ref())
}
