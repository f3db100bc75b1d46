//! Through C: for a process whose functions are those of another copy of this implementation.
//!
//! Every writer must take the same lock, and every reader of names must use the hints of whoever changes the list. Both are that
//! copy's, so that reads and changes are calls of its C functions: by their addresses, from black boxes. A call by name may be bound to a
//! definition of this very library (the macro in a plugin) by link-time optimisation, and then two copies change one list, each under a
//! lock of its own.

use crate::process::{Change, Error};
use core::ffi::{CStr, c_char, c_int};
use core::hint::black_box;
use core::ptr;
use mtsafe_env_core::c;

/// Bytes of the longest name or value, NUL included, that is copied to the stack.
const SHORT: usize = 256;

/// Passes a NUL-terminated copy of `bytes` to `call`; `wrong` if there is a NUL in them.
fn with_string<R>(
    bytes: &[u8],
    wrong: Error,
    call: impl FnOnce(*const c_char) -> Result<R, Error>,
) -> Result<R, Error> {
    if bytes.contains(&0) {
        return Err(wrong);
    }
    let mut room = [0u8; SHORT];
    if let Some(copy) = room.get_mut(..bytes.len() + 1).filter(|_| bytes.len() < SHORT) {
        copy[..bytes.len()].copy_from_slice(bytes);
        return call(copy.as_ptr().cast());
    }
    // SAFETY: a size that is not zero, and no overflow: `bytes` is there.
    let copy: *mut u8 = unsafe { libc::malloc(bytes.len() + 1) }.cast();
    if copy.is_null() {
        return Err(Error::OutOfMemory);
    }
    // SAFETY: so many bytes were allocated.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
        copy.add(bytes.len()).write(0);
    }
    let result = call(copy.cast());
    // SAFETY: allocated above; `call` kept nothing.
    unsafe { libc::free(copy.cast()) };
    result
}

/// What a C function returned. Names and values were checked.
fn result(returned: c_int) -> Result<(), Error> {
    if returned == 0 { Ok(()) } else { Err(Error::OutOfMemory) }
}

fn check_name(name: &[u8]) -> Result<(), Error> {
    if name.is_empty() || name.contains(&b'=') { Err(Error::InvalidName) } else { Ok(()) }
}

pub(crate) fn get(name: &[u8]) -> Result<Option<&'static CStr>, Error> {
    let found = with_string(name, Error::InvalidName, |name| {
        // SAFETY: a C string. The function is that of a copy of this implementation, whose strings stay.
        Ok(unsafe {
            black_box(libc::getenv as c::GetEnvFn)(name).as_ref().map(|value| CStr::from_ptr(value))
        })
    });
    match found {
        Err(Error::InvalidName) => Ok(None),
        found => found,
    }
}

pub(crate) fn set(name: &[u8], value: &[u8], overwrite: bool) -> Result<(), Error> {
    check_name(name)?;
    with_string(name, Error::InvalidName, |name| {
        with_string(value, Error::InvalidValue, |value| {
            // SAFETY: C strings. The function is that of a copy of this implementation, which keeps neither.
            result(unsafe { black_box(libc::setenv as c::SetEnvFn)(name, value, overwrite.into()) })
        })
    })
}

/// # Safety
/// - as for [`process::put`](crate::process::put).
pub(crate) unsafe fn put(string: *mut c_char) -> Result<(), Error> {
    // SAFETY: the caller's promise: a C string.
    match unsafe { CStr::from_ptr(string) }.to_bytes() {
        [b'=', ..] => Err(Error::InvalidName),
        text if !text.contains(&b'=') => Err(Error::InvalidName),
        // SAFETY: the caller's promise.
        _ => result(unsafe { black_box(libc::putenv as c::PutEnvFn)(string) }),
    }
}

pub(crate) fn unset(name: &[u8]) -> Result<(), Error> {
    check_name(name)?;
    // SAFETY: a C string.
    with_string(name, Error::InvalidName, |name| {
        // SAFETY: `name` is a C string, which libc only reads; the caller keeps its promise about threads.
        result(unsafe { black_box(libc::unsetenv as c::UnsetEnvFn)(name) })
    })
}

pub(crate) fn clear() -> Result<(), Error> {
    // SAFETY: the function is that of a copy of this implementation: safe beside any reader.
    result(unsafe { black_box(libc::clearenv as c::ClearEnvFn)() })
}

/// One after the other; all are looked at first.
pub(crate) fn batch(changes: &[Change<'_>]) -> Result<(), Error> {
    for &(name, value) in changes {
        check_name(name)?;
        if name.contains(&0) {
            return Err(Error::InvalidName);
        }
        if value.is_some_and(|value| value.contains(&0)) {
            return Err(Error::InvalidValue);
        }
    }
    changes.iter().try_for_each(|&(name, value)| match value {
        Some(value) => set(name, value, true),
        None => unset(name),
    })
}
