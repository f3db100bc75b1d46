//! The C face: checks for NULL, one call, `errno`. No algorithm.
//!
//! The functions here are ordinary ones. [`interpose!`](crate::interpose) exports them under their C names.
//!
//! Called from an IFUNC resolver of another library, before the dynamic linker has relocated this one, reads find nothing, as
//! libc's do at that time, and changes return -1; not even `errno` can be reached.

use crate::error::Error;
use crate::process;
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
#[macro_export]
macro_rules! interpose {
    () => {
        #[cfg(not(miri))]
        const _: () = {
            use $crate::c;
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

// The types above are C's: `libc` declares the same.
// (It lacks `secure_getenv`, which C declares like `getenv`.)
const _: GetEnvFn = libc::getenv;
const _: SetEnvFn = libc::setenv;
const _: PutEnvFn = libc::putenv;
const _: UnsetEnvFn = libc::unsetenv;
const _: ClearEnvFn = libc::clearenv;

/// `getenv(name)`: the value of `name`, or NULL; NULL for a NULL name. `errno` is not touched.
///
/// The string lives as long as the process, unchanged if `setenv` made it. MT-Safe, AS-Safe, wait-free: at most one load per
/// slot of the array.
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
    if !process::relocated() {
        return ptr::null_mut();
    }
    // SAFETY: `getauxval` has no conditions.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
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
    if !process::relocated() {
        return -1;
    }
    // SAFETY: the caller's promise.
    let (name, value) = unsafe { (bytes(name), bytes(value)) };
    result(match (name, value) {
        (Some(name), Some(value)) => process::set(name, value, overwrite != 0),
        (None, _) => Err(Error::InvalidName),
        (_, None) => Err(Error::InvalidValue),
    })
}

/// `putenv(string)`: makes `string` itself the entry, or removes the variable if there is no `=` in it. 0, or -1 with `EINVAL`
/// (NULL, empty, or nothing before the `=`) or `ENOMEM`.
///
/// # Safety
/// - `string` is NULL or a NUL-terminated string that stays readable and terminated as long as anybody may read it.
pub unsafe fn putenv(string: *mut c_char) -> c_int {
    if !process::relocated() {
        return -1;
    }
    // SAFETY: the caller's promise.
    result(match unsafe { bytes(string) } {
        None => Err(Error::InvalidName),
        Some(text) if !text.contains(&b'=') => process::unset(text),
        // SAFETY: the caller's promise.
        Some(_) => unsafe { process::put(string) },
    })
}

/// `unsetenv(name)`: removes every entry of that name. 0, or -1 with `EINVAL` (NULL, empty or `=` name) or `ENOMEM`.
///
/// # Safety
/// - `name` is NULL or a readable NUL-terminated string.
pub unsafe fn unsetenv(name: *const c_char) -> c_int {
    if !process::relocated() {
        return -1;
    }
    // SAFETY: the caller's promise.
    result(unsafe { bytes(name) }.ok_or(Error::InvalidName).and_then(process::unset))
}

/// `clearenv()`: empties the environment. 0, or -1 with `ENOMEM` if it is the first change and there is no memory.
///
/// # Safety
/// - none beyond those of the other functions.
pub unsafe fn clearenv() -> c_int {
    if !process::relocated() {
        return -1;
    }
    result(process::clear())
}

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
            // SAFETY: the calling thread's own errno.
            unsafe { *libc::__errno_location() = error.errno() };
            -1
        }
    }
}
