//! What POSIX says of a file system that is read-only, tried on a mount: before its content is here, and after.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirEntryExt, FileExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use rustix::fs::{
    Access, AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, SeekFrom, Timestamps,
    accessat, chmodat, flock, getxattr, lgetxattr, linkat, listxattr, mkdirat, open, openat, readlinkat,
    renameat_with, seek, statvfs, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use testkit::data;
use testkit::process::run;
use testkit::scripted::Script;
use testkit::tar::{Member, Tar};

use crate::harness::Converted;
use crate::scene::Scene;

/// Names in a directory that takes many blocks.
const CROWD: usize = 3000;
const LARGE_LEN: usize = 1_500_000;
/// A program that does nothing, and does it well.
const PROGRAM: &str = "/bin/true";

fn tar() -> Vec<u8> {
    // What the last of its names says becomes that of the file.
    let file = |member: Member| member.mode(0o4640).owner(1000, 100).modified(-5, 1);
    Tar::new()
        .member(Member::dir("dir/").mode(0o1751).owner(7, 8).modified(1_600_000_000, 123_456_789))
        .dir("dir/one/")
        .dir("dir/two/")
        .member(file(Member::file("dir/file", "content\n")))
        .member(file(Member::hardlink("dir/other", "dir/file")))
        .file("dir/empty", "")
        .symlink("link", "dir/file")
        .symlink("loop", "loop")
        .symlink("long", "x".repeat(4095))
        .member(Member::fifo("pipe"))
        .member(Member::char_device("null", 1, 3))
        .member(
            Member::file("marked", "marked")
                .xattr("user.note", "12345")
                .xattr("user.empty", "")
                .xattr("trusted.own", "t")
                .xattr("trusted.overlay.opaque", "y"),
        )
        .member(Member::file("program", fs::read(PROGRAM).unwrap()).mode(0o755))
        .file("large", data::stream(5, LARGE_LEN))
        .dir("crowd/")
        .members((0..CROWD).map(|number| Member::file(format!("crowd/file {number}"), format!("{number}"))))
        .finish()
}

#[test]
fn root_a_mount_does_what_posix_says_before_and_after_its_content_is_here() {
    let Some(scene) = Scene::new(Script::default()) else { return };
    let image = Converted::new(&scene.path("image"), vec![tar()]);
    let name = scene.publish("image", &image.target);
    scene.run(&["mount", &name, "m", "--no-fill", "-q"]);
    check(&scene.path("m"));
    scene.run(&["wait", "m"]);
    scene.run(&["detach", "m"]);
    check(&scene.path("m"));
}

fn check(root: &Path) {
    attributes(root);
    directories(root);
    links(root);
    extended_attributes(root);
    paths_that_lead_nowhere(root);
    changes(root);
    opening(root);
    reading(root);
    the_whole(root);
}

fn attributes(root: &Path) {
    let stat = |name: &str| root.join(name).symlink_metadata().unwrap();
    let dir = stat("dir");
    // Itself, its name, and the parents of two directories.
    assert_eq!((dir.mode(), dir.nlink(), dir.uid(), dir.gid()), (0o041_751, 4, 7, 8));
    assert_eq!((dir.mtime(), dir.mtime_nsec()), (1_600_000_000, 123_456_789));
    let file = stat("dir/file");
    assert_eq!((file.mode(), file.nlink(), file.len()), (0o104_640, 2, 8));
    assert_eq!((file.uid(), file.gid(), file.mtime(), file.mtime_nsec()), (1000, 100, -5, 1));
    assert_eq!((stat("dir/other").ino(), stat("dir/other").dev()), (file.ino(), file.dev()));
    assert_eq!((stat("dir/empty").len(), stat("large").len()), (0, LARGE_LEN as u64));
    assert!(stat("pipe").file_type().is_fifo() && stat("null").file_type().is_char_device());
    assert_eq!((stat("null").rdev(), stat("long").len()), (rustix::fs::makedev(1, 3), 4095));
    let inodes: BTreeSet<_> =
        ["dir", "dir/file", "dir/one", "link", "large", "crowd"].map(|name| stat(name).ino()).into();
    assert_eq!(inodes.len(), 6);
    // Opened, it is the same file.
    let opened = File::open(root.join("dir/other")).unwrap().metadata().unwrap();
    assert_eq!((opened.ino(), opened.len(), opened.mtime()), (file.ino(), 8, -5));
}

fn directories(root: &Path) {
    let names: BTreeSet<_> =
        fs::read_dir(root.join("crowd")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let expected: BTreeSet<_> = (0..CROWD).map(|number| format!("file {number}").into()).collect();
    assert_eq!(names, expected);
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let metadata = entry.path().symlink_metadata().unwrap();
        assert_eq!((entry.ino(), entry.file_type().unwrap()), (metadata.ino(), metadata.file_type()));
    }
    // What telldir(3) gave leads back to the same place, in any order, even in another descriptor.
    let fd = || open(root.join("crowd"), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut dir = Dir::new(fd()).unwrap();
    let all: Vec<_> = dir.by_ref().map(|entry| entry.unwrap()).collect();
    assert_eq!(all.len(), CROWD + 2);
    assert!([c".", c".."].iter().all(|name| all.iter().any(|entry| entry.file_name() == *name)));
    assert!(all.iter().filter(|entry| entry.file_type() == FileType::RegularFile).count() == CROWD);
    let mut other = Dir::new(fd()).unwrap();
    for place in [CROWD, 0, 7, CROWD / 2, 1] {
        for dir in [&mut dir, &mut other] {
            dir.seek(all[place].offset()).unwrap();
            let next: Vec<_> = dir.take(3).map(|entry| entry.unwrap().file_name().to_owned()).collect();
            let expected: Vec<_> =
                all[place + 1..].iter().take(3).map(|entry| entry.file_name().to_owned()).collect();
            assert_eq!(next, expected, "after place {place}");
        }
    }
    dir.rewind();
    assert_eq!(dir.count(), CROWD + 2);
}

fn links(root: &Path) {
    let target = |name: &str| readlinkat(CWD, root.join(name), Vec::new());
    assert_eq!(target("link").unwrap().to_bytes(), b"dir/file");
    assert_eq!(target("long").unwrap().to_bytes(), "x".repeat(4095).as_bytes());
    assert_eq!(target("dir/file").unwrap_err(), Errno::INVAL);
    assert_eq!(fs::read_to_string(root.join("link")).unwrap(), "content\n");
}

fn extended_attributes(root: &Path) {
    let path = root.join("marked");
    let mut names = vec![0; 1000];
    let len = listxattr(&path, &mut names).unwrap();
    let names: BTreeSet<_> = names[..len]
        .split_inclusive(|byte| *byte == 0)
        .map(|name| CStr::from_bytes_with_nul(name).unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from([c"trusted.own", c"user.empty", c"user.note"]));
    assert_eq!(listxattr(&path, &mut [0_u8; 3]), Err(Errno::RANGE));
    let get = |name: &str, room: &mut [u8]| getxattr(&path, name, room);
    assert_eq!(get("user.note", &mut [0; 5]), Ok(5));
    assert_eq!((get("user.note", &mut [0; 4]), get("user.empty", &mut [0; 4])), (Err(Errno::RANGE), Ok(0)));
    assert_eq!(get("user.nothing", &mut [0; 4]), Err(Errno::NODATA));
    for name in ["trusted.overlay.redirect", "trusted.overlay.metacopy", "trusted.overlay.opaque"] {
        assert!(lgetxattr(&path, name, &mut [0_u8; 100]).is_err(), "{name}");
    }
}

fn paths_that_lead_nowhere(root: &Path) {
    let error = |name: &str| root.join(name).metadata().unwrap_err().raw_os_error();
    let is = |name: &str, errno: Errno| assert_eq!(error(name), Some(errno.raw_os_error()), "{name:.40}");
    is("nothing", Errno::NOENT);
    is("dir/nothing/nothing", Errno::NOENT);
    is("dir/file/inside", Errno::NOTDIR);
    is("dir/file/.", Errno::NOTDIR);
    is("loop", Errno::LOOP);
    is("long", Errno::NAMETOOLONG);
    is(&"n".repeat(256), Errno::NAMETOOLONG);
    is(&"n".repeat(255), Errno::NOENT);
    is(&"n/".repeat(2100), Errno::NAMETOOLONG);
}

fn changes(root: &Path) {
    let path = |name: &str| root.join(name);
    let none = Mode::empty();
    let refused = [
        open(path("new"), OFlags::WRONLY | OFlags::CREATE, Mode::RWXU).map(drop),
        open(path("dir/file"), OFlags::WRONLY, none).map(drop),
        open(path("dir/file"), OFlags::RDWR, none).map(drop),
        open(path("dir/file"), OFlags::WRONLY | OFlags::TRUNC, none).map(drop),
        mkdirat(CWD, path("new"), Mode::RWXU),
        symlinkat("x", CWD, path("new")),
        linkat(CWD, path("dir/file"), CWD, path("new"), AtFlags::empty()),
        unlinkat(CWD, path("dir/file"), AtFlags::empty()),
        unlinkat(CWD, path("dir/one"), AtFlags::REMOVEDIR),
        renameat_with(CWD, path("link"), CWD, path("new"), RenameFlags::empty()),
        chmodat(CWD, path("dir/file"), Mode::RWXU, AtFlags::empty()),
        rustix::fs::chown(path("dir/file"), Some(rustix::process::Uid::from_raw(1)), None),
        utimensat(CWD, path("dir/file"), &now(), AtFlags::empty()),
        rustix::fs::setxattr(path("dir/file"), "user.new", b"1", rustix::fs::XattrFlags::empty()),
        rustix::fs::removexattr(path("marked"), "user.note"),
        accessat(CWD, path("dir/file"), Access::WRITE_OK, AtFlags::empty()),
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        assert_eq!(refused, Err(Errno::ROFS), "change {number}");
    }
    accessat(CWD, path("program"), Access::READ_OK | Access::EXEC_OK, AtFlags::empty()).unwrap();
    assert_eq!(fs::rename(path("link"), "/tmp/new").unwrap_err().kind(), io::ErrorKind::CrossesDevices);
}

fn now() -> Timestamps {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    Timestamps { last_access: now, last_modification: now }
}

fn opening(root: &Path) {
    let directory = File::open(root).unwrap();
    let open = |name: &str, flags: OFlags| openat(&directory, name, flags | OFlags::CLOEXEC, Mode::RWXU);
    assert_eq!(open("dir", OFlags::WRONLY).unwrap_err(), Errno::ISDIR);
    assert_eq!(open("dir/file", OFlags::RDONLY | OFlags::DIRECTORY).unwrap_err(), Errno::NOTDIR);
    assert_eq!(open("link", OFlags::RDONLY | OFlags::NOFOLLOW).unwrap_err(), Errno::LOOP);
    assert_eq!(open("dir/file", OFlags::CREATE | OFlags::EXCL).unwrap_err(), Errno::EXIST);
    assert_eq!(open("pipe", OFlags::WRONLY | OFlags::NONBLOCK).unwrap_err(), Errno::NXIO);
    assert!(
        open("link", OFlags::PATH | OFlags::NOFOLLOW).is_ok() && open("dir/file", OFlags::NOATIME).is_ok()
    );
    let file = File::from(open("dir/file", OFlags::RDONLY).unwrap());
    assert_eq!(rustix::io::write(&file, b"x"), Err(Errno::BADF));
    assert_eq!(rustix::fs::ftruncate(&file, 0), Err(Errno::INVAL));
    assert_eq!(rustix::fs::fchmod(&file, Mode::RWXU), Err(Errno::ROFS));
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    let other = open("dir/other", OFlags::RDONLY).unwrap();
    assert_eq!(flock(other, FlockOperation::NonBlockingLockShared), Err(Errno::WOULDBLOCK));
    // Some file systems cannot read past the page cache, and say so.
    match open("large", OFlags::RDONLY | OFlags::DIRECT) {
        Ok(direct) => assert_eq!(rustix::fs::fstat(&direct).unwrap().st_size, LARGE_LEN as i64),
        Err(error) => assert_eq!(error, Errno::INVAL),
    }
}

fn reading(root: &Path) {
    let content = data::stream(5, LARGE_LEN);
    let large = File::open(root.join("large")).unwrap();
    let mut room = [0; 5000];
    for (at, expected) in
        [(0, 5000), (123_457, 5000), (LARGE_LEN - 4000, 4000), (LARGE_LEN, 0), (LARGE_LEN + 7, 0)]
    {
        assert_eq!(large.read_at(&mut room, at as u64).unwrap(), expected, "at {at}");
        assert!(room[..expected] == content[at.min(LARGE_LEN)..][..expected], "at {at}");
    }
    let end = LARGE_LEN as u64;
    assert_eq!((seek(&large, SeekFrom::Data(1000)), seek(&large, SeekFrom::Hole(1000))), (Ok(1000), Ok(end)));
    assert_eq!(
        (seek(&large, SeekFrom::End(0)), seek(&large, SeekFrom::Data(end))),
        (Ok(end), Err(Errno::NXIO))
    );
    assert_eq!(seek(&large, SeekFrom::Current(-1 - LARGE_LEN as i64)), Err(Errno::INVAL));
    assert_eq!(File::open(root.join("dir/empty")).unwrap().read(&mut room).unwrap(), 0);
    assert_eq!(
        File::open(root.join("dir")).unwrap().read(&mut room).unwrap_err().kind(),
        io::ErrorKind::IsADirectory
    );
    // By copy_file_range(2), sendfile(2) or splice(2), whatever the kernel takes.
    let mut copy = tempfile::tempfile().unwrap();
    io::copy(&mut File::open(root.join("large")).unwrap(), &mut copy).unwrap();
    let mut copied = vec![0; LARGE_LEN];
    copy.read_exact_at(&mut copied, 0).unwrap();
    assert!(copied == content);
    // A program is mapped into memory.
    run(&mut Command::new(root.join("program")));
}

fn the_whole(root: &Path) {
    let whole = statvfs(root).unwrap();
    assert_eq!(whole.f_namemax, 255);
    assert!(whole.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    assert_eq!(rustix::fs::syncfs(File::open(root).unwrap()), Ok(()));
}
