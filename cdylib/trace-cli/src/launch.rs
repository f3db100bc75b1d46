//! Runs the command under the tracer library, and collects what its processes have recorded.

use crate::Failure;
use crate::options::Options;
use crate::recording::Recording;
use mtsafe_env_trace_layout::{self as layout, OPTION_FIRST, OPTION_VALUES, VARIABLE};
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::{env, fs, io, mem, ptr};

const TRACER: &str = "libmtsafe_env_trace.so";
const PRELOAD: &str = "libmtsafe_env_preload.so";
/// Where a library may be, from the folder that this program is in: the build tree, one prefix, folders of distributions.
const FOLDERS: [&str; 7] = [
    ".",
    "../lib64", // before lib: where there is this one, that one is for 32-bit programs
    "../lib",
    "../lib/x86_64-linux-gnu",
    "../lib/aarch64-linux-gnu",
    "../lib/mtsafe-env",
    "../../release",
];

/// How the command is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Still running: a report in between.
    Running(u32),
    Ended(u32, ExitStatus),
}

impl End {
    /// Process id of the command.
    pub(crate) fn process(self) -> u32 {
        match self {
            End::Running(process) | End::Ended(process, _) => process,
        }
    }

    /// The exit status to hand on.
    pub(crate) fn status(self) -> u8 {
        match self {
            End::Running(_) => 0,
            End::Ended(_, status) => match (status.code(), status.signal()) {
                (Some(code), _) => code as u8,
                (None, signal) => 128u8.wrapping_add(signal.unwrap_or(0) as u8),
            },
        }
    }
}

/// What the processes have left in the folder.
#[derive(Default)]
pub(crate) struct Recordings {
    pub(crate) files: Vec<Recording>,
    /// Processes without a recording, and why, in the words of [`layout::reason`].
    pub(crate) missing: Vec<(u32, String)>,
    /// Ended processes without a finding whose recordings were removed before the end.
    pub(crate) removed: u64,
}

/// Recordings from which on those that tell nothing are removed before the end: a build may have a hundred thousand processes.
const MANY: usize = 256;
/// Between two looks for them.
const INTERVAL: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 500_000_000 };

/// A folder that goes when this value does.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // A process of the command that still runs keeps its mapping; later ones find no folder, and are not recorded.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    /// In memory if that is possible, else where temporary files go. The library needs a file system that can promise room.
    fn new() -> Result<Folder, Failure> {
        let mut last = None;
        for parent in [PathBuf::from("/dev/shm"), env::temp_dir()] {
            match Folder::in_folder(&parent) {
                Ok(folder) => return Ok(folder),
                Err(error) => last = Some((parent, error)),
            }
        }
        let (parent, error) = last.expect("there was a second");
        Err(Failure::new(format!("cannot make a folder for recordings in {}: {error}", parent.display())))
    }

    fn in_folder(parent: &Path) -> io::Result<Folder> {
        let mut template = parent.join("mtsafe-env-trace.XXXXXX").into_os_string().into_vec();
        template.push(0);
        // SAFETY: a string of ours that the function writes into; it makes a folder for us alone (0700).
        if unsafe { libc::mkdtemp(template.as_mut_ptr().cast()) }.is_null() {
            return Err(io::Error::last_os_error());
        }
        template.pop();
        let folder = Folder(OsString::from_vec(template).into());
        let probe = folder.0.join("probe");
        let file = fs::File::create(&probe)?;
        // SAFETY: a file of ours.
        if unsafe { libc::fallocate(std::os::fd::AsRawFd::as_raw_fd(&file), 0, 0, 4096) } != 0 {
            return Err(io::Error::last_os_error());
        }
        fs::remove_file(probe)?;
        Ok(folder)
    }

    /// Removes the recordings of processes that have ended without a finding, if there are many: how many.
    fn clean(&self, command: u32) -> u64 {
        let names: Vec<_> = fs::read_dir(&self.0).into_iter().flatten().flatten().collect();
        if names.len() < MANY || !is_alive(std::process::id()) {
            return 0; // without /proc nobody knows who has ended
        }
        let mut removed = 0;
        for entry in names {
            let name = entry.file_name().to_string_lossy().into_owned();
            let process = name.split_once('.').and_then(|(process, _)| process.parse().ok());
            let ended = process.is_some_and(|process| process != command && !is_alive(process));
            let found = ended.then(|| Recording::open(&entry.path()).ok().flatten()).flatten();
            if found.is_some_and(|recording| recording.tells_nothing()) {
                removed += u64::from(fs::remove_file(entry.path()).is_ok());
            }
        }
        removed
    }

    /// The recordings, in the order in which they began, and the processes that say why they have none.
    fn recordings(&self) -> Result<Recordings, Failure> {
        let entries = fs::read_dir(&self.0)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", self.0.display())))?;
        let mut found = Recordings::default();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            match name.split_once('.') {
                Some((process, why)) if !why.starts_with(|c: char| c.is_ascii_digit()) => {
                    found.missing.push((process.parse().unwrap_or(0), why.to_owned()));
                }
                _ => found.files.extend(Recording::open(&entry.path())?),
            }
        }
        found.files.sort_by_key(|recording| crate::recording::number(&recording.header().start));
        found.missing.sort_unstable();
        Ok(found)
    }
}

fn library(given: Option<&Path>, file: &str, option: &str) -> Result<PathBuf, Failure> {
    let found = match given {
        Some(path) => path.to_owned(),
        None => {
            let program = env::current_exe()
                .map_err(|error| Failure::new(format!("cannot tell where this program is: {error}")))?;
            let here = program.parent().unwrap_or(Path::new("/")).to_owned();
            FOLDERS.iter().map(|folder| here.join(folder).join(file)).find(|path| path.exists()).ok_or_else(
                || {
                    Failure::new(format!(
                        "no {file} in {} or the lib folders beside it: name it with {option} FILE",
                        here.display()
                    ))
                },
            )?
        }
    };
    let path = fs::canonicalize(&found)
        .map_err(|error| Failure::new(format!("cannot use the library {}: {error}", found.display())))?;
    if path.as_os_str().as_bytes().iter().any(|byte| b": \t\n".contains(byte)) {
        return Err(Failure::new(format!(
            "LD_PRELOAD cannot hold a path with blanks or colons: {}",
            path.display()
        )));
    }
    Ok(path)
}

/// Runs the command to its end. `report` is called then, and at each SIGUSR1 before.
pub(crate) fn run(
    options: &Options,
    mut report: impl FnMut(&Recordings, End) -> Result<(), Failure>,
) -> Result<End, Failure> {
    let mut preload = library(options.tracer.as_deref(), TRACER, "--tracer")?.into_os_string();
    if options.protect {
        // Behind the tracer: it passes the calls on to the next.
        preload.push(":");
        preload.push(library(options.library.as_deref(), PRELOAD, "--library")?);
    }
    if let Some(others) = env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(":");
        preload.push(others);
    }
    let folder = Folder::new()?;
    let mut variable = OsString::new();
    for (wanted, letter) in [(options.values, OPTION_VALUES), (options.first, OPTION_FIRST)] {
        if wanted {
            variable.push(OsStr::from_bytes(&[letter]));
        }
    }
    let status = fs::read("/proc/self/status").unwrap_or_default();
    if let Some((_, filters @ 1..)) = layout::filters(&status) {
        variable.push(filters.to_string());
    }
    variable.push(":");
    variable.push(&folder.0);

    let signals = Signals::block();
    let mut command = Command::new(&options.command);
    command.args(&options.arguments).env("LD_PRELOAD", preload).env(VARIABLE, variable);
    let before = signals.before;
    // SAFETY: `sigprocmask` may be called between fork and exec. The command starts with the mask that we were started with.
    unsafe {
        command.pre_exec(move || {
            libc::sigprocmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
            Ok(())
        })
    };
    let child = command.spawn().map_err(|error| {
        let status = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        Failure::with_status(status, format!("cannot run {}: {error}", options.command.display()))
    })?;
    let process = child.id();
    let pid = process as libc::pid_t;
    let mut removed = 0;
    loop {
        let Some((signal, from_terminal)) = signals.next() else {
            if !options.all {
                removed += folder.clean(process);
            }
            continue;
        };
        match signal {
            libc::SIGCHLD => {
                let mut status = 0;
                // SAFETY: the kernel writes the status; nobody else waits for this child.
                if unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == pid {
                    let end = End::Ended(process, ExitStatus::from_raw(status));
                    report(&Recordings { removed, ..folder.recordings()? }, end)?;
                    return Ok(end);
                }
            }
            libc::SIGUSR1 => {
                report(&Recordings { removed, ..folder.recordings()? }, End::Running(process))?;
            }
            // The terminal has sent it to the command, too.
            libc::SIGINT | libc::SIGQUIT if from_terminal => {}
            // SAFETY: our child, which nobody has waited for.
            _ => drop(unsafe { libc::kill(pid, signal) }),
        }
    }
}

/// Signals that are waited for instead of being acted upon.
struct Signals {
    set: libc::sigset_t,
    /// The mask before.
    before: libc::sigset_t,
}

impl Signals {
    fn block() -> Signals {
        let (mut set, mut before) = (mem::MaybeUninit::uninit(), mem::MaybeUninit::zeroed());
        // SAFETY: `sigemptyset` makes it a set; the others change sets and this thread's mask. There is one thread.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in
                [libc::SIGCHLD, libc::SIGUSR1, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP]
            {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            // Inherited as ignored, it would not come.
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            let set = set.assume_init();
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, before.as_mut_ptr());
            Signals { set, before: before.assume_init() }
        }
    }

    /// The next one, and whether the kernel sent it. `None`: interrupted, or none for a while.
    fn next(&self) -> Option<(i32, bool)> {
        let mut about = mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the kernel reads the set and writes the structure, of which zeros are a value.
        let (signal, about) = unsafe {
            (libc::sigtimedwait(&raw const self.set, about.as_mut_ptr(), &INTERVAL), about.assume_init())
        };
        (signal > 0).then_some((signal, about.si_code > 0))
    }
}

/// True if there is a process with this id.
pub(crate) fn is_alive(process: u32) -> bool {
    let path = CString::new(format!("/proc/{process}")).expect("no zero in it");
    // SAFETY: a string.
    unsafe { libc::access(path.as_ptr(), libc::F_OK) == 0 }
}
