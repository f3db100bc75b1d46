//! The C face: checks for NULL, one call, `errno`. No algorithm.
//!
//! The functions here are ordinary ones. [`interpose!`](crate::interpose) exports them under their C names.

use crate::error::Error;
use crate::process;
use crate::sync::{AtomicU32, Ordering};
use core::ffi::{CStr, c_int};
use core::ptr;

pub use core::ffi::c_char;

/// C's `getenv` and `secure_getenv`.
pub type GetEnvFn = unsafe extern "C" fn(*const c_char) -> *mut c_char;
/// C's `setenv`.
pub type SetEnvFn = unsafe extern "C" fn(*const c_char, *const c_char, c_int) -> c_int;
/// C's `putenv`.
pub type PutEnvFn = unsafe extern "C" fn(*mut c_char) -> c_int;
/// C's `unsetenv`.
pub type UnsetEnvFn = unsafe extern "C" fn(*const c_char) -> c_int;
/// C's `clearenv`.
pub type ClearEnvFn = unsafe extern "C" fn() -> c_int;

/// Exports the six C functions from the crate that expands it: an executable, or a library to preload.
///
/// From then on everything in the process that calls `getenv`, `secure_getenv`, `setenv`, `putenv`, `unsetenv` or `clearenv`
/// through the dynamic linker or was linked with it, `std::env` included, uses this implementation. Expand it once.
///
/// Whoever expands it twice is told by the compiler or the linker, in the words of a name that is then defined twice. `@six` leaves that
/// name out: for a library that may export nothing but the six.
#[macro_export]
macro_rules! interpose {
    () => {
        // Twice in one module: the compiler says so.
        #[doc(hidden)]
        #[allow(non_snake_case)]
        mod mtsafe_env_interpose_is_expanded_twice__keep_it_in_the_executable_only {}

        $crate::interpose! {
            @six
            // Twice in one program: the linker says so, or the compiler, if both are in one crate. Where only the first name that
            // is there twice is reported, it must be this one: statics come before functions when modules are linked for
            // link-time optimisation, and `_` comes before letters in the compiler. Beside the functions, so as to be in their object.
            #[allow(non_upper_case_globals)]
            #[unsafe(no_mangle)]
            static _mtsafe_env_interpose_is_expanded_twice__keep_it_in_the_executable_only: u8 = 0;
        }
    };
    (@six $($mark:item)?) => {
        #[cfg(not(miri))]
        const _: () = {
            $($mark)?
            use $crate::c;
            #[used]
            #[unsafe(link_section = ".note.mtsafe_env")]
            static NOTE: c::Note = c::NOTE;
            // The signatures cannot drift: `c` checks these types against the `libc` crate.
            const _: [c::GetEnvFn; 2] = [getenv, secure_getenv];
            const _: (c::SetEnvFn, c::PutEnvFn, c::UnsetEnvFn, c::ClearEnvFn) =
                (setenv, putenv, unsetenv, clearenv);

            #[unsafe(no_mangle)]
            unsafe extern "C" fn getenv(name: *const c::c_char) -> *mut c::c_char {
                // SAFETY: C's contract is the callee's.
                unsafe { c::getenv(name) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn secure_getenv(name: *const c::c_char) -> *mut c::c_char {
                // SAFETY: C's contract is the callee's.
                unsafe { c::secure_getenv(name) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn setenv(
                name: *const c::c_char,
                value: *const c::c_char,
                overwrite: ::core::ffi::c_int,
            ) -> ::core::ffi::c_int {
                // SAFETY: C's contract is the callee's.
                unsafe { c::setenv(name, value, overwrite) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn putenv(string: *mut c::c_char) -> ::core::ffi::c_int {
                // SAFETY: C's contract is the callee's.
                unsafe { c::putenv(string) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn unsetenv(name: *const c::c_char) -> ::core::ffi::c_int {
                // SAFETY: C's contract is the callee's.
                unsafe { c::unsetenv(name) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn clearenv() -> ::core::ffi::c_int {
                // SAFETY: C's contract is the callee's.
                unsafe { c::clearenv() }
            }
        };
    };
}

/// Tells tools whose functions a file has, and of which version: `readelf -n`, `strings`, `mtsafe-env check`. It is in a section and a
/// segment of its own; nothing here reads it.
#[doc(hidden)]
pub const NOTE: Note = Note {
    name_bytes: NOTE_NAME.len() as u32,
    description_bytes: NOTE_TEXT.len() as u32,
    kind: 1,
    name: padded(NOTE_NAME),
    description: padded(NOTE_TEXT),
};

const NOTE_NAME: &str = "mtsafe_env\0";
const NOTE_TEXT: &str = concat!("mtsafe_env ", env!("CARGO_PKG_VERSION"), "\0");

/// An ELF note (gABI, "Note Section"): sizes without padding, name and description each padded to words.
#[doc(hidden)]
#[repr(C)]
#[derive(Debug)]
pub struct Note {
    name_bytes: u32,
    description_bytes: u32,
    kind: u32,
    name: [u8; padded_bytes(NOTE_NAME)],
    description: [u8; padded_bytes(NOTE_TEXT)],
}

const fn padded_bytes(text: &str) -> usize {
    text.len().next_multiple_of(4)
}

const fn padded<const BYTES: usize>(text: &str) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let mut i = 0;
    while i < text.len() {
        bytes[i] = text.as_bytes()[i];
        i += 1;
    }
    bytes
}

// The types above are C's: `libc` declares the same.
// (It lacks `secure_getenv`, which C declares like `getenv`.)
const _: GetEnvFn = libc::getenv;
const _: SetEnvFn = libc::setenv;
const _: PutEnvFn = libc::putenv;
const _: UnsetEnvFn = libc::unsetenv;
const _: ClearEnvFn = libc::clearenv;

/// `getenv(name)`: the value of `name`, or NULL; NULL for a NULL name. `errno` is not touched.
///
/// The string lives as long as the process, unchanged if `setenv` made it. MT-Safe, AS-Safe, wait-free: at most two
/// passes over the array.
///
/// # Safety
/// - `name` is NULL or a readable NUL-terminated string.
#[inline(always)]
pub unsafe fn getenv(name: *const c_char) -> *mut c_char {
    if name.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: not NULL, so a string.
    unsafe { process::get_c(name) }
}

/// `secure_getenv(name)`: as [`getenv`], but NULL if the kernel marked this process as privileged (`AT_SECURE`).
///
/// # Safety
/// - as for [`getenv`].
pub unsafe fn secure_getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: `getauxval` has no conditions.
    if process::is_unbound() || unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return ptr::null_mut();
    }
    // SAFETY: the caller's promise.
    unsafe { getenv(name) }
}

/// `setenv(name, value, overwrite)`: 0, or -1 with `EINVAL` (NULL, empty or `=` name; NULL value) or `ENOMEM`.
///
/// # Safety
/// - `name` and `value` are NULL or readable NUL-terminated strings.
pub unsafe fn setenv(name: *const c_char, value: *const c_char, overwrite: c_int) -> c_int {
    if process::is_unbound() {
        return UNBOUND;
    }
    let done = match (name.is_null(), value.is_null()) {
        // SAFETY: the caller's promise: strings.
        (false, false) => unsafe { process::set_c(name, CStr::from_ptr(value), overwrite != 0) },
        (true, _) => return result(Err(Error::InvalidName)),
        (_, true) => return result(Err(Error::InvalidValue)),
    };
    match done {
        Ok(()) => 0,
        // SAFETY: the caller's promise: a string.
        Err(error) => unsafe { setenv_refused(name, error) },
    }
}

/// # Safety
/// - `name` is a readable NUL-terminated string.
#[cold]
#[inline(never)]
unsafe fn setenv_refused(name: *const c_char, error: Error) -> c_int {
    // SAFETY: the caller's promise.
    refused(unsafe { CStr::from_ptr(name) }.to_bytes(), error, &SETENV_ASKED)
}

/// `putenv(string)`: makes `string` itself the entry, or removes the variable if there is no `=` in it. 0, or -1 with `EINVAL`
/// (NULL, empty, or nothing before the `=`) or `ENOMEM`.
///
/// # Safety
/// - `string` is NULL or a NUL-terminated string that stays readable and terminated as long as anybody may read it.
pub unsafe fn putenv(string: *mut c_char) -> c_int {
    if process::is_unbound() {
        return UNBOUND;
    }
    // SAFETY: the caller's promise.
    result(match unsafe { bytes(string) } {
        None => Err(Error::InvalidName),
        // SAFETY: the caller's promise.
        Some(text) if !text.contains(&b'=') => unsafe { process::unset_c(string) },
        // SAFETY: the caller's promise.
        Some(_) => unsafe { process::put(string) },
    })
}

/// A name that no variable has, and so one that every `setenv` and `unsetenv` refuses with `EINVAL`. Ours refuse it with [`ANSWER`]:
/// thus any copy of this code can tell whether the functions that it is linked to are of this kind. (`putenv` is not asked: glibc's
/// takes a string without a name.) See `status` in `mtsafe-env`.
#[doc(hidden)]
pub const QUESTION: &CStr = c"=mtsafe-env?";
/// The `errno` for [`QUESTION`]. No other `setenv` or `unsetenv` has it.
#[doc(hidden)]
pub const ANSWER: c_int = libc::EALREADY;
/// What [`interpose!`](crate::interpose) defines beside the functions: tells a copy in a library that it was expanded there.
#[doc(hidden)]
pub const MARK: &CStr = c"_mtsafe_env_interpose_is_expanded_twice__keep_it_in_the_executable_only";

/// True if both functions of this very copy of the code were asked [`QUESTION`].
#[doc(hidden)]
pub fn was_asked() -> bool {
    // Relaxed: the asking thread reads its own stores; nothing travels through them.
    [&SETENV_ASKED, &UNSETENV_ASKED].iter().all(|asked| asked.load(Ordering::Relaxed) != 0)
}

// Two words that are only stored to are left out of the preload library; a table of them is not.
static SETENV_ASKED: AtomicU32 = AtomicU32::new(0);
static UNSETENV_ASKED: AtomicU32 = AtomicU32::new(0);

#[inline(always)]
fn refused(name: &[u8], error: Error, asked: &AtomicU32) -> c_int {
    if name != QUESTION.to_bytes() {
        return result(Err(error));
    }
    // Relaxed: as in `was_asked`.
    asked.store(1, Ordering::Relaxed);
    set_errno(ANSWER);
    -1
}

/// `unsetenv(name)`: removes every entry of that name. 0, or -1 with `EINVAL` (NULL, empty or `=` name) or `ENOMEM`.
///
/// # Safety
/// - `name` is NULL or a readable NUL-terminated string.
pub unsafe fn unsetenv(name: *const c_char) -> c_int {
    if process::is_unbound() {
        return UNBOUND;
    }
    if name.is_null() {
        return result(Err(Error::InvalidName));
    }
    // SAFETY: the caller's promise.
    match unsafe { process::unset_c(name) } {
        Ok(()) => 0,
        // SAFETY: the caller's promise.
        Err(error) => refused(unsafe { CStr::from_ptr(name) }.to_bytes(), error, &UNSETENV_ASKED),
    }
}

/// `clearenv()`: empties the environment. 0, or -1 with `ENOMEM` if it is the first change and there is no memory.
///
/// # Safety
/// - none beyond those of the other functions.
pub unsafe fn clearenv() -> c_int {
    if process::is_unbound() {
        return UNBOUND;
    }
    result(process::clear())
}

/// The answer to a change before the dynamic linker has bound what we call, `errno` included (see `process`).
const UNBOUND: c_int = -1;

/// The bytes of a C string, or `None` for NULL.
///
/// # Safety
/// - `string` is NULL, or a NUL-terminated string that stays as it is while the bytes are used.
unsafe fn bytes<'a>(string: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise, NULL apart.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) }.to_bytes())
}

fn result(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => {
            set_errno(error.errno());
            -1
        }
    }
}

fn set_errno(errno: c_int) {
    // SAFETY: the calling thread's own errno.
    unsafe { *libc::__errno_location() = errno };
}
