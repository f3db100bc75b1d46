//! Asks the dynamic linker and the functions themselves who answers: what [`status`](crate::status()) says.
//!
//! # What may be wrong, and which way
//! The answer decides whether a read may trust what lies in `environ` for ever, so it must never be "ours" where a writer is not.
//! - A name is not asked for by its name alone: whoever links with link-time optimisation may have called a definition of this very
//!   library that nobody else uses (the macro in a plugin). So the addresses are those that the dynamic linker filled in, which is what C
//!   code of the same library calls, and what `std` does unless that definition was put in its place.
//! - The two writers that can be asked must both answer, and all six must be in one place: a library that defines only some of them is
//!   noticed, and so is one that hands only some of them on.
//! - That place must be one that everybody's search finds before libc. A library opened with `RTLD_DEEPBIND` has bindings of its own, which
//!   say nothing of the program's.
//! - In doubt it is `Foreign`: then reads take std's lock, and changes are refused. That costs time, not memory.
//!
//! It cannot change. What is found first in a process is settled before the first constructor runs; a library that is loaded later comes
//! behind libc, whatever it defines; a forked child has its parent's answer and its parent's bindings.

use crate::status::Status;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};
use mtsafe_env_core::c;

static ANSWER: AtomicU8 = AtomicU8::new(0);
const LINKED_IN: u8 = 1;
const PRELOADED: u8 = 2;
const NOT_INTERPOSED: u8 = 3;
const IN_LIBRARY: u8 = 4;
const FOREIGN: u8 = 5;

/// True if this copy answers, and is known to. The one question on the way of every read: a load and a comparison.
#[inline(always)]
pub(crate) fn is_ours() -> bool {
    // Relaxed: as in `status`.
    ANSWER.load(Ordering::Relaxed) == LINKED_IN
}

pub(crate) fn status() -> Status {
    // Relaxed: the answer is one byte, and asking twice does no harm.
    match ANSWER.load(Ordering::Relaxed) {
        LINKED_IN => Status::LinkedIn,
        PRELOADED => Status::Preloaded,
        NOT_INTERPOSED => Status::NotInterposed,
        IN_LIBRARY => Status::InLibrary,
        FOREIGN => Status::Foreign,
        _ => ask(),
    }
}

#[link(name = "c")]
unsafe extern "C" {
    fn secure_getenv(name: *const c_char) -> *mut c_char;
}

#[cold]
fn ask() -> Status {
    // Miri calls no C, and the macro expands to nothing there.
    if cfg!(miri) {
        return Status::NotInterposed;
    }
    // Black boxes: no call below may be bound to a definition that the compiler can see.
    let (setenv, unsetenv): (c::SetEnvFn, c::UnsetEnvFn) = black_box((libc::setenv, libc::unsetenv));
    let six: [*const (); 6] = black_box([
        libc::getenv as *const (),
        secure_getenv as *const (),
        setenv as *const (),
        libc::putenv as *const (),
        unsetenv as *const (),
        libc::clearenv as *const (),
    ]);
    // libc is where other functions come from that nobody replaces.
    let libc = black_box(libc::sysconf as *const ());
    let question = c::QUESTION.as_ptr();
    // SAFETY: C strings; both refuse the name, and change nothing.
    let answered =
        answers(|| unsafe { setenv(question, c"".as_ptr(), 0) }) && answers(|| unsafe { unsetenv(question) });
    let home = home(six[0]);
    let together = six.iter().all(|&function| self::home(function) == home);
    let (status, answer) = match (together, answered) {
        (true, true) if !comes_before(six[0], libc) => (Status::InLibrary, IN_LIBRARY),
        (true, true) if c::was_asked() => (Status::LinkedIn, LINKED_IN),
        (true, true) => (Status::Preloaded, PRELOADED),
        // A static program has one home for all.
        (true, false) if home == self::home(libc) && is_marked() => (Status::InLibrary, IN_LIBRARY),
        (true, false) if home == self::home(libc) => (Status::NotInterposed, NOT_INTERPOSED),
        _ => (Status::Foreign, FOREIGN),
    };
    // Relaxed: as in `status`.
    ANSWER.store(answer, Ordering::Relaxed);
    status
}

/// True if the call says that it knows the question. Every other function refuses it with `EINVAL`: no name contains `=`.
fn answers(call: impl FnOnce() -> c_int) -> bool {
    // SAFETY: the calling thread's own errno.
    let errno: *mut c_int = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe {
        let before = *errno;
        *errno = 0;
        let answered = call() == -1 && *errno == c::ANSWER;
        *errno = before;
        answered
    }
}

/// Where the library or program starts that `function` is in; null if the linker does not know, as in a static program.
fn home(function: *const ()) -> *mut c_void {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `info` has room for the answer; the address is only looked up.
    if unsafe { libc::dladdr(function.cast(), info.as_mut_ptr()) } == 0 {
        return ptr::null_mut();
    }
    // SAFETY: zero is a valid value of every field, and `dladdr` filled them in.
    unsafe { info.assume_init() }.dli_fbase
}

/// True if the macro was expanded in the library or program that this code is in.
fn is_marked() -> bool {
    // SAFETY: a C string; the address is only compared. (The search begins where this code's own does.)
    let mark = unsafe { libc::dlsym(libc::RTLD_DEFAULT, CStr::as_ptr(c::MARK)) };
    !mark.is_null() && home(mark.cast()) == home(ask as *const ())
}

/// True if the linker searches the program or library that `function` is in before the one that `other` is in; also if they are one.
fn comes_before(function: *const (), other: *const ()) -> bool {
    struct Search {
        addresses: [usize; 2],
        found: Option<usize>,
    }

    /// Looks for the addresses in one object; not 0 ends the search.
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
        // SAFETY: the linker's description of an object, and what was passed below.
        let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        // SAFETY: so many headers are there.
        let headers = unsafe { core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let holds = |&address: &usize| {
            headers.iter().filter(|header| header.p_type == libc::PT_LOAD).any(|header| {
                let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
                address.wrapping_sub(start) < header.p_memsz as usize
            })
        };
        search.found = search.addresses.iter().position(holds);
        search.found.is_some().into()
    }

    let mut search = Search { addresses: [function.addr(), other.addr()], found: None };
    // SAFETY: the function above, and what it expects. Objects are visited in the order in which they were loaded.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    search.found == Some(0)
}
