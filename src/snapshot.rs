//! All variables, as of one moment.
#![forbid(unsafe_code)]

use crate::imp;
use crate::text::{owned, split};
use std::ffi::{OsStr, OsString};
use std::iter::FusedIterator;
use std::{fmt, vec};

/// The environment of the process, as it was at one moment: what [`snapshot`] returns.
///
/// On Linux it holds pointers to strings that live as long as the process, and copies none of them.
#[derive(Clone)]
pub struct Snapshot {
    entries: Vec<imp::Value>,
}

/// Takes a snapshot: every variable that was set at one moment, once, with the value it had then. A [`Batch`](crate::Batch) is
/// in it whole or not at all.
///
/// # Examples
/// ```
/// mtsafe_env::set_var("COLOUR", "red");
/// let then = mtsafe_env::snapshot();
/// mtsafe_env::set_var("COLOUR", "blue");
/// assert_eq!(then.get("COLOUR"), Some("red".as_ref()));
/// ```
///
/// # Progress
/// MT-Safe, not AS-Safe; blocking: the writers' lock is held for one pass over the pointers, in which nothing is copied or
/// allocated but them. Allocates.
///
/// # Source
/// None in C or std: a walk of `environ` beside writers may see a variable twice or miss one that is being changed. One moment
/// needs writers that take our lock: see [`status`](crate::status) and [`soundness`](crate::soundness).
pub fn snapshot() -> Snapshot {
    Snapshot { entries: imp::entries() }
}

impl Snapshot {
    /// The value that `name` had.
    ///
    /// # Examples
    /// ```
    /// mtsafe_env::set_var("COLOUR", "red");
    /// assert_eq!(mtsafe_env::snapshot().get("COLOUR"), Some("red".as_ref()));
    /// ```
    ///
    /// # Progress
    /// Compares `name` with each variable.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        let name = name.as_ref();
        self.iter().find(|&(found, _)| found == name).map(|(_, value)| value)
    }

    /// The variables and their values.
    ///
    /// # Examples
    /// ```
    /// let now = mtsafe_env::snapshot();
    /// let longest = now.iter().max_by_key(|(_, value)| value.len());
    /// # let _ = longest;
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> + fmt::Debug + Clone {
        Entries(self.entries.iter())
    }

    pub(crate) fn into_vars(self) -> Vars {
        Vars(self.into_iter())
    }
}

#[derive(Clone)]
struct Entries<'a>(std::slice::Iter<'a, imp::Value>);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a OsStr, &'a OsStr);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.find_map(|entry| split(entry.to_bytes()))
    }
}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(|(name, _)| name)).finish()
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
pub struct VarsOs(vec::IntoIter<imp::Value>);

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
        f.debug_tuple("VarsOs").field(&Entries(self.0.as_slice().iter())).finish()
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
#[derive(Debug)]
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
