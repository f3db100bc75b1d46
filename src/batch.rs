//! Several changes published at once.
#![forbid(unsafe_code)]

use crate::error::{ChangeError, check, check_name};
use crate::imp;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// Several changes of the process environment that are made at once: a `.env` file, say.
///
/// # Who sees what
/// - **Readers of this crate** (`var`, `var_os`, `with_var`, [`process::get`](crate::process::get), snapshots) see all changes of a
///   batch or none: who has read one new value never reads an old one afterwards.
/// - **C's `getenv`, `std::env::var` and everything that walks `environ`** load the list head once per call or walk, and a batch is
///   one store to it. A walk that starts later sees all of the batch. One that started earlier goes on in the list as it was;
///   only if it is still in that array when the *next* batch is being prepared (it was suspended since before the last one)
///   may it meet some values of the next batch a moment before they are published. It is memory-safe in any case, and finds
///   every variable that nobody changes.
/// - Two calls, by anybody, are two moments: a program that reads `A` before the batch and `B` after it has seen an old `A` and a
///   new `B`. A [`snapshot`](crate::snapshot) is one.
/// - Where [`status`](crate::status) says `Preloaded`, and on other platforms than Linux, the changes are made one after the other.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// let mut batch = mtsafe_env::Batch::new();
/// for line in "HOST=localhost\nPORT=8080".lines() {
///     if let Some((name, value)) = line.split_once('=') {
///         batch.set(name, value)?;
///     }
/// }
/// batch.remove("SOCKET")?;
/// batch.publish()?;
/// assert_eq!(mtsafe_env::var("PORT").as_deref(), Ok("8080"));
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "a batch changes nothing before it is published"]
pub struct Batch {
    changes: Vec<(OsString, Option<OsString>)>,
    /// The first pair that an iterator brought and that cannot be a variable.
    refused: Option<ChangeError>,
}

impl Batch {
    /// A batch without changes.
    ///
    /// # Examples
    /// ```
    /// # mtsafe_env::interpose!();
    /// assert_eq!(mtsafe_env::Batch::new().publish(), Ok(()));
    /// ```
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Appends: set `name` to `value`. Of several changes of one name the last counts.
    ///
    /// # Examples
    /// ```
    /// let mut batch = mtsafe_env::Batch::new();
    /// batch.set("A", "1")?.set("B", "2")?;
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// A name that is empty or contains `=` or NUL, a value that contains NUL. The batch is as it was.
    pub fn set<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        name: K,
        value: V,
    ) -> Result<&mut Batch, ChangeError> {
        let (name, value) = (name.as_ref(), value.as_ref());
        check(name, value)?;
        self.changes.push((name.to_owned(), Some(value.to_owned())));
        Ok(self)
    }

    /// Appends: remove `name`.
    ///
    /// # Examples
    /// ```
    /// let mut batch = mtsafe_env::Batch::new();
    /// batch.remove("A")?.remove("B")?;
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// A name that is empty or contains `=` or NUL. The batch is as it was.
    pub fn remove<K: AsRef<OsStr>>(&mut self, name: K) -> Result<&mut Batch, ChangeError> {
        let name = name.as_ref();
        check_name(name)?;
        self.changes.push((name.to_owned(), None));
        Ok(self)
    }

    /// Makes all changes, at once. The batch can be published again.
    ///
    /// # Examples
    /// ```
    /// # mtsafe_env::interpose!();
    /// let mut batch = mtsafe_env::Batch::new();
    /// batch.set("A", "1")?.set("B", "2")?;
    /// batch.publish()?;
    /// assert_eq!(mtsafe_env::var("B").as_deref(), Ok("2"));
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// The first pair that was collected from an iterator and cannot be a variable; no memory, or a process that does not use this
    /// crate's functions (the name is that of the first change). Nothing was changed. (Where `status` says `Preloaded`, without memory
    /// some changes may have been made.)
    ///
    /// # Progress
    /// MT-Safe, not AS-Safe; blocking (the writers' lock), for as many comparisons of names as the square of the number of
    /// variables. Endless batches need no more memory than two arrays and the distinct `NAME=VALUE` strings.
    pub fn publish(&self) -> Result<(), ChangeError> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        let changes: Vec<_> = self
            .changes
            .iter()
            .map(|(name, value)| (name.as_encoded_bytes(), value.as_deref().map(OsStr::as_encoded_bytes)))
            .collect();
        let first = self.changes.first().map_or(OsStr::new(""), |(name, _)| name);
        imp::batch(&changes).map_err(|error| ChangeError::new(first, imp::reason(error)))
    }
}

/// Appends: set each name to its value. A pair that cannot be a variable is reported by [`publish`](Batch::publish), which changes nothing
/// then.
///
/// # Examples
/// ```
/// use mtsafe_env::{Batch, Reason};
///
/// # mtsafe_env::interpose!();
/// let mut batch: Batch = [("A", "1"), ("B", "2")].into_iter().collect();
/// batch.publish()?;
/// batch.extend([("C", "3"), ("", "4")]);
/// assert_eq!(batch.publish().unwrap_err().reason(), Reason::NameEmpty);
/// assert_eq!(mtsafe_env::var_os("C"), None);
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
impl<K: AsRef<OsStr>, V: AsRef<OsStr>> Extend<(K, V)> for Batch {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, variables: I) {
        for (name, value) in variables {
            if let Err(error) = self.set(name, value) {
                self.refused.get_or_insert(error);
            }
        }
    }
}

/// As `extend` of an empty batch.
impl<K: AsRef<OsStr>, V: AsRef<OsStr>> FromIterator<(K, V)> for Batch {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Batch {
        let mut batch = Batch::new();
        batch.extend(variables);
        batch
    }
}

/// Names only: values are often secrets.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            self.changes.iter().map(|(name, value)| (name, if value.is_some() { "set" } else { "remove" }));
        f.debug_map().entries(names).finish()
    }
}
