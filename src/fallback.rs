//! The process environment where this implementation is not used: std's functions, with std's lock and std's promises.

use crate::text::os;
use std::borrow::Cow;
use std::env;
use std::ffi::{CStr, CString};

pub(crate) fn with<R>(name: &[u8], read: impl FnOnce(&CStr) -> R) -> Option<R> {
    // glibc's `getenv("A=B")` finds "C" in `A=B=C`.
    if name.contains(&b'=') {
        return None;
    }
    CString::new(env::var_os(os(name))?.into_encoded_bytes()).ok().map(|value| read(&value))
}

pub(crate) fn entries() -> Vec<Cow<'static, CStr>> {
    env::vars_os()
        .filter_map(|(name, value)| {
            let mut entry = name.into_encoded_bytes();
            entry.push(b'=');
            entry.extend_from_slice(value.as_encoded_bytes());
            CString::new(entry).ok().map(Cow::Owned)
        })
        .collect()
}

#[cfg(any(windows, all(target_os = "linux", any(loom, miri))))]
pub(crate) use writers::{batch, clear, reason, set, unset};

/// Where the system's environment is not C's: on Windows. And where there is no C: in models and under Miri.
#[cfg(any(windows, all(target_os = "linux", any(loom, miri))))]
mod writers {
    use crate::error::Reason;
    use crate::text::os;
    use std::convert::Infallible as Error;
    use std::env;

    /// Nothing is refused whose names and values were checked.
    pub(crate) fn reason(error: Error) -> Reason {
        match error {}
    }

    pub(crate) fn set(name: &[u8], value: &[u8], overwrite: bool) -> Result<(), Error> {
        if overwrite || env::var_os(os(name)).is_none() {
            // SAFETY: on Windows std's function has no conditions. Models have one thread of the system; Miri has no readers but std's, which
            // take its lock.
            unsafe { env::set_var(os(name), os(value)) };
        }
        Ok(())
    }

    pub(crate) fn unset(name: &[u8]) -> Result<(), Error> {
        // SAFETY: as in `set`.
        unsafe { env::remove_var(os(name)) };
        Ok(())
    }

    pub(crate) fn clear() -> Result<(), Error> {
        env::vars_os()
            .map(|(name, _)| name.into_encoded_bytes())
            // Windows has variables such as `=C:`, which std cannot remove.
            .filter(|name| !name.contains(&b'='))
            .try_for_each(|name| unset(&name))
    }

    pub(crate) fn batch(changes: &[(&[u8], Option<&[u8]>)]) -> Result<(), Error> {
        changes.iter().try_for_each(|&(name, value)| match value {
            Some(value) => set(name, value, true),
            None => unset(name),
        })
    }
}
