//! What a Python program was doing: its functions are not on the stack of the machine, where all of them are one C function.
//!
//! The interpreter can tell by itself, from a signal handler in the midst of anything: `_Py_DumpTraceback` is what `faulthandler`
//! calls in a crash. It allocates nothing, takes no lock, and calls nothing but `write`. It is asked only by a thread that holds the
//! interpreter's lock, and only for changes while more than one thread lives. Some versions do not export it (3.9, 3.10, 3.13): then there is the C stack alone.

use crate::file::{Part, put, take};
use crate::record::mix;
use crate::{next, sys};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use mtsafe_env_trace_layout::{self as layout, File};

/// `PyGILState_GetThisThreadState`, `_PyThreadState_UncheckedGet`, `_Py_DumpTraceback`; 0: no interpreter known. The first is
/// stored last.
static FUNCTIONS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

type State = unsafe extern "C" fn() -> *mut c_void;
type Dump = unsafe extern "C" fn(c_int, *mut c_void);

#[link(name = "c")]
unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Looks for an interpreter among what is loaded.
pub(crate) fn find() {
    let names: [&[&str]; 3] = [
        &["PyGILState_GetThisThreadState"],
        &["_PyThreadState_UncheckedGet", "PyThreadState_GetUnchecked"],
        &["_Py_DumpTraceback"],
    ];
    if let Some(found) = next::find_in_one(names) {
        // Relaxed but the last. Release [python]: who finds the first one finds all.
        FUNCTIONS[1].store(found[1], Ordering::Relaxed);
        FUNCTIONS[2].store(found[2], Ordering::Relaxed);
        FUNCTIONS[0].store(found[0], Ordering::Release);
    }
}

/// 1 + the index of what the interpreter says of this thread, or 0.
pub(crate) fn script(file: &File) -> u32 {
    // Acquire [python]: pairs with Release in `find`.
    let this = FUNCTIONS[0].load(Ordering::Acquire);
    if this == 0 {
        return 0;
    }
    let (current, dump) = (FUNCTIONS[1].load(Ordering::Relaxed), FUNCTIONS[2].load(Ordering::Relaxed));
    // SAFETY: the interpreter's functions of these names, which have had these types since Python 3.6.
    let (this, current, dump) = unsafe {
        use core::mem::transmute;
        (transmute::<usize, State>(this), transmute::<usize, State>(current), transmute::<usize, Dump>(dump))
    };
    // SAFETY: both may be called by any thread.
    let (this, current) = unsafe { (this(), current()) };
    if this.is_null() || this != current {
        return 0; // not a thread of the interpreter, or without its lock: its state may change under us
    }
    let text = sys::memory_file();
    if text < 0 {
        return 0;
    }
    // SAFETY: libc's, for this thread.
    let errno = unsafe { __errno_location() };
    // SAFETY: as above.
    let kept = unsafe { *errno };
    // SAFETY: the state of the calling thread, which holds the lock.
    unsafe { dump(text as c_int, this) };
    // SAFETY: as above.
    unsafe { *errno = kept };
    let mut bytes = [0; layout::SCRIPT_BYTES];
    let length = sys::read_start(text, &mut bytes).clamp(0, layout::SCRIPT_BYTES as isize).cast_unsigned();
    sys::close(text);
    keep(file, &bytes[..length])
}

fn keep(file: &File, text: &[u8]) -> u32 {
    if text.is_empty() {
        return 0;
    }
    let key = text.chunks(8).fold(1, |key, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(key, u64::from_ne_bytes(word))
    }) | 1;
    // Relaxed, all: see the layout's documentation.
    let used = file.header.next_script.load(Ordering::Relaxed) as usize;
    let reserved = file.header.reserved[Part::Scripts as usize].load(Ordering::Relaxed) as usize;
    let known = &file.scripts[..used.min(reserved).min(layout::SCRIPTS)];
    if let Some(index) = known.iter().position(|script| script.key.load(Ordering::Relaxed) == key) {
        return index as u32 + 1;
    }
    let Some(index) = take(file, Part::Scripts) else { return 0 };
    let script = &file.scripts[index];
    put(&script.text, text);
    script.length.store(text.len() as u64, Ordering::Relaxed);
    script.key.store(key, Ordering::Relaxed);
    index as u32 + 1
}
