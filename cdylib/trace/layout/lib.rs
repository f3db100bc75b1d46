//! The file that the tracer library fills while the program runs, and that the front end reads from outside.
//!
//! One file per process image, mapped shared by the process. The process only adds to it; the front end only reads, also while the
//! process runs and after it died in the middle of a record. So every field is an atomic, and a count or a key that is not zero says
//! that what belongs to it has been begun, not that it is complete: a reader takes zeros for "not known".
//!
//! | part | elements | who finds its element how |
//! |---|---|---|
//! | [`Header`] | 1 | |
//! | [`Site`]: a thread at a place that reads | [`SITES`] | hash of address and thread, open addressing |
//! | [`Place`]: where reads and changes come from | [`PLACES`] | hash of the callers, open addressing |
//! | [`Module`]: executable mappings | [`MODULES`] | next free one |
//! | [`Change`] | [`CHANGES`] | next free one |
//! | [`Stack`]: a copy of registers and stack | [`STACKS`] | next free one |
//! | [`Script`]: lines of a Python program | [`SCRIPTS`] | next free one, after a look at all |
//!
//! The last four are reserved in steps while they grow, so that a full file system costs records and never kills the program.
//! All orderings are Relaxed: nothing is found through these words but more of them, and the front end judges a dead process.

#![no_std]
#![forbid(unsafe_code)]

use core::mem::size_of;
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64};

/// First word of a file. The last digit is the version of this layout.
pub const MAGIC: u64 = u64::from_le_bytes(*b"mtstrac2");
/// Name of the variable that tells the library what to do: options, a colon, the folder for the files.
pub const VARIABLE: &str = "MTSAFE_ENV_TRACE";
/// Option in [`VARIABLE`]: record values, too.
pub const OPTION_VALUES: u8 = b'v';
/// Option in [`VARIABLE`]: stop at the first change while more than one thread lives.
pub const OPTION_FIRST: u8 = b'f';
// Digits among the options: how many filters for system calls the front end is under (`Seccomp_filters` in `/proc/self/status`).

/// Endings of the names of entries that say why a process has no file: its id, a dot, and one of these.
pub mod reason {
    /// A filter for system calls is in force that the front end is not under.
    pub const FILTER: &str = "filter";
    /// The process may not make files of this size.
    pub const SIZE: &str = "size";
    /// No file could be made.
    pub const FILE: &str = "file";
    /// The file system has no room.
    pub const ROOM: &str = "room";
    /// The process has no room for the mapping.
    pub const MEMORY: &str = "memory";
}

/// Pairs of a call site and a thread.
pub const SITES: usize = 4096;
/// Different stacks of changes.
pub const PLACES: usize = 1024;
/// Executable mappings.
pub const MODULES: usize = 512;
/// Changes with all that is known of them; later ones are only counted.
pub const CHANGES: usize = 4096;
/// Copied stacks.
pub const STACKS: usize = 1024;
/// Different stacks of an interpreter.
pub const SCRIPTS: usize = 256;
/// Bytes of one that are kept.
pub const SCRIPT_BYTES: usize = 2032;
/// Bytes of a stack that are copied at most.
pub const STACK_BYTES: usize = 16 * 1024 - 34 * 8;

/// Bytes of a variable's name that are kept.
pub const NAME_BYTES: usize = 64;
/// Bytes of a value that are kept.
pub const VALUE_BYTES: usize = 96;
/// Bytes of a path that are kept.
pub const PATH_BYTES: usize = 488;
/// Bytes of a thread's name, as the kernel keeps them.
pub const THREAD_NAME_BYTES: usize = 16;

/// Text of at most `N` bytes; shorter text is followed by a zero.
pub type Text<const N: usize> = [AtomicU8; N];

/// What a process is, and what is counted of it.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct Header {
    /// [`MAGIC`], stored last.
    pub magic: AtomicU64,
    /// `EM_X86_64` or `EM_AARCH64`: which registers a [`Stack`] holds.
    pub machine: AtomicU32,
    /// Process id.
    pub pid: AtomicU32,
    /// Process id of the parent.
    pub parent: AtomicU32,
    /// 1 once the process has run its destructors: it has called `exit`, or returned from `main`.
    pub exited: AtomicU32,
    /// ns of the monotonic clock when this file was made.
    pub start: AtomicU64,

    /// Changes asked for.
    pub changes: AtomicU64,
    /// Those among them while more than one thread lived.
    pub threaded: AtomicU64,
    /// Direct changes of `environ` or its slots that were noticed.
    pub direct: AtomicU64,
    /// Most threads that lived at a change.
    pub most_threads: AtomicU32,
    /// Beginnings and ends of changes while more than one thread lived: the time by which reads are compared with changes.
    pub events: AtomicU32,
    /// Next [`Change`], [`Stack`], [`Module`] and [`Script`]; may exceed their number.
    pub next_change: AtomicU32,
    /// See `next_change`.
    pub next_stack: AtomicU32,
    /// See `next_change`.
    pub next_module: AtomicU32,
    /// See `next_change`.
    pub next_script: AtomicU32,
    /// Reads for which there was no [`Site`] left.
    pub reads_without_site: AtomicU64,

    /// Changes that are under way.
    pub under_way: AtomicU32,
    /// 1 while a thread reads the list of mappings.
    pub scanning: AtomicU32,
    /// ns of the monotonic clock of the last reading of the list of mappings.
    pub scanned: AtomicU64,
    /// 1 if a stack was copied since then.
    pub stale: AtomicU32,
    /// How many [`Module`]s, [`Change`]s, [`Stack`]s and [`Script`]s the file system has promised room for.
    pub reserved: [AtomicU32; 4],
    /// `environ` after the last change that was seen.
    pub environ: AtomicU64,
    /// Hash of its slots then.
    pub slots: AtomicU64,
    /// Threads that lived then.
    pub threads_then: AtomicU32,
    /// A live thread other than the one that asked last: likely to be one still.
    pub other_thread: AtomicU32,
    /// 1 if an interpreter of scripts made changes, and there is no way to ask it for its lines.
    pub silent_interpreter: AtomicU32,
    /// Changes at which the threads could not be counted.
    pub uncounted: AtomicU64,
    /// Changes after the process had a filter for system calls, of which no more is known.
    pub under_filter: AtomicU64,

    /// Arguments of the process, each followed by a zero, cut.
    pub command: Text<512>,
    /// Its folder and name, for reserving room.
    pub path: Text<512>,
}

/// A thread that reads at one call site.
#[repr(C)]
#[derive(Debug)]
pub struct Site {
    /// Hash of address, thread and function; 0: free.
    pub key: AtomicU64,
    /// Reads.
    pub reads: AtomicU64,
    /// Address that the call returns to.
    pub address: AtomicU64,
    /// [`Header::events`] at the first read here ...
    pub first: AtomicU32,
    /// ... and at the last.
    pub last: AtomicU32,
    /// Thread id.
    pub thread: AtomicU32,
    /// 1 + index of the [`Place`], or 0.
    pub place: AtomicU32,
    /// Number of the function in [`FUNCTIONS`].
    pub function: AtomicU32,
    /// Name of the thread at its first read here.
    pub name: Text<THREAD_NAME_BYTES>,
    /// To 64 bytes: a cache line of the thread's own.
    pub unused: AtomicU32,
}

/// Changes whose stacks look alike, or the reads at one address.
#[repr(C)]
#[derive(Debug)]
pub struct Place {
    /// Hash of function and callers, or of function and address; 0: free.
    pub key: AtomicU64,
    /// Changes; reads are counted in [`Site`].
    pub changes: AtomicU64,
    /// Those while more than one thread lived.
    pub threaded: AtomicU64,
    /// Address that the call returns to.
    pub address: AtomicU64,
    /// 1 + index of the [`Stack`], or 0.
    pub stack: AtomicU32,
    /// Number of the function in [`FUNCTIONS`].
    pub function: AtomicU32,
    /// Most threads that lived at a change here.
    pub most_threads: AtomicU32,
    /// 1 + index of the [`Script`], or 0.
    pub script: AtomicU32,
    /// To 64 bytes.
    pub unused: [AtomicU32; 4],
}

/// One change, written before it is made.
#[repr(C)]
#[derive(Debug)]
pub struct Change {
    /// ns of the monotonic clock; 0: not begun.
    pub time: AtomicU64,
    /// Thread id.
    pub thread: AtomicU32,
    /// Threads that lived then; 0: not known.
    pub threads: AtomicU32,
    /// Number of the function in [`FUNCTIONS`].
    pub function: AtomicU32,
    /// See [`effect`].
    pub effect: AtomicU32,
    /// 1 + index of the [`Place`], or 0.
    pub place: AtomicU32,
    /// What the function returned, or [`UNDER_WAY`].
    pub result: AtomicI32,
    /// Length of the name in bytes; more than [`NAME_BYTES`]: cut.
    pub name_length: AtomicU32,
    /// 1 + length of the value in bytes; 0: not recorded.
    pub value_length: AtomicU32,
    /// Name of the thread.
    pub thread_name: Text<THREAD_NAME_BYTES>,
    /// Name of the variable.
    pub name: Text<NAME_BYTES>,
    /// Value, if asked for.
    pub value: Text<VALUE_BYTES>,
    /// To 256 bytes.
    pub unused: [AtomicU64; 5],
}

/// An executable mapping.
#[repr(C)]
#[derive(Debug)]
pub struct Module {
    /// First address; 0: not begun.
    pub start: AtomicU64,
    /// One past the last address; stored last.
    pub end: AtomicU64,
    /// Offset of the first byte in the file.
    pub offset: AtomicU64,
    /// Path, or empty.
    pub path: Text<PATH_BYTES>,
}

/// Registers and the stack at a call, to be unwound from outside.
#[repr(C)]
#[derive(Debug)]
pub struct Stack {
    /// Registers by their DWARF numbers of the machine; the stack pointer as it is after the return.
    pub registers: [AtomicU64; 33],
    /// Bytes copied, from the stack pointer upwards; stored last.
    pub length: AtomicU64,
    /// The bytes, in words.
    pub words: [AtomicU64; STACK_BYTES / 8],
}

/// What a Python interpreter says of the functions that had called each other, one to a line.
#[repr(C)]
#[derive(Debug)]
pub struct Script {
    /// Hash of the text; stored last.
    pub key: AtomicU64,
    /// Bytes of the text.
    pub length: AtomicU64,
    /// The text.
    pub text: Text<SCRIPT_BYTES>,
}

/// DWARF number of the return address on x86-64.
pub const X86_64_RETURN_ADDRESS: usize = 16;
/// DWARF number of the stack pointer on x86-64.
pub const X86_64_STACK_POINTER: usize = 7;
/// DWARF number of the link register on aarch64: the return address.
pub const AARCH64_LINK: usize = 30;
/// DWARF number of the stack pointer on aarch64.
pub const AARCH64_STACK_POINTER: usize = 31;

/// [`Change::result`] before the function has returned.
pub const UNDER_WAY: i32 = i32::MIN;

/// What a change did, as far as it could be told from the list before.
pub mod effect {
    /// The list could not be read.
    pub const UNKNOWN: u32 = 0;
    /// A new variable.
    pub const ADDED: u32 = 1;
    /// Another value for a variable.
    pub const REPLACED: u32 = 2;
    /// A variable is gone.
    pub const REMOVED: u32 = 3;
    /// All variables are gone.
    pub const CLEARED: u32 = 4;
    /// The list says what it said: no such variable, or `overwrite` is 0.
    pub const NOTHING: u32 = 5;
    /// The value is replaced by an equal one: memory changes hands, what is read does not.
    pub const SAME: u32 = 6;
    /// The function refused its arguments.
    pub const REFUSED: u32 = 7;
    /// Their names.
    pub const NAMES: [&str; 8] =
        ["unknown", "added", "replaced", "removed", "cleared", "nothing", "same value", "refused"];
}

/// The functions that are seen, by the number that [`Site`], [`Place`] and [`Change`] have for them: those that change the
/// environment, the two ways to change it without one, the two that answer, and those of libc that read it inside, where nobody can
/// look, and so are counted at their door.
pub const FUNCTIONS: [&str; 30] = [
    "setenv",
    "putenv",
    "unsetenv",
    "clearenv",
    "environ = ...",
    "environ[i] = ...",
    "getenv",
    "secure_getenv",
    "tzset",
    "localtime",
    "localtime_r",
    "mktime",
    "strftime",
    "setlocale",
    "newlocale",
    "getaddrinfo",
    "gethostbyname",
    "gethostbyname_r",
    "iconv_open",
    "catopen",
    "gettext",
    "dgettext",
    "dcgettext",
    "execv",
    "execvp",
    "system",
    "popen",
    "tempnam",
    "prctl",
    "syscall",
];
/// Number of `setenv`.
pub const SETENV: u32 = 0;
/// Number of `putenv`.
pub const PUTENV: u32 = 1;
/// Number of `unsetenv`.
pub const UNSETENV: u32 = 2;
/// Number of `clearenv`.
pub const CLEARENV: u32 = 3;
/// `environ` was assigned between two calls.
pub const ASSIGNED: u32 = 4;
/// Slots were stored between two calls.
pub const STORED: u32 = 5;
/// Number of `getenv`: the first that reads.
pub const GETENV: u32 = 6;
/// Number of `secure_getenv`.
pub const SECURE_GETENV: u32 = 7;
/// The first that is counted at its door.
pub const DOORS: u32 = 8;
/// The first of those that are watched for filters of system calls, and not counted.
pub const FILTERS: u32 = 28;

/// What `/proc/self/status` says of the process: its id, and the filters for system calls that it is under; before Linux 5.9, whether
/// there are any.
pub fn filters(status: &[u8]) -> Option<(u32, u32)> {
    let value = |name: &[u8]| {
        let mut lines = status.split(|&byte| byte == b'\n');
        let text = lines.find_map(|line| line.strip_prefix(name))?.trim_ascii();
        text.iter().try_fold(0, |all: u32, byte| {
            byte.is_ascii_digit().then(|| all.wrapping_mul(10).wrapping_add(u32::from(byte - b'0')))
        })
    };
    Some((value(b"Pid:")?, value(b"Seccomp_filters:").or_else(|| value(b"Seccomp:"))?))
}

/// The whole file. Sparse: what is not used takes no room.
#[repr(C)]
#[derive(Debug)]
pub struct File {
    /// What a process is.
    pub header: Header,
    /// Where its threads read.
    pub sites: [Site; SITES],
    /// Where reads and changes come from.
    pub places: [Place; PLACES],
    /// Its executable mappings.
    pub modules: [Module; MODULES],
    /// Its changes.
    pub changes: [Change; CHANGES],
    /// Its copied stacks.
    pub stacks: [Stack; STACKS],
    /// Stacks of its interpreter.
    pub scripts: [Script; SCRIPTS],
}

const _: () = assert!(size_of::<Header>() == 4096);
const _: () = assert!(size_of::<Site>() == 64 && size_of::<Place>() == 64);
const _: () = assert!(size_of::<Change>() == 256 && size_of::<Module>() == 512);
const _: () = assert!(size_of::<Stack>() == 16 * 1024 && size_of::<Script>() == 2048);
