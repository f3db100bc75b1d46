//! Changes that are taken back.
#![forbid(unsafe_code)]

use crate::change::{try_remove_var, try_set_var};
use crate::error::ChangeError;
use crate::vars::var_os;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// Changes of the process environment that are taken back on drop, the last one first: for tests.
///
/// Memory-safe beside anything, without a global lock. **Isolation is another matter**: the process has one environment, so
/// other threads, other tests among them, see the changes while they last, and two scopes that change the same variable at the same
/// time may restore each other's values. Give tests variables of their own, or a process of their own, or an
/// [`Environ`](crate::Environ) instead.
///
/// # Examples
/// ```
/// use mtsafe_env::Scope;
///
/// # mtsafe_env::interpose!();
/// mtsafe_env::set_var("COLOUR", "red");
/// {
///     let _scope = Scope::new().set("COLOUR", "blue")?.remove("SHAPE")?;
///     assert_eq!(mtsafe_env::var("COLOUR").as_deref(), Ok("blue"));
/// }
/// assert_eq!(mtsafe_env::var("COLOUR").as_deref(), Ok("red"));
///
/// let colour = Scope::new().set("COLOUR", "green")?.run(|| mtsafe_env::var("COLOUR"));
/// assert_eq!(colour.as_deref(), Ok("green"));
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
///
/// Each change takes the scope and gives it back, so that one which is not kept is noticed: its changes would be taken back at once.
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # fn main() -> Result<(), mtsafe_env::ChangeError> {
/// mtsafe_env::Scope::new().set("COLOUR", "blue")?;
/// # Ok(())
/// # }
/// ```
/// ```no_run
/// #![deny(unused_must_use)]
/// # fn main() -> Result<(), mtsafe_env::ChangeError> {
/// let _scope = mtsafe_env::Scope::new().set("COLOUR", "blue")?;
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use = "the changes are taken back when this is dropped: keep it in a variable, such as `_scope`, or call `run`"]
pub struct Scope {
    /// What was there before each change.
    before: Vec<(OsString, Option<OsString>)>,
}

impl Scope {
    /// A scope without changes.
    ///
    /// # Examples
    /// ```
    /// let scope = mtsafe_env::Scope::new();
    /// drop(scope);
    /// ```
    pub fn new() -> Scope {
        Scope::default()
    }

    /// Sets `name` to `value`, as [`try_set_var`] does, until the scope is dropped.
    ///
    /// # Examples
    /// ```
    /// # mtsafe_env::interpose!();
    /// let mut scope = mtsafe_env::Scope::new().set("COLOUR", "blue")?.set("SHAPE", "round")?;
    /// for (name, value) in [("A", "1"), ("B", "2")] {
    ///     scope = scope.set(name, value)?;
    /// }
    /// assert_eq!(mtsafe_env::var("B").as_deref(), Ok("2"));
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_set_var`]; the changes made before are taken back.
    ///
    /// # Progress
    /// As [`set_var`](crate::set_var).
    pub fn set<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, name: K, value: V) -> Result<Scope, ChangeError> {
        let name = name.as_ref();
        let before = var_os(name);
        try_set_var(name, value)?;
        self.before.push((name.to_owned(), before));
        Ok(self)
    }

    /// Removes `name`, as [`try_remove_var`] does, until the scope is dropped.
    ///
    /// # Examples
    /// ```
    /// # mtsafe_env::interpose!();
    /// let _scope = mtsafe_env::Scope::new().remove("COLOUR")?;
    /// assert_eq!(mtsafe_env::var_os("COLOUR"), None);
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_remove_var`]; the changes made before are taken back.
    ///
    /// # Progress
    /// As [`set_var`](crate::set_var).
    pub fn remove<K: AsRef<OsStr>>(mut self, name: K) -> Result<Scope, ChangeError> {
        let name = name.as_ref();
        let before = var_os(name);
        try_remove_var(name)?;
        self.before.push((name.to_owned(), before));
        Ok(self)
    }

    /// Runs `body`, takes the changes back, also if it panics, and returns what it returned.
    ///
    /// # Examples
    /// ```
    /// # mtsafe_env::interpose!();
    /// let scope = mtsafe_env::Scope::new().set("COLOUR", "blue")?;
    /// assert_eq!(scope.run(|| mtsafe_env::var("COLOUR")).as_deref(), Ok("blue"));
    /// assert_eq!(mtsafe_env::var_os("COLOUR"), None);
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    pub fn run<R>(self, body: impl FnOnce() -> R) -> R {
        let _until_here = self;
        body()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        while let Some((name, before)) = self.before.pop() {
            // Without memory the variable stays as it is: a drop has nobody to tell. Names and values were valid before.
            let _ = match before {
                Some(value) => try_set_var(name, value),
                None => try_remove_var(name),
            };
        }
    }
}

/// Names only: values are often secrets.
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.before.iter().map(|(name, _)| name)).finish()
    }
}
