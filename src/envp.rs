//! An environment for `execve`.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr;

/// A null-terminated array of `NAME=VALUE` strings that owns them: what [`Environ::as_envp`](crate::Environ::as_envp) returns.
///
/// # Examples
/// ```
/// # #[cfg(target_os = "linux")] {
/// let environ = mtsafe_env::Environ::try_from([("COLOUR", "red")]).unwrap();
/// let envp = environ.as_envp();
/// let argv = [c"true".as_ptr(), std::ptr::null()];
/// let mut child = 0;
/// // SAFETY: the path, the arguments and the environment are what posix_spawn wants, and live until it returns.
/// let error = unsafe {
///     libc::posix_spawn(
///         &mut child, c"/bin/true".as_ptr(), std::ptr::null(), std::ptr::null(),
///         argv.as_ptr().cast(), envp.as_ptr().cast(),
///     )
/// };
/// assert_eq!(error, 0);
/// # unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
/// # }
/// ```
#[must_use]
pub struct Envp {
    /// The strings, one after the other. Never changed, so that their addresses hold.
    _strings: Box<[u8]>,
    /// Invariant: the addresses of the strings, then null.
    pointers: Box<[*const c_char]>,
}

// SAFETY: the pointers point into `_strings`, which nobody changes.
unsafe impl Send for Envp {}
// SAFETY: as above.
unsafe impl Sync for Envp {}

impl Envp {
    pub(crate) fn new(entries: &[&CStr]) -> Envp {
        let strings: Vec<u8> = entries.iter().flat_map(|entry| entry.to_bytes_with_nul()).copied().collect();
        let strings = strings.into_boxed_slice();
        let mut start = 0;
        let addresses = entries.iter().map(|entry| {
            let at: *const c_char = strings.as_ptr().wrapping_add(start).cast();
            start += entry.to_bytes_with_nul().len();
            at
        });
        let pointers = addresses.chain([ptr::null()]).collect();
        Envp { _strings: strings, pointers }
    }

    /// The array, valid as long as `self`: `envp` of `execve`, `posix_spawn`, `fexecve`.
    ///
    /// # Examples
    /// ```
    /// let envp = mtsafe_env::Environ::new().as_envp();
    /// // SAFETY: the array ends in null.
    /// assert!(unsafe { *envp.as_ptr() }.is_null());
    /// ```
    pub fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }

    /// The strings.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::try_from([("A", "1")]).unwrap();
    /// assert!(environ.as_envp().iter().eq([c"A=1"]));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        let strings = self.pointers.iter().filter(|pointer| !pointer.is_null());
        // SAFETY: the invariant: our own strings.
        strings.map(|&string| unsafe { CStr::from_ptr(string) })
    }
}

/// The number of variables only: values are often secrets.
impl fmt::Debug for Envp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envp").field("len", &(self.pointers.len() - 1)).finish_non_exhaustive()
    }
}
