//! Who answers `getenv` and `setenv` in this process.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};
use mtsafe_env_core::c;

/// Whose environment functions the C code of this process calls: what [`status`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// This crate's, linked in: the executable has [`interpose!`](crate::interpose). `std::env::set_var` is as safe as
    /// [`set_var`](crate::set_var).
    LinkedIn,
    /// Another copy of this implementation: the preload library, or the executable's own copy if this one is in a library that was
    /// loaded. As safe as `LinkedIn`.
    Preloaded,
    /// libc's own. Reading is safe; a `setenv` or `putenv` by C code or by `std::env::set_var` is what it always was.
    NotInterposed,
    /// Somebody else's, wholly or in part: an executable that defines its own, such as bash, or another preloaded
    /// library. Nothing is known about writers there.
    Foreign,
}

/// Says whether the environment functions of this process are this implementation.
///
/// The first call asks the dynamic linker (some microseconds); later ones read one byte. The answer cannot go stale: the functions
/// that a program or library calls are bound once, and libraries that are loaded later come behind the ones bound to. (A library
/// opened with `RTLD_DEEPBIND` has bindings of its own; asked from there, a copy of this crate answers for that library.)
///
/// # Examples
/// ```
/// mtsafe_env::interpose!();
///
/// # fn main() {
/// # if cfg!(miri) { return }
/// assert_eq!(mtsafe_env::status(), mtsafe_env::Status::LinkedIn);
/// # }
/// ```
///
/// # Progress
/// MT-Safe, wait-free but for the first call, which takes the dynamic linker's lock; the first call is not AS-Safe.
pub fn status() -> Status {
    // Relaxed: the answer is one byte, and asking twice does no harm.
    match ANSWER.load(Ordering::Relaxed) {
        LINKED_IN => Status::LinkedIn,
        PRELOADED => Status::Preloaded,
        NOT_INTERPOSED => Status::NotInterposed,
        FOREIGN => Status::Foreign,
        _ => find_out(),
    }
}

/// True if every writer in this process that keeps to C's functions is this implementation, so that `std::env::set_var` and C's
/// `setenv` are safe beside any reader.
///
/// # Examples
/// ```
/// mtsafe_env::interpose!();
///
/// # fn main() {
/// # if cfg!(miri) { return }
/// assert!(mtsafe_env::interposed());
/// # }
/// ```
///
/// # Progress
/// As [`status`].
pub fn interposed() -> bool {
    matches!(status(), Status::LinkedIn | Status::Preloaded)
}

static ANSWER: AtomicU8 = AtomicU8::new(0);
const LINKED_IN: u8 = 1;
const PRELOADED: u8 = 2;
const NOT_INTERPOSED: u8 = 3;
const FOREIGN: u8 = 4;

#[link(name = "c")]
unsafe extern "C" {
    fn secure_getenv(name: *const c_char) -> *mut c_char;
}

#[cold]
fn find_out() -> Status {
    let six: [*const (); 6] = [
        libc::getenv as *const (),
        secure_getenv as *const (),
        libc::setenv as *const (),
        libc::putenv as *const (),
        libc::unsetenv as *const (),
        libc::clearenv as *const (),
    ];
    let answered = answers(c::QUESTION);
    let home = home(six[0]);
    let together = six.iter().all(|&function| self::home(function) == home);
    let (status, answer) = match (together, answered) {
        (true, true) if c::was_asked() => (Status::LinkedIn, LINKED_IN),
        (true, true) => (Status::Preloaded, PRELOADED),
        // libc is where other functions come from that nobody replaces. A static program has one home for all.
        (true, false) if home == self::home(libc::sysconf as *const ()) => {
            (Status::NotInterposed, NOT_INTERPOSED)
        }
        _ => (Status::Foreign, FOREIGN),
    };
    // Relaxed: as in `status`.
    ANSWER.store(answer, Ordering::Relaxed);
    status
}

/// True if the `unsetenv` that this code is linked to knows `question`. Every other one refuses it: no name contains `=`.
fn answers(question: &CStr) -> bool {
    // SAFETY: the calling thread's own errno.
    let errno: *mut c_int = unsafe { libc::__errno_location() };
    // SAFETY: as above; `unsetenv` is given a C string, and changes nothing for a name that it must refuse.
    unsafe {
        let before = *errno;
        *errno = 0;
        let answered = libc::unsetenv(question.as_ptr()) == -1 && *errno == c::ANSWER;
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
