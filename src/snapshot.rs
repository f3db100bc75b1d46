//! All variables, as of one moment.
#![forbid(unsafe_code)]

use crate::imp;
use crate::text::{owned, split};
use std::borrow::Cow;
use std::env::VarError;
use std::ffi::{CStr, OsStr, OsString};
use std::iter::FusedIterator;
use std::{fmt, slice, vec};

/// The environment of the process, as it was at one moment: what [`snapshot`] returns.
///
/// Where [`interposed`](crate::interposed) is true it holds pointers to strings that live as long as the process, and copies none of them.
/// Elsewhere it holds copies.
///
/// Two snapshots are equal if they hold the same variables with the same values, in whatever order.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// mtsafe_env::set_var("COLOUR", "red");
/// let then = mtsafe_env::snapshot();
/// assert_eq!(then.len(), then.iter().count());
/// mtsafe_env::set_var("COLOUR", "blue");
/// assert!(then != mtsafe_env::snapshot());
/// ```
#[derive(Clone)]
#[must_use]
pub struct Snapshot {
    entries: Vec<Cow<'static, CStr>>,
}

/// Takes a snapshot: every variable that was set at one moment, once, with the value it had then. A [`Batch`](crate::Batch) is
/// in it whole or not at all.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// mtsafe_env::set_var("COLOUR", "red");
/// let then = mtsafe_env::snapshot();
/// mtsafe_env::set_var("COLOUR", "blue");
/// assert_eq!(then.get("COLOUR"), Some("red".as_ref()));
/// ```
///
/// # Progress
/// MT-Safe, not AS-Safe; blocking: the writers' lock is held for one pass over the pointers, in which nothing is copied or
/// allocated but them. Allocates. Where `interposed` is false it is std's lock, and the strings are copied.
///
/// # Source
/// None in C: a walk of `environ` beside writers may see a variable twice or miss one that is being changed. One moment
/// needs writers that take the same lock. So where [`status`](crate::status()) says `Preloaded` a snapshot is such a walk: it has every
/// variable that nobody changes meanwhile, and may have one twice that is being changed.
pub fn snapshot() -> Snapshot {
    Snapshot { entries: imp::entries() }
}

impl Snapshot {
    /// The value that `name` had.
    ///
    /// # Examples
    /// ```
    /// # mtsafe_env::interpose!();
    /// mtsafe_env::set_var("COLOUR", "red");
    /// assert_eq!(mtsafe_env::snapshot().get("COLOUR"), Some("red".as_ref()));
    /// ```
    ///
    /// # Progress
    /// Compares `name` with each variable.
    pub fn get<K: AsRef<OsStr>>(&self, name: K) -> Option<&OsStr> {
        let name = name.as_ref();
        self.iter().find(|&(found, _)| found == name).map(|(_, value)| value)
    }

    /// A copy of the value that `name` had, as a `String`.
    ///
    /// # Examples
    /// ```
    /// use mtsafe_env::VarError;
    ///
    /// # mtsafe_env::interpose!();
    /// mtsafe_env::set_var("COLOUR", "red");
    /// let now = mtsafe_env::snapshot();
    /// assert_eq!(now.var("COLOUR").as_deref(), Ok("red"));
    /// assert_eq!(now.var("NO_SUCH_COLOUR"), Err(VarError::NotPresent));
    /// ```
    ///
    /// # Errors
    /// `NotPresent` without such a variable, `NotUnicode` with the value if it is not valid Unicode.
    ///
    /// # Progress
    /// As [`get`](Self::get).
    pub fn var<K: AsRef<OsStr>>(&self, name: K) -> Result<String, VarError> {
        let value = self.get(name).ok_or(VarError::NotPresent)?;
        value.to_owned().into_string().map_err(VarError::NotUnicode)
    }

    /// How many variables there were.
    ///
    /// # Examples
    /// ```
    /// # mtsafe_env::interpose!();
    /// mtsafe_env::clear();
    /// mtsafe_env::set_var("COLOUR", "red");
    /// assert_eq!(mtsafe_env::snapshot().len(), 1);
    /// ```
    ///
    /// # Progress
    /// Counts them.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// True if there were no variables.
    ///
    /// # Examples
    /// ```
    /// # mtsafe_env::interpose!();
    /// mtsafe_env::clear();
    /// assert!(mtsafe_env::snapshot().is_empty());
    /// ```
    ///
    /// # Progress
    /// Constant time, where no entry without a name comes first.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The variables and their values.
    ///
    /// # Examples
    /// ```
    /// let now = mtsafe_env::snapshot();
    /// let longest = now.iter().max_by_key(|(_, value)| value.len());
    /// # let _ = longest;
    /// ```
    pub fn iter(&self) -> SnapshotIter<'_> {
        SnapshotIter(self.entries.iter())
    }

    pub(crate) fn into_vars(self) -> Vars {
        Vars(self.into_iter())
    }

    #[cfg(feature = "epoch")]
    pub(crate) fn of(entries: Vec<Cow<'static, CStr>>) -> Snapshot {
        Snapshot { entries }
    }

    fn sorted(&self) -> Vec<(&OsStr, &OsStr)> {
        let mut variables: Vec<_> = self.iter().collect();
        variables.sort_unstable();
        variables
    }
}

/// Sorts both. Entries without a name do not count.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// let before = mtsafe_env::snapshot();
/// mtsafe_env::set_var("COLOUR", "red");
/// assert_ne!(mtsafe_env::snapshot(), before);
/// mtsafe_env::remove_var("COLOUR");
/// assert_eq!(mtsafe_env::snapshot(), before);
/// ```
impl PartialEq for Snapshot {
    fn eq(&self, other: &Snapshot) -> bool {
        self.sorted() == other.sorted()
    }
}

impl Eq for Snapshot {}

/// The variables of a [`Snapshot`], borrowed: what [`Snapshot::iter`] returns.
///
/// # Examples
/// ```
/// let now = mtsafe_env::snapshot();
/// let variables: mtsafe_env::SnapshotIter<'_> = now.iter();
/// assert_eq!(variables.count(), now.len());
/// ```
#[derive(Clone)]
pub struct SnapshotIter<'a>(slice::Iter<'a, Cow<'static, CStr>>);

impl<'a> Iterator for SnapshotIter<'a> {
    type Item = (&'a OsStr, &'a OsStr);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.find_map(|entry| split(entry.to_bytes()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.0.len()))
    }
}

impl DoubleEndedIterator for SnapshotIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.by_ref().rev().find_map(|entry| split(entry.to_bytes()))
    }
}

impl FusedIterator for SnapshotIter<'_> {}

/// Names only: values are often secrets.
impl fmt::Debug for SnapshotIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(|(name, _)| name)).finish()
    }
}

/// What [`Snapshot::iter`] returns, for a `for` loop, or for [`Command::envs`](std::process::Command::envs).
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// mtsafe_env::set_var("COLOUR", "red");
/// let now = mtsafe_env::snapshot();
/// for (name, value) in &now {
///     assert_eq!(now.get(name), Some(value));
/// }
/// ```
impl<'a> IntoIterator for &'a Snapshot {
    type Item = (&'a OsStr, &'a OsStr);
    type IntoIter = SnapshotIter<'a>;

    fn into_iter(self) -> SnapshotIter<'a> {
        self.iter()
    }
}

/// Names only: values are often secrets.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Snapshot").field(&self.iter()).finish()
    }
}

impl IntoIterator for Snapshot {
    type Item = (OsString, OsString);
    type IntoIter = VarsOs;

    fn into_iter(self) -> VarsOs {
        VarsOs(self.entries.into_iter())
    }
}

/// Owned variables from a [`Snapshot`]: what [`vars_os`](crate::vars_os) returns.
///
/// # Examples
/// ```
/// let variables: mtsafe_env::VarsOs = mtsafe_env::vars_os();
/// let mut names: Vec<_> = variables.map(|(name, _)| name).collect();
/// names.sort();
/// ```
#[derive(Clone)]
pub struct VarsOs(vec::IntoIter<Cow<'static, CStr>>);

impl Iterator for VarsOs {
    type Item = (OsString, OsString);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.find_map(|entry| split(entry.to_bytes()).map(owned))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.0.len()))
    }
}

impl FusedIterator for VarsOs {}

impl fmt::Debug for VarsOs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VarsOs").field(&SnapshotIter(self.0.as_slice().iter())).finish()
    }
}

/// Owned variables that are valid Unicode: what [`vars`](crate::vars) returns.
///
/// # Examples
/// ```
/// let variables: mtsafe_env::Vars = mtsafe_env::vars();
/// let map: std::collections::HashMap<String, String> = variables.collect();
/// # let _ = map;
/// ```
#[derive(Clone, Debug)]
pub struct Vars(VarsOs);

impl Iterator for Vars {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.find_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl FusedIterator for Vars {}
