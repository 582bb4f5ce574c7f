//! What a program takes of the machine: time, processors, memory.

use std::fs;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use crate::machine::peak_memory_of;

/// How often memory is looked at, and whoever watches is told.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// What a program took, with those that it started and waited for.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) status: ExitStatus,
    pub(crate) wall: Duration,
    /// Time on processors, its own and the kernel's, to a hundredth of a second.
    pub(crate) cpu: Duration,
    /// Most bytes resident at once, of the process that had most; growth in the last few milliseconds is missed.
    pub(crate) peak_memory: u64,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Runs a program to its end; `watch` is called every few milliseconds.
pub(crate) fn run(command: &mut Command, mut watch: impl FnMut()) -> io::Result<Measured> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let stdout = scope.spawn(move || read(stdout));
        let stderr = scope.spawn(move || read(stderr));
        let (wall, peak_memory) = wait(&child, started, &mut watch)?;
        let cpu = cpu_time(child.id()).unwrap_or_default();
        let status = child.wait()?;
        let join = |thread: thread::ScopedJoinHandle<'_, Vec<u8>>| thread.join().unwrap_or_default();
        Ok(Measured { status, wall, cpu, peak_memory, stdout: join(stdout), stderr: join(stderr) })
    })
}

/// Reads what there is; what cannot be read is not there.
fn read(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    bytes
}

/// Waits until a program has ended, and leaves what the kernel knows of it.
fn wait(child: &Child, started: Instant, watch: &mut dyn FnMut()) -> io::Result<(Duration, u64)> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let mut peak = 0;
    loop {
        let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
        let count = retry_on_intr(|| poll(&mut ended, Some(&LOOK)))?;
        if count > 0 {
            let wall = started.elapsed();
            watch();
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
            return Ok((wall, peak));
        }
        peak = peak.max(tree_peak(child.id()));
        watch();
    }
}

/// Returns the time that a process has been on processors, with those it waited for; also when it has ended, but nobody
/// has waited for it.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = parse_ticks(&stat)?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Adds up `utime`, `stime`, `cutime` and `cstime` of proc_pid_stat(5). The name before them may hold anything.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(11).take(4).map(|field| field.parse::<u64>().ok());
    ticks.sum()
}

/// Returns the time that a process and those below it have been on processors.
pub(crate) fn tree_cpu(pid: u32) -> Duration {
    let own = cpu_time(pid).unwrap_or_default();
    children(pid).into_iter().map(tree_cpu).fold(own, Duration::saturating_add)
}

/// Returns the most bytes that a process, or one below it, had resident at once.
pub(crate) fn tree_peak(pid: u32) -> u64 {
    let own = peak_memory_of(&pid.to_string()).unwrap_or(0);
    children(pid).into_iter().map(tree_peak).fold(own, u64::max)
}

/// Returns the process at the end of a line of processes each of which started one: the program that a script runs.
pub(crate) fn last_child(pid: u32) -> u32 {
    children(pid).first().map_or(pid, |child| last_child(*child))
}

/// Lists the processes that a process started, as far as they live.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists: Vec<_> =
        tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    lists.iter().flat_map(|list| list.split_whitespace().filter_map(|child| child.parse().ok())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 6 7";
        assert_eq!(parse_ticks(stat), Some(110));
        assert_eq!(parse_ticks("7 (a) S 1"), Some(0));
        assert_eq!(parse_ticks(""), None);
    }

    #[test]
    fn a_program_is_measured_to_its_end() {
        let mut looks = 0;
        let script = "head -c 3000000 /dev/zero | tr '\\0' x | sha256sum; exit 3";
        let measured = run(Command::new("sh").args(["-c", script]), || looks += 1).unwrap();
        assert_eq!(measured.status.code(), Some(3));
        assert!(measured.stdout.ends_with(b"-\n") && measured.stderr.is_empty());
        assert!(looks > 0 && measured.wall > Duration::ZERO);
    }
}
