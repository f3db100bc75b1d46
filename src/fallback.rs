//! The process environment where this implementation does not run: std's functions, with std's lock and std's promises.

use crate::text::os;
use std::env;
use std::ffi::{CStr, CString};

pub(crate) type Value = CString;

pub(crate) fn with<R>(name: &[u8], read: impl FnOnce(&CStr) -> R) -> Option<R> {
    CString::new(env::var_os(os(name))?.into_encoded_bytes()).ok().map(|value| read(&value))
}

pub(crate) fn entries() -> Vec<Value> {
    env::vars_os()
        .filter_map(|(name, value)| {
            let mut entry = name.into_encoded_bytes();
            entry.push(b'=');
            entry.extend_from_slice(value.as_encoded_bytes());
            CString::new(entry).ok()
        })
        .collect()
}

#[cfg(any(windows, target_os = "linux"))]
pub(crate) use writers::{batch, set, unset};

#[cfg(any(windows, target_os = "linux"))]
mod writers {
    use crate::text::os;
    use mtsafe_env_core::Error;
    use std::env;

    pub(crate) fn set(name: &[u8], value: &[u8]) -> Result<(), Error> {
        // SAFETY: on Windows std's function has no conditions. On Linux this is compiled into models only (`--cfg loom`), whose threads
        // are one thread of the system.
        unsafe { env::set_var(os(name), os(value)) };
        Ok(())
    }

    pub(crate) fn unset(name: &[u8]) -> Result<(), Error> {
        // SAFETY: as in `set`.
        unsafe { env::remove_var(os(name)) };
        Ok(())
    }

    pub(crate) fn batch(changes: &[(&[u8], Option<&[u8]>)]) -> Result<(), Error> {
        changes.iter().try_for_each(|&(name, value)| match value {
            Some(value) => set(name, value),
            None => unset(name),
        })
    }
}
