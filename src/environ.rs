//! `Environ`: an owned environment list, read without a lock, whose memory is reclaimed.
//!
//! Two structures hold the same entries. The *list* ([`Owned`], the algorithm of the process environment) is what
//! C can walk and what says the order. The *index* ([`crate::index`]) answers `get` at once: nobody can store into an `Environ` behind its
//! back, so the index is exact. Every update changes both under one lock; readers of names use the index alone, and everything
//! that shows more than one variable takes the lock to copy the pointers, so that it shows one moment.
//!
//! An entry, array or table that was unlinked from both is retired to crossbeam's default collector. The writer's lock is never
//! held while that runs what others retired.

use crate::envp::Envp;
use crate::error::{ChangeError, Reason, check, check_name};
use crate::index::{Entry, Found, Table};
use crate::snapshot::{Snapshot, VarsOs};
use crate::sync::{self, AtomicPtr, Hasher, Mutex, MutexGuard, Ordering, PoisonError};
use crate::text::{os, owned, split};
use crossbeam_epoch as epoch;
use mtsafe_env_core::{Memory, Owned};
use std::alloc::{Layout, handle_alloc_error};
use std::borrow::Cow;
use std::collections::HashMap;
use std::env::VarError;
use std::ffi::{CStr, OsStr, OsString, c_char};
use std::fmt;
use std::hash::BuildHasher;
use std::process::Command;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

/// An environment of one's own, independent of the process: for a child process, a tenant, a test.
///
/// Any number of threads may read and change it. Readers take no lock. Names and values are OS strings; the rules for names
/// are the process environment's, and names are told apart by case, on Windows, too.
///
/// # Memory
/// What is replaced or removed is given back as soon as no reader can hold it, so memory is bounded by the data that is alive and
/// 64 KiB, as long as no thread stays [pinned](Environ::pin). That holds for the list and the index, too: both shrink when most
/// variables are removed, and [`clear`](Environ::clear) gives everything back. (Epochs are process-wide: a thread that keeps any
/// `crossbeam_epoch` guard holds back memory everywhere.)
///
/// Two of them are equal if they hold the same variables with the same values.
///
/// # Names
/// Names are found by a hash whose key is drawn anew for each `Environ`: whoever chooses names cannot make them collide.
///
/// # Examples
/// ```
/// use mtsafe_env::Environ;
///
/// let environ = Environ::new();
/// environ.set("COLOUR", "red")?;
/// std::thread::scope(|threads| {
///     threads.spawn(|| environ.set("COLOUR", "blue"));
///     threads.spawn(|| environ.pin().get("COLOUR").is_some_and(|colour| colour == "red" || colour == "blue"));
/// });
/// assert_eq!(environ.var("COLOUR").as_deref(), Ok("blue"));
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
///
/// # Progress
/// Reads are lock-free (they pin an epoch, then wait-free: an expected constant number of loads). Writers take turns at one lock;
/// nothing here is AS-Safe, and after `fork` a child of several threads must leave it alone, as anything with a lock.
pub struct Environ {
    list: Owned,
    /// The index, or null when there is nothing.
    table: AtomicPtr<Table>,
    writer: Mutex<Writer>,
    /// How names are hashed; drawn when there is the first one.
    hasher: OnceLock<Hasher>,
}

// The compiler can check what is promised.
const _: () = {
    const fn send_sync<T: Send + Sync>() {}
    send_sync::<Environ>();
};

/// What only writers use.
#[derive(Debug)]
struct Writer {
    /// Variables.
    len: usize,
    /// Places of the table that are not empty.
    used: usize,
    /// Bytes of the entries.
    bytes: usize,
    /// Bytes retired since the collector was last asked to run.
    retired: usize,
}

impl Writer {
    const EMPTY: Writer = Writer { len: 0, used: 0, bytes: 0, retired: 0 };
}

/// Bytes that may be retired, beyond as many as are alive, before the collector is asked to run.
const LITTER: usize = if cfg!(loom) { 0 } else { 1 << 16 };
/// Slots of the smallest array.
const MIN_SLOTS: usize = if cfg!(loom) { 3 } else { 16 };

/// There is no memory; nothing was changed.
struct NoMemory;

impl Environ {
    /// An empty environment. Allocates nothing.
    ///
    /// # Examples
    /// ```
    /// use mtsafe_env::Environ;
    ///
    /// static SHARED: Environ = Environ::new();
    ///
    /// assert!(SHARED.is_empty());
    /// SHARED.set("COLOUR", "red")?;
    /// assert!(SHARED.contains("COLOUR"));
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    #[cfg(not(loom))]
    pub const fn new() -> Environ {
        Environ {
            list: Owned::new(),
            table: AtomicPtr::new(ptr::null_mut()),
            writer: Mutex::new(Writer::EMPTY),
            hasher: OnceLock::new(),
        }
    }

    /// An empty environment.
    #[cfg(loom)]
    pub fn new() -> Environ {
        Environ {
            list: Owned::new(),
            table: AtomicPtr::new(ptr::null_mut()),
            writer: Mutex::new(Writer::EMPTY),
            hasher: OnceLock::new(),
        }
    }

    /// A copy of the process environment, as of one moment.
    ///
    /// # Examples
    /// ```
    /// # mtsafe_env::interpose!();
    /// mtsafe_env::set_var("COLOUR", "red");
    /// let environ = mtsafe_env::Environ::from_process();
    /// environ.remove("COLOUR")?;
    /// assert_eq!(mtsafe_env::var("COLOUR").as_deref(), Ok("red"));
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Progress
    /// As [`snapshot`](crate::snapshot).
    pub fn from_process() -> Environ {
        crate::snapshot::snapshot().into()
    }

    /// An environment of these variables; of several values for one name the last counts.
    ///
    /// # Examples
    /// ```
    /// use mtsafe_env::Environ;
    ///
    /// let environ = Environ::try_from_iter((1..=3).map(|i| (format!("A{i}"), i.to_string())))?;
    /// assert_eq!(environ.len(), 3);
    /// assert_eq!(Environ::try_from_iter([("A=B", "1")]).unwrap_err().name(), "A=B");
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// A pair that cannot be a variable, no memory.
    pub fn try_from_iter<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Environ, ChangeError> {
        let environ = Environ::new();
        for (name, value) in variables {
            environ.set(name, value)?;
        }
        Ok(environ)
    }

    /// Sees to it that nothing is freed which the returned guard shows. Keep it for a few reads, not for minutes: while any thread
    /// is pinned, what is replaced everywhere piles up.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::new();
    /// environ.set("COLOUR", "red")?;
    /// let guard = environ.pin();
    /// let colour = guard.get("COLOUR");
    /// environ.set("COLOUR", "blue")?;
    /// assert_eq!(colour, Some("red".as_ref())); // still readable
    /// assert_eq!(guard.get("COLOUR"), Some("blue".as_ref()));
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// What the guard shows does not outlive it, nor the guard the environment:
    /// ```compile_fail,E0505
    /// let environ = mtsafe_env::Environ::new();
    /// let guard = environ.pin();
    /// let colour = guard.get("COLOUR");
    /// drop(guard);
    /// println!("{colour:?}");
    /// ```
    /// ```compile_fail,E0505
    /// let environ = mtsafe_env::Environ::new();
    /// let guard = environ.pin();
    /// drop(environ);
    /// println!("{:?}", guard.get("COLOUR"));
    /// ```
    /// ```
    /// let environ = mtsafe_env::Environ::new();
    /// let guard = environ.pin();
    /// let colour = guard.get("COLOUR");
    /// println!("{colour:?}");
    /// drop(guard);
    /// drop(environ);
    /// ```
    ///
    /// It stays on its thread, other than the environment itself:
    /// ```compile_fail,E0277
    /// let environ = mtsafe_env::Environ::new();
    /// let guard = environ.pin();
    /// std::thread::scope(|threads| {
    ///     threads.spawn(|| println!("{:?}", guard.get("COLOUR")));
    /// });
    /// ```
    /// ```
    /// let environ = mtsafe_env::Environ::new();
    /// std::thread::scope(|threads| {
    ///     threads.spawn(|| println!("{:?}", environ.pin().get("COLOUR")));
    /// });
    /// ```
    ///
    /// # Progress
    /// Lock-free. May free what others retired.
    pub fn pin(&self) -> Pinned<'_> {
        Pinned { environ: self, _epoch: epoch::pin() }
    }

    /// True if there is a variable `name`. Copies nothing.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::try_from([("COLOUR", "red")])?;
    /// assert!(environ.contains("COLOUR") && !environ.contains("SHAPE"));
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Progress
    /// Lock-free.
    pub fn contains<K: AsRef<OsStr>>(&self, name: K) -> bool {
        self.pin().get_c(name).is_some()
    }

    /// A copy of the value of `name`, or `None`.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::new();
    /// environ.set("COLOUR", "red")?;
    /// assert_eq!(environ.var_os("COLOUR"), Some("red".into()));
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Progress
    /// Lock-free, but for the allocation.
    pub fn var_os<K: AsRef<OsStr>>(&self, name: K) -> Option<OsString> {
        self.pin().get(name).map(OsStr::to_owned)
    }

    /// A copy of the value of `name` as a `String`.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::new();
    /// environ.set("COLOUR", "red")?;
    /// assert_eq!(environ.var("COLOUR").as_deref(), Ok("red"));
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// `NotPresent` without such a variable, `NotUnicode` with the value if it is not valid Unicode.
    ///
    /// # Progress
    /// As [`var_os`](Self::var_os).
    pub fn var<K: AsRef<OsStr>>(&self, name: K) -> Result<String, VarError> {
        self.var_os(name).ok_or(VarError::NotPresent)?.into_string().map_err(VarError::NotUnicode)
    }

    /// Sets `name` to `value`.
    ///
    /// # Examples
    /// ```
    /// use mtsafe_env::{Environ, Reason};
    ///
    /// let environ = Environ::new();
    /// environ.set("COLOUR", "red")?;
    /// assert_eq!(environ.set("A=B", "1").unwrap_err().reason(), Reason::NameHasEquals);
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// A name that is empty or contains `=` or NUL, a value that contains NUL, no memory. Nothing was changed. (What crossbeam
    /// allocates for itself aborts without memory.)
    ///
    /// # Progress
    /// Blocking (the writers' lock), constant time but for growth. A variable that has that value already is left alone, without
    /// the lock.
    pub fn set<K: AsRef<OsStr>, V: AsRef<OsStr>>(&self, name: K, value: V) -> Result<(), ChangeError> {
        let (name, value) = (name.as_ref(), value.as_ref());
        check(name, value)?;
        self.store(name.as_encoded_bytes(), value.as_encoded_bytes())
            .map_err(|NoMemory| ChangeError::new(name, Reason::OutOfMemory))
    }

    /// Removes `name`. True if it was there.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::new();
    /// environ.set("COLOUR", "red")?;
    /// assert!(environ.remove("COLOUR")?);
    /// assert!(!environ.remove("COLOUR")?);
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// A name that is empty or contains `=` or NUL. Nothing was changed.
    ///
    /// # Progress
    /// Blocking (the writers' lock), constant time.
    pub fn remove<K: AsRef<OsStr>>(&self, name: K) -> Result<bool, ChangeError> {
        let name = name.as_ref();
        check_name(name)?;
        Ok(self.unset(name.as_encoded_bytes()))
    }

    /// Takes a whole entry, as C's `putenv` does: sets the variable if it is `NAME=VALUE`, removes it if it is a `NAME` alone.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::new();
    /// environ.put("COLOUR=red=ish")?;
    /// assert_eq!(environ.var("COLOUR").as_deref(), Ok("red=ish"));
    /// environ.put("COLOUR")?;
    /// assert!(environ.is_empty());
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Progress
    /// As [`set`](Self::set).
    ///
    /// # Source
    /// POSIX `putenv`; the string is copied, other than there.
    pub fn put<E: AsRef<OsStr>>(&self, entry: E) -> Result<(), ChangeError> {
        let bytes = entry.as_ref().as_encoded_bytes();
        match bytes.iter().position(|&byte| byte == b'=') {
            Some(at) => {
                let (name, value) = bytes.split_at(at);
                self.set(os(name), os(value.get(1..).unwrap_or_default()))
            }
            None => self.remove(entry).map(drop),
        }
    }

    /// Removes all variables, at once, and gives their memory back, that of the list and the index included.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::from_process();
    /// environ.clear();
    /// assert!(environ.is_empty());
    /// ```
    ///
    /// # Progress
    /// Blocking (the writers' lock), one step per variable.
    pub fn clear(&self) {
        self.update(|writer, retire| {
            let Some(table) = self.own_table() else { return };
            self.publish(ptr::null_mut());
            // SAFETY: I4: not freed before this call retires it.
            let some = unsafe { table.as_ref() }.entries().next();
            // SAFETY: the lock is held.
            unsafe { self.list.clear() };
            if let Some(some) = some {
                self.shrink(0, retire, some);
                // SAFETY: the lock is held.
                unsafe { self.list.clear() };
            }
            retire.all(table, writer.bytes);
            *writer = Writer { retired: writer.retired, ..Writer::EMPTY };
        });
    }

    /// How many variables there are.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::try_from([("A", "1"), ("B", "2")]).unwrap();
    /// assert_eq!(environ.len(), 2);
    /// ```
    ///
    /// # Progress
    /// Blocking (the writers' lock), constant time.
    pub fn len(&self) -> usize {
        self.lock().len
    }

    /// True if there are no variables.
    ///
    /// # Examples
    /// ```
    /// assert!(mtsafe_env::Environ::new().is_empty());
    /// ```
    ///
    /// # Progress
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies of all variables, as of one moment, in no particular order.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::try_from([("A", "1")]).unwrap();
    /// assert_eq!(environ.vars_os(), [("A".into(), "1".into())]);
    /// ```
    ///
    /// # Progress
    /// Blocking (the writers' lock, for one pass over the pointers).
    pub fn vars_os(&self) -> Vec<(OsString, OsString)> {
        self.pin().iter().map(owned).collect()
    }

    /// Sets every pair, or none if one of them cannot be a variable. (One after the other: readers may see some of them first.)
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::new();
    /// environ.try_extend([("A", "1"), ("B", "2")])?;
    /// assert_eq!(environ.try_extend([("C", "3"), ("", "4")]).unwrap_err().name(), "");
    /// assert_eq!(environ.len(), 2);
    /// # Ok::<(), mtsafe_env::ChangeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`set`](Self::set), for the first pair that is refused. Without memory some pairs may have been set.
    ///
    /// # Progress
    /// As [`set`](Self::set), for each pair.
    pub fn try_extend<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        &self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<(), ChangeError> {
        let variables: Vec<_> = variables.into_iter().collect();
        for (name, value) in &variables {
            check(name.as_ref(), value.as_ref())?;
        }
        variables.iter().try_for_each(|(name, value)| self.set(name, value))
    }

    /// All variables as of one moment, as `execve` and `posix_spawn` take them.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::try_from([("A", "1")]).unwrap();
    /// let envp = environ.as_envp();
    /// environ.clear();
    /// assert_eq!(envp.iter().collect::<Vec<_>>(), [c"A=1"]);
    /// ```
    ///
    /// # Progress
    /// Blocking (the writers' lock, for one pass over the pointers). Allocates; copies the strings.
    pub fn as_envp(&self) -> Envp {
        let guard = self.pin();
        Envp::new(&guard.entries())
    }

    /// Gives `command` these variables, as of one moment, and no others.
    ///
    /// # Examples
    /// ```
    /// # if cfg!(not(unix)) { return Ok(()) }
    /// let environ = mtsafe_env::Environ::try_from([("COLOUR", "red")]).unwrap();
    /// let output = environ.apply(std::process::Command::new("/bin/sh").args(["-c", "echo $COLOUR $HOME"])).output()?;
    /// assert_eq!(output.stdout, b"red\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Progress
    /// As [`as_envp`](Self::as_envp).
    pub fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env_clear().envs(self.pin().iter())
    }

    /// The lock of the writers. Its data is right after every step, so a panic of another holder (there is none) does not matter.
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, name: &[u8]) -> u64 {
        self.hasher.get_or_init(Hasher::default).hash_one(name)
    }

    /// The table that readers use now.
    fn table(&self) -> Option<NonNull<Table>> {
        // Acquire [table]: pairs with Release in `publish`. Without it loom `a_bystander_survives_a_new_table` fails.
        NonNull::new(self.table.load(Ordering::Acquire))
    }

    /// The same under the writers' lock.
    fn own_table(&self) -> Option<NonNull<Table>> {
        // Relaxed: the lock orders us after every other holder.
        NonNull::new(self.table.load(Ordering::Relaxed))
    }

    /// Under the writers' lock.
    fn publish(&self, table: *mut Table) {
        // Release [table]: pairs with Acquire in `table`. Without it loom `a_bystander_survives_a_new_table` fails.
        self.table.store(table, Ordering::Release);
    }

    /// The entry named `name`. The caller is pinned.
    fn find(&self, name: &[u8]) -> Option<NonNull<Entry>> {
        let table = self.table()?;
        // SAFETY: I4: the caller is pinned.
        match unsafe { table.as_ref() }.find(self.hash(name), name)? {
            Found::Entry(_, entry) => Some(entry),
            Found::Empty(_) => None,
        }
    }

    /// Runs `change` under the lock, pinned, and lets the collector run afterwards if enough was retired.
    fn update<R>(&self, change: impl FnOnce(&mut Writer, &mut Retire<'_>) -> R) -> R {
        // Both the pin and the flush may run what others retired: not under the lock.
        let guard = epoch::pin();
        let mut retire = Retire { guard: &guard, bytes: 0 };
        let (result, full) = {
            let mut writer = self.lock();
            let result = change(&mut writer, &mut retire);
            writer.retired = writer.retired.saturating_add(retire.bytes);
            let full = writer.retired > writer.bytes.saturating_add(LITTER);
            if full {
                writer.retired = 0;
            }
            (result, full)
        };
        drop(guard);
        if full {
            // What was retired is freed two epochs later, and each of these can begin one.
            (0..3).for_each(|_| epoch::pin().flush());
        }
        result
    }

    fn store(&self, name: &[u8], value: &[u8]) -> Result<(), NoMemory> {
        {
            let _pinned = epoch::pin();
            // SAFETY: I4: pinned.
            let same = |entry| unsafe { Entry::value(entry) }.to_bytes() == value;
            if self.find(name).is_some_and(same) {
                return Ok(());
            }
        }
        let hash = self.hash(name);
        let entry = Entry::new(hash, name, value).ok_or(NoMemory)?;
        let stored = self.update(|writer, retire| self.link(writer, retire, hash, name, entry));
        if stored.is_err() {
            // SAFETY: it was not linked: nobody else knows it.
            unsafe { Entry::free(entry) };
        }
        stored
    }

    /// Puts `entry` into both structures.
    fn link(
        &self,
        writer: &mut Writer,
        retire: &mut Retire<'_>,
        hash: u64,
        name: &[u8],
        entry: NonNull<Entry>,
    ) -> Result<(), NoMemory> {
        // SAFETY: not linked yet: ours alone.
        let size = unsafe { entry.as_ref() }.size();
        if let Some(table) = self.own_table() {
            // SAFETY: I4: in use, and only we could retire it.
            if let Some(Found::Entry(place, old)) = unsafe { table.as_ref() }.find(hash, name) {
                // SAFETY: entries in the table are not freed; slots only under the lock.
                unsafe {
                    let slot = old.as_ref().slot.get();
                    entry.as_ref().slot.set(slot);
                    self.list.replace(slot, Entry::string(entry));
                }
                place.set(entry);
                writer.bytes = writer.bytes - retire.entry(old) + size;
                return Ok(());
            }
        }
        let table = self.table_with_room(writer, retire)?;
        self.add_to_list(writer, retire, entry)?;
        // SAFETY: as above.
        if let Some(Found::Empty(place)) = unsafe { table.as_ref() }.find(hash, name) {
            place.set(entry);
        }
        writer.used += 1;
        writer.len += 1;
        writer.bytes += size;
        Ok(())
    }

    /// The table, replaced by another one if it has no empty place to spare (I5).
    fn table_with_room(
        &self,
        writer: &mut Writer,
        retire: &mut Retire<'_>,
    ) -> Result<NonNull<Table>, NoMemory> {
        match self.own_table() {
            // SAFETY: I4: in use, and only we could retire it.
            Some(table) if unsafe { table.as_ref() }.has_room(writer.used) => Ok(table),
            old => self.rebuild(writer, retire, old),
        }
    }

    /// Publishes a new table, as large as needed, with the same entries.
    #[cold]
    fn rebuild(
        &self,
        writer: &mut Writer,
        retire: &mut Retire<'_>,
        old: Option<NonNull<Table>>,
    ) -> Result<NonNull<Table>, NoMemory> {
        let size = writer.len.checked_add(1).and_then(Table::size_for);
        let fresh = size.and_then(Table::new).ok_or(NoMemory)?;
        if let Some(old) = old {
            // SAFETY: I4 for the old one; the fresh one is ours alone.
            let (old_table, new_table) = unsafe { (old.as_ref(), fresh.as_ref()) };
            old_table.entries().for_each(|entry| new_table.insert(entry));
        }
        self.publish(fresh.as_ptr());
        if let Some(old) = old {
            retire.table(old);
        }
        writer.used = writer.len;
        Ok(fresh)
    }

    fn add_to_list(
        &self,
        writer: &Writer,
        retire: &mut Retire<'_>,
        entry: NonNull<Entry>,
    ) -> Result<(), NoMemory> {
        // SAFETY: the lock is held.
        let (capacity, room) = unsafe { self.list.room() };
        let wanted = writer.len.saturating_mul(2).max(MIN_SLOTS);
        if room > 0 && capacity / 4 <= wanted {
            // SAFETY: the lock is held, there is room, and entries are retired only after they are unlinked.
            let slot = unsafe { self.list.add(Entry::string(entry)) };
            // SAFETY: a live entry; slots only under the lock.
            unsafe { entry.as_ref() }.slot.set(slot);
            return Ok(());
        }
        // Too small, or much too large.
        let at = Memory::layout(wanted).and_then(sync::allocate).ok_or(NoMemory)?;
        // SAFETY: as above; fresh memory for more than the list and the new entry: twice the length, and 3 at least.
        let left = unsafe { self.list.grow(at, wanted, Entry::string(entry)) };
        // SAFETY: the lock is held.
        for (slot, string) in unsafe { self.list.entries() } {
            // SAFETY: the list holds our strings only.
            unsafe { Entry::of(string).as_ref() }.slot.set(slot);
        }
        if let Some(array) = left {
            retire.array(array);
        }
        Ok(())
    }

    /// Moves the list of `len` entries into a smaller array, if it is in a much too large one. Walks may see `some` twice meanwhile, which is
    /// one of the entries, or, if there are none, comes back, to be removed by the caller.
    fn shrink(&self, len: usize, retire: &mut Retire<'_>, some: NonNull<Entry>) {
        // SAFETY: the lock is held.
        let (capacity, _) = unsafe { self.list.room() };
        let wanted = len.saturating_mul(2).max(MIN_SLOTS);
        if capacity / 4 <= wanted {
            return;
        }
        let Some(at) = Memory::layout(wanted).and_then(sync::allocate) else { return };
        // SAFETY: the lock is held; fresh memory for twice the length, and 16 at least; `some` is retired later, if at all.
        let left = unsafe { self.list.grow(at, wanted, Entry::string(some)) };
        if let Some(array) = left {
            retire.array(array);
        }
        if len == 0 {
            return;
        }
        // `some` is there twice: once in front, once where it was.
        // SAFETY: the lock is held, and the list holds our strings only.
        unsafe {
            let twice = self.list.entries().skip(1).find(|&(_, string)| string == Entry::string(some));
            if let Some((slot, _)) = twice {
                self.list.remove(slot);
            }
            for (slot, string) in self.list.entries() {
                Entry::of(string).as_ref().slot.set(slot);
            }
        }
    }

    fn unset(&self, name: &[u8]) -> bool {
        let hash = self.hash(name);
        self.update(|writer, retire| {
            let Some(table) = self.own_table() else { return false };
            // SAFETY: I4: in use, and only we could retire it.
            let Some(Found::Entry(place, entry)) = (unsafe { table.as_ref() }).find(hash, name) else {
                return false;
            };
            place.remove();
            // SAFETY: entries in the table are not freed, the list holds our strings only, slots only under the lock.
            unsafe {
                let slot = entry.as_ref().slot.get();
                if let Some(mover) = self.list.remove(slot) {
                    Entry::of(mover).as_ref().slot.set(slot);
                }
            }
            writer.len -= 1;
            writer.bytes -= retire.entry(entry);
            // SAFETY: as above.
            if unsafe { table.as_ref() }.is_sparse(writer.len) {
                // Without memory the large ones stay.
                if let Ok(table) = self.rebuild(writer, retire, Some(table)) {
                    // SAFETY: I4: in use, and only we could retire it.
                    if let Some(some) = unsafe { table.as_ref() }.entries().next() {
                        self.shrink(writer.len, retire, some);
                    }
                }
            }
            true
        })
    }
}

/// Takes what was unlinked.
struct Retire<'g> {
    guard: &'g epoch::Guard,
    bytes: usize,
}

impl Retire<'_> {
    /// Frees an entry once nobody is pinned who is pinned now. It must be unlinked from both structures. Returns its size.
    fn entry(&mut self, entry: NonNull<Entry>) -> usize {
        // SAFETY: not freed before the line below has run.
        let size = unsafe { entry.as_ref() }.size();
        // SAFETY: no reader that pins from now on can find it, and it is retired once.
        self.defer(size, move || unsafe { Entry::free(entry) });
        size
    }

    /// The same for a table; its entries are retired, or in another one.
    fn table(&mut self, table: NonNull<Table>) {
        // SAFETY: not freed before the line below has run.
        let bytes = unsafe { table.as_ref() }.bytes();
        // SAFETY: no reader that pins from now on can find it, and it is retired once.
        self.defer(bytes, move || unsafe { Table::free(table) });
    }

    /// The same for a table with all its entries, `bytes` in all, in one go: nobody has to come by again for the rest.
    fn all(&mut self, table: NonNull<Table>, bytes: usize) {
        // SAFETY: not freed before the line below has run.
        let size = unsafe { table.as_ref() }.bytes().saturating_add(bytes);
        // SAFETY: as in `entry` and `table`.
        self.defer(size, move || unsafe { Table::free_all(table) });
    }

    /// The same for the list's array.
    fn array(&mut self, Memory { at, layout }: Memory) {
        // SAFETY: no reader that pins from now on can find it, and it is retired once.
        self.defer(layout.size(), move || unsafe { sync::free(at, layout) });
    }

    fn defer(&mut self, bytes: usize, free: impl FnOnce()) {
        self.bytes = self.bytes.saturating_add(bytes);
        // SAFETY: the closures above own plain addresses: they outlive nothing, and memory may be freed on any thread.
        unsafe { self.guard.defer_unchecked(free) };
    }
}

impl Drop for Environ {
    fn drop(&mut self) {
        // Nobody else has it, so nobody reads it: no epoch is needed.
        if let Some(table) = self.own_table() {
            // SAFETY: ours alone; each entry is in one place.
            unsafe { Table::free_all(table) };
        }
        if let Some(Memory { at, layout }) = self.list.memory() {
            // SAFETY: ours alone.
            unsafe { sync::free(at, layout) };
        }
    }
}

impl Default for Environ {
    fn default() -> Environ {
        Environ::new()
    }
}

/// A copy, as of one moment; the two are independent from then on.
impl Clone for Environ {
    fn clone(&self) -> Environ {
        Environ::of(self.pin().iter())
    }
}

impl Environ {
    /// Of variables that come from an environment: all of them can be set. Aborts without memory, as std's collections do.
    /// Of several values for one name the first counts, as for whoever asks for it there.
    fn of<'v>(variables: impl Iterator<Item = (&'v OsStr, &'v OsStr)>) -> Environ {
        let environ = Environ::new();
        for (name, value) in variables {
            if !environ.contains(name) && environ.set(name, value).is_err() {
                handle_alloc_error(Layout::for_value(value));
            }
        }
        environ
    }
}

/// The number of variables only: values are often secrets.
impl fmt::Debug for Environ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environ").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Each is taken as of one moment, one after the other.
///
/// # Examples
/// ```
/// use mtsafe_env::Environ;
///
/// let one = Environ::try_from([("A", "1"), ("B", "2")])?;
/// let other = Environ::try_from([("B", "2"), ("A", "1")])?;
/// assert_eq!(one, other);
/// other.set("A", "2")?;
/// assert_ne!(one, other);
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
impl PartialEq for Environ {
    fn eq(&self, other: &Environ) -> bool {
        let (mine, theirs) = (self.pin(), other.pin());
        let (mine, theirs) = (mine.entries(), theirs.entries());
        let sorted = |mut entries: Vec<_>| {
            entries.sort_unstable();
            entries
        };
        mine.len() == theirs.len() && sorted(mine) == sorted(theirs)
    }
}

impl Eq for Environ {}

/// Copies of the variables, as of one moment: for a `for` loop, or for [`Command::envs`].
///
/// # Examples
/// ```
/// # if cfg!(not(unix)) { return Ok(()) }
/// let environ = mtsafe_env::Environ::try_from([("COLOUR", "red")])?;
/// for (name, value) in &environ {
///     assert_eq!((name, value), ("COLOUR".into(), "red".into()));
/// }
/// let output = std::process::Command::new("/bin/sh").args(["-c", "echo $COLOUR"]).envs(&environ).output()?;
/// assert_eq!(output.stdout, b"red\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl IntoIterator for &Environ {
    type Item = (OsString, OsString);
    type IntoIter = VarsOs;

    fn into_iter(self) -> VarsOs {
        let guard = self.pin();
        let entries = guard.entries().into_iter().map(|entry| Cow::Owned(entry.to_owned()));
        Snapshot::of(entries.collect()).into_iter()
    }
}

/// The variables of a snapshot; of several values for one name the first counts, as for whoever asks for that name.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// mtsafe_env::set_var("COLOUR", "red");
/// let environ = mtsafe_env::Environ::from(mtsafe_env::snapshot());
/// assert_eq!(environ.var("COLOUR").as_deref(), Ok("red"));
/// ```
impl From<Snapshot> for Environ {
    fn from(snapshot: Snapshot) -> Environ {
        Environ::from(&snapshot)
    }
}

/// As for the snapshot itself.
impl From<&Snapshot> for Environ {
    fn from(snapshot: &Snapshot) -> Environ {
        Environ::of(snapshot.iter())
    }
}

/// Tells of the first pair that cannot be a variable.
///
/// # Examples
/// ```
/// use mtsafe_env::Environ;
///
/// assert!(Environ::try_from([("A", "1"), ("B", "2")]).is_ok());
/// assert_eq!(Environ::try_from([("A", "1"), ("", "2")]).unwrap_err().name(), "");
/// ```
impl<K: AsRef<OsStr>, V: AsRef<OsStr>, const N: usize> TryFrom<[(K, V); N]> for Environ {
    type Error = ChangeError;

    fn try_from(variables: [(K, V); N]) -> Result<Environ, ChangeError> {
        Environ::try_from_iter(variables)
    }
}

/// As for an array.
///
/// # Examples
/// ```
/// let pairs: Vec<(String, String)> = vec![("A=B".into(), "1".into())];
/// assert_eq!(mtsafe_env::Environ::try_from(pairs).unwrap_err().name(), "A=B");
/// ```
impl<K: AsRef<OsStr>, V: AsRef<OsStr>> TryFrom<Vec<(K, V)>> for Environ {
    type Error = ChangeError;

    fn try_from(variables: Vec<(K, V)>) -> Result<Environ, ChangeError> {
        Environ::try_from_iter(variables)
    }
}

/// As for an array.
///
/// # Examples
/// ```
/// let pairs = std::collections::HashMap::from([("A", "1")]);
/// assert_eq!(mtsafe_env::Environ::try_from(pairs)?.var("A").as_deref(), Ok("1"));
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
impl<K: AsRef<OsStr>, V: AsRef<OsStr>, S> TryFrom<HashMap<K, V, S>> for Environ {
    type Error = ChangeError;

    fn try_from(variables: HashMap<K, V, S>) -> Result<Environ, ChangeError> {
        Environ::try_from_iter(variables)
    }
}

/// A reader of an [`Environ`]: what it shows stays readable as long as it is there. See [`Environ::pin`].
///
/// # Examples
/// ```
/// let environ = mtsafe_env::Environ::try_from([("COLOUR", "red")])?;
/// let pinned = environ.pin();
/// environ.clear();
/// assert_eq!(pinned.get("COLOUR"), None); // it shows what is now
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
#[must_use]
pub struct Pinned<'e> {
    environ: &'e Environ,
    _epoch: epoch::Guard,
}

impl Pinned<'_> {
    /// The value of `name`, or `None`. Copies nothing.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::try_from([("COLOUR", "red")]).unwrap();
    /// assert_eq!(environ.pin().get("COLOUR"), Some("red".as_ref()));
    /// ```
    ///
    /// # Progress
    /// Wait-free: an expected constant number of loads, at most as many as the index has places (about 3 per variable).
    pub fn get<K: AsRef<OsStr>>(&self, name: K) -> Option<&OsStr> {
        self.get_c(name).map(|value| os(value.to_bytes()))
    }

    /// The same as a C string.
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::try_from([("COLOUR", "red")]).unwrap();
    /// assert_eq!(environ.pin().get_c("COLOUR"), Some(c"red"));
    /// ```
    ///
    /// # Progress
    /// As [`get`](Self::get).
    pub fn get_c<K: AsRef<OsStr>>(&self, name: K) -> Option<&CStr> {
        let name = name.as_ref().as_encoded_bytes();
        let entry = self.environ.find(name)?;
        // SAFETY: I4: found after the pin, and shown no longer than it lasts.
        Some(unsafe { Entry::value(entry) })
    }

    /// All variables as of one moment, in no particular order (the oldest first, where nothing was removed).
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::try_from([("A", "1"), ("B", "2")]).unwrap();
    /// for (name, value) in environ.pin().iter() {
    ///     assert_eq!(environ.pin().get(name), Some(value));
    /// }
    /// ```
    ///
    /// # Progress
    /// Blocking (the writers' lock, for one pass over the pointers).
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&OsStr, &OsStr)> {
        self.entries().into_iter().filter_map(|entry| split(entry.to_bytes()))
    }

    /// The entries, oldest first.
    fn entries(&self) -> Vec<&CStr> {
        let mut strings = Vec::new();
        // Memory first, not under the lock: at some point there is enough.
        loop {
            let writer = self.environ.lock();
            if writer.len <= strings.capacity() {
                // SAFETY: the lock is held.
                strings.extend(unsafe { self.environ.list.entries() }.map(|(_, string)| string));
                break;
            }
            let len = writer.len;
            drop(writer);
            strings.reserve(len + len / 8);
        }
        // SAFETY: I4: in the list after the pin, and shown no longer than it lasts; the list holds our strings only.
        strings.into_iter().rev().map(|string| unsafe { Entry::text(Entry::of(string)) }).collect()
    }

    /// The live list, null-terminated: what C code takes as a `char **` and walks, while writers go on. Valid as long as the guard.
    ///
    /// A walk finds every variable that nobody changes meanwhile, and may see one twice. For `execve`, which needs one
    /// moment, there is [`Environ::as_envp`].
    ///
    /// # Examples
    /// ```
    /// let environ = mtsafe_env::Environ::try_from([("A", "1")]).unwrap();
    /// let guard = environ.pin();
    /// // SAFETY: the list holds one entry and ends in null, and the guard is alive.
    /// unsafe {
    ///     let list = guard.as_ptr();
    ///     assert_eq!(std::ffi::CStr::from_ptr(*list), c"A=1");
    ///     assert!((*list.add(1)).is_null());
    /// }
    /// ```
    ///
    /// # Progress
    /// Wait-free: one load.
    ///
    /// # Source
    /// C's `environ`. Only to be read: whoever stores through it breaks the `Environ`.
    pub fn as_ptr(&self) -> *const *const c_char {
        static EMPTY: usize = 0; // one null pointer
        let first = self.environ.list.first();
        if first.is_null() { (&raw const EMPTY).cast() } else { first.cast() }
    }
}

impl fmt::Debug for Pinned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pinned").field(self.environ).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Nobody can choose names that collide: the same name has another hash in each `Environ`, and keeps it there.
    #[test]
    fn hashes_have_a_key_of_their_own() {
        let [one, other] = [Environ::new(), Environ::new()];
        assert_ne!(one.hash(b"NAME"), other.hash(b"NAME"));
        let hash = one.hash(b"NAME");
        (0..1000).for_each(|i| one.set(i.to_string(), "").unwrap());
        one.clear();
        assert_eq!(one.hash(b"NAME"), hash);
    }
}
