//! Some threads read the environment, as C programs do all the time, while others change it.
//!
//! With glibc before 2.41, or musl, this dies within a second or two. With `LD_PRELOAD` set to the preload library it ends well:
//!
//! ```text
//! race [SECONDS]
//! ```

use std::ffi::{CStr, CString, c_char};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, mem, ptr, thread};

const DEFAULT_SECONDS: u64 = 5;
/// Variables that are there from the start, and that nobody touches.
const BYSTANDERS: usize = 8;
/// Variables that come and go, for each writer: enough that libc has to move its array again and again.
const COME_AND_GO: usize = 200;
/// Allocations of the rest of the program that live at one time, and their largest size in bytes.
const LIVE: usize = 256;
const MOST_BYTES: usize = 4096;
const READERS: usize = 3;
const WRITERS: usize = 2;

static STOP: AtomicBool = AtomicBool::new(false);
static READS: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let seconds = match seconds() {
        Ok(seconds) => seconds,
        Err(argument) => {
            eprintln!("race: {argument:?} is no number of seconds; usage: race [SECONDS]");
            return ExitCode::from(2);
        }
    };
    let object = object_of_getenv();
    let active = object.contains("mtsafe_env");
    println!("getenv is in {object}: the library is {}", if active { "active" } else { "NOT active" });

    for i in 0..BYSTANDERS {
        set(&name("BYSTANDER", i), c"here");
    }
    set(c"TZ", c"UTC0");
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(read_variables);
        }
        scope.spawn(read_the_clock);
        for i in 0..WRITERS {
            scope.spawn(move || write_variables(i));
        }
        use_memory(Instant::now() + Duration::from_secs(seconds));
        // Relaxed: the threads are joined at the end of the scope.
        STOP.store(true, Ordering::Relaxed);
    });

    let lost = LOST.load(Ordering::Relaxed);
    println!("{} reads in {seconds} s, {lost} lost", READS.load(Ordering::Relaxed));
    if lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The only argument, or the default; the argument that is wrong otherwise.
fn seconds() -> Result<u64, String> {
    let arguments: Vec<_> = env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    match &arguments[..] {
        [] => Ok(DEFAULT_SECONDS),
        [one] => {
            one.parse().ok().filter(|&seconds| (1..=1_000_000).contains(&seconds)).ok_or_else(|| one.clone())
        }
        more => Err(more.join(" ")),
    }
}

/// The file that the dynamic linker took `getenv` from.
fn object_of_getenv() -> String {
    // SAFETY: all zero is a valid Dl_info: null pointers.
    let mut info: libc::Dl_info = unsafe { mem::zeroed() };
    // SAFETY: any address may be asked for, and `info` is ours.
    let found = unsafe { libc::dladdr(libc::getenv as *const libc::c_void, &mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return "an unknown place".into();
    }
    // SAFETY: `dladdr` gave a C string that lives as long as its object.
    unsafe { CStr::from_ptr(info.dli_fname) }.to_string_lossy().into_owned()
}

fn name(prefix: &str, i: usize) -> CString {
    CString::new(format!("{prefix}_{i}")).expect("no NUL in it")
}

/// C's `setenv`. (std's own `set_var` would keep other Rust code out while it works, but never C code.)
fn set(name: &CStr, value: &CStr) {
    // SAFETY: two C strings. That other threads read the environment meanwhile is what is being tried.
    unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) };
}

/// C's `getenv`, and a look at the value, as its callers do.
fn is_there(name: &CStr) -> bool {
    // SAFETY: a C string.
    let value: *const c_char = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: not null, so a C string; nobody changes or removes this variable.
    !value.is_null() && unsafe { CStr::from_ptr(value) } == c"here"
}

fn read_variables() {
    let names: Vec<_> = (0..BYSTANDERS).map(|i| name("BYSTANDER", i)).collect();
    let (mut reads, mut lost) = (0, 0);
    while !STOP.load(Ordering::Relaxed) {
        for name in &names {
            lost += u64::from(!is_there(name));
            reads += 1;
        }
    }
    READS.fetch_add(reads, Ordering::Relaxed);
    LOST.fetch_add(lost, Ordering::Relaxed);
}

/// libc itself looks for `TZ` here, by a function that no other library can replace.
fn read_the_clock() {
    let (mut reads, mut lost) = (0, 0);
    while !STOP.load(Ordering::Relaxed) {
        let noon: libc::time_t = 12 * 3600;
        // SAFETY: all zero is a valid tm.
        let mut tm: libc::tm = unsafe { mem::zeroed() };
        // SAFETY: both pointers are to values of ours.
        let done = unsafe { libc::localtime_r(ptr::from_ref(&noon), &mut tm) };
        lost += u64::from(done.is_null() || tm.tm_hour != 12);
        // SAFETY: no arguments.
        unsafe { tzset() };
        reads += 2;
    }
    READS.fetch_add(reads, Ordering::Relaxed);
    LOST.fetch_add(lost, Ordering::Relaxed);
}

fn write_variables(writer: usize) {
    let names: Vec<_> = (0..COME_AND_GO).map(|i| name(&format!("COMES_AND_GOES_{writer}"), i)).collect();
    while !STOP.load(Ordering::Relaxed) {
        for name in &names {
            set(name, c"a value that is there for a moment");
        }
        for name in &names {
            // SAFETY: a C string; see `set`.
            unsafe { libc::unsetenv(name.as_ptr()) };
        }
    }
}

/// Allocates and frees until `end`, as the rest of a program does. Memory that libc's `setenv` gives back is soon something else.
fn use_memory(end: Instant) {
    let mut live: Vec<Vec<u8>> = vec![Vec::new(); LIVE];
    let mut random = 88_172_645_463_325_252_u64;
    while Instant::now() < end {
        for _ in 0..LIVE {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let place = (random >> 32) as usize % LIVE;
            live[place] = vec![b'Z'; 64 + (random >> 48) as usize % MOST_BYTES];
        }
    }
}

unsafe extern "C" {
    fn tzset();
}
