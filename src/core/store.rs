//! Changes to the environment: set, put, unset, clear, one at a time.
//!
//! Each change looks first without the lock, and is done if there is nothing to do. Otherwise it takes the lock, brings
//! `environ` into an array of ours ([`adopt`](crate::adopt)), looks, and changes. The lock is never held over an allocation or
//! anything else that might call back: memory that is missing is mapped after the lock is given back, and then *everything* is
//! looked up again. What was found without the lock counts under it only if the array, the head and the generation of its
//! [`hints`](crate::hints) are what they were, so that no change came in between; otherwise, and for lists without hints, it is looked
//! for again ([`Editor::places`]). Loom `two_writers_add_one_entry` fails without the comparison of generations.
//!
//! A change counts only if, when it is done, the head still points into the array that was changed. If not, the program
//! assigned `environ` meanwhile (or the process was forked by a handler that interrupted us: see `process`), and the change,
//! which can be repeated without harm, starts over on the new list.
//!
//! Errors leave the list as it was: a change takes all the memory it needs before its first store to the list.

use crate::adopt;
use crate::batch::Batches;
use crate::entry::{self, Key, Name, Wanted};
use crate::error::Error;
use crate::hints::{self, Hint, Look};
use crate::inherited::Inherited;
use crate::keep::{self, Keep};
use crate::list::{Array, Editor, Head, Moved, Slot, slots};
use crate::lock::Lock;
use crate::sync::{self, AtomicPtr, Ordering, const_new};
use core::ffi::c_char;
use core::ptr;

/// Slots of the smallest array. Source: illumos `MIN_ENV_SIZE`.
pub(crate) const MIN_SLOTS: usize = if cfg!(loom) { 4 } else { 128 };

/// What readers search by, and what writers share: the lock and what it protects. All zero at first; see `process` for where it
/// lives.
#[repr(C)] // readers' words on pages of their own: see `wiped`
#[derive(Debug)]
pub struct Store {
    pub(crate) inherited: Inherited,
    lock: Lock,
    /// The array of ours that was published last, or null.
    array: AtomicPtr<Array>,
    pub(crate) keep: Keep,
    pub(crate) batch: Batches,
}

/// Why a change could not be made just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The head was moved by the program.
    Moved,
    /// So many bytes are missing; nothing was changed.
    Memory(usize),
}

impl From<Moved> for Stop {
    fn from(_: Moved) -> Stop {
        Stop::Moved
    }
}

// SAFETY: the cells behind the pointers are touched only under the lock.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

/// Gives the lock back on every way out.
struct Held<'a>(&'a Lock);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

const_new! {
    Store,
    /// A store that has published nothing yet.
    pub fn new() -> Store {
        Store {
            inherited: Inherited::new(),
            lock: Lock::new(),
            array: AtomicPtr::new(ptr::null_mut()),
            keep: Keep::new(),
            batch: Batches::new(),
        }
    }
}

impl Store {
    /// Where writers' words start: from here on, and only from here on, they may be wiped to zero in a forked child. A page starts here if
    /// one starts at the store.
    #[cfg(not(loom))]
    pub(crate) fn wiped(&self) -> *const u8 {
        ptr::from_ref(&self.lock).cast()
    }

    /// Bytes this process has allocated for entries, arrays and tables, for ever.
    pub fn retained(&self) -> usize {
        self.keep.retained()
    }

    /// The value of the first entry named `name`, as [`Head::get`] finds it, but faster. MT-Safe, AS-Safe, wait-free: at most one
    /// pass with hints and one plain scan; no store, but that readers of a list that was never changed count what they scan, until one of
    /// them builds hints for it (see `inherited`).
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    #[inline(always)]
    pub unsafe fn value<N: Name>(&self, head: &Head, name: N) -> Option<*const c_char> {
        // SAFETY: the caller's promise.
        let value = unsafe { self.find(head, name) };
        (!value.is_null()).then_some(value)
    }

    /// The same, or null: as C wants it.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    #[inline(always)]
    pub(crate) unsafe fn find<N: Name>(&self, head: &Head, name: N) -> *const c_char {
        let Some(hints) = self.inherited.hints().filter(|_| hints::ENABLED) else {
            // SAFETY: the caller's promise: a proper list.
            return unsafe { self.scan(head, name) };
        };
        match name.bytes() {
            // SAFETY: as above.
            Some(name) => unsafe { hints.find(head, name) },
            None => ptr::null(),
        }
    }

    /// The same by a plain scan, which counts.
    #[inline(never)]
    unsafe fn scan<N: Name>(&self, head: &Head, name: N) -> *const c_char {
        if !hints::ENABLED || self.inherited.is_done() {
            // SAFETY: the caller's promise.
            return unsafe { head.get(name) }.unwrap_or(ptr::null());
        }
        let Some(wanted) = Wanted::new(name) else { return ptr::null() };
        let (first, mut count) = (head.load(), 0);
        // SAFETY: the caller's promise: a proper list, whose entries are strings that stay (L1, L2, L4).
        let value = unsafe { slots(first) }.inspect(|_| count += 1).find_map(|(_, entry)| {
            // SAFETY: as above.
            unsafe { wanted.value_in(entry) }
        });
        // SAFETY: as above.
        unsafe { self.inherited.scanned(first, count) };
        value.unwrap_or(ptr::null())
    }

    /// Sets `name` to `value`; with `overwrite` false only if it has no value yet. Blocking (one lock), not AS-Safe.
    ///
    /// # Errors
    /// `InvalidName`, `InvalidValue`, `OutOfMemory`; the list is as it was.
    ///
    /// # Safety
    /// - every list that `head` is ever given is a proper one (see `list`), and no change to it is made except through this
    ///   store, or by a program that keeps to the rules for `environ`.
    pub unsafe fn set(&self, head: &Head, name: &[u8], value: &[u8], overwrite: bool) -> Result<(), Error> {
        if !entry::is_value(value) {
            return Err(if entry::is_name(name) { Error::InvalidValue } else { Error::InvalidName });
        }
        // SAFETY: the caller's promise; just looked at.
        unsafe { self.set_text(head, name, value, overwrite) }
    }

    /// The same for a value that has no NUL in it, such as C's.
    ///
    /// # Safety
    /// - as there; there is no NUL in `value`.
    pub(crate) unsafe fn set_text<N: Name>(
        &self,
        head: &Head,
        name: N,
        value: &[u8],
        overwrite: bool,
    ) -> Result<(), Error> {
        let key = Key::new(&name).ok_or(Error::InvalidName)?;
        let name = key.name;
        let is_enough = |old: Option<*const c_char>| {
            // Ours, so nobody edits it, and equal: nothing to do. A string of somebody else's is replaced by a copy of ours.
            // SAFETY: L2, L4: an entry in the list, of this name; its value follows.
            let equal = |old| unsafe { self.keep.made(old) && keep::is(old.add(name.len() + 1), value) };
            old.is_some_and(|old| !overwrite || equal(old))
        };
        let mut look = None;
        // SAFETY: the caller's promise: a proper list.
        if self.undisturbed(|| unsafe { self.look(head, key, is_enough, &mut look) }) == Some(true) {
            return Ok(());
        }
        self.locked(|| {
            // Memory first: without it nothing is adopted either.
            let string = self.keep.string(key, value)?;
            self.edit(head, |list| match list.places(key, &look) {
                Some(_) if !overwrite => Ok(()),
                places => self.store(list, key, string, true, places),
            })
        })
    }

    /// Looks for a name without the lock. True if there is nothing to do: its first entry is enough, or that there is none is. `look` is
    /// what a change can use of the search.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    unsafe fn look<'a>(
        &'a self,
        head: &Head,
        key: Key<'a>,
        is_enough: impl Fn(Option<*const c_char>) -> bool,
        look: &mut Option<Look<'a>>,
    ) -> bool {
        let hints = self.inherited.hints().filter(|_| hints::ENABLED);
        // SAFETY: the caller's promise.
        *look = hints.and_then(|hints| unsafe { hints.look(head, key, &is_enough) });
        if let Some(look) = look {
            return look.is_done;
        }
        // SAFETY: as above: a proper list; the name and its `=` lie before the value.
        let found = unsafe { head.get(key.name).map(|value| value.sub(key.name.len() + 1)) };
        is_enough(found)
    }

    /// Makes the caller's string `NAME=VALUE` itself the entry. It stays the caller's: it must live as long as it is in the
    /// list, and what its owner writes into it is seen. Blocking, not AS-Safe.
    ///
    /// # Errors
    /// `InvalidName` if it has no name, `OutOfMemory`; the list is as it was.
    ///
    /// # Safety
    /// - as for [`set`](Self::set); `string` is NUL-terminated, and stays so and readable as long as anybody may read it.
    pub unsafe fn put(&self, head: &Head, string: *mut c_char) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        let key = unsafe { Key::of(string) }.ok_or(Error::InvalidName)?;
        self.locked(|| self.edit(head, |list| self.store(list, key, string, false, list.first_and_last(key))))
    }

    /// Removes every entry named `name`; without one it changes nothing. Blocking if there is one, not AS-Safe.
    ///
    /// # Errors
    /// `InvalidName`, `OutOfMemory` (a list that is not ours must be copied first); the list is as it was.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    pub unsafe fn unset(&self, head: &Head, name: &[u8]) -> Result<(), Error> {
        let key = Key::new(&name).ok_or(Error::InvalidName)?;
        let mut look = None;
        // SAFETY: the caller's promise: a proper list.
        if self.undisturbed(|| unsafe { self.look(head, key, |found| found.is_none(), &mut look) })
            == Some(true)
        {
            return Ok(());
        }
        self.locked(|| self.edit(head, |list| Ok(remove_all(list, key, list.places(key, &look))?)))
    }

    /// Publishes an empty list of our own. What it held stays readable for who still reads it. Blocking, not AS-Safe.
    ///
    /// # Errors
    /// `OutOfMemory` if this is the first change ever; the list is as it was.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    pub unsafe fn clear(&self, head: &Head) -> Result<(), Error> {
        self.locked(|| {
            let array = match self.array() {
                Some(array) => array,
                None => self.new_array(MIN_SLOTS)?,
            };
            // SAFETY: the lock is held.
            let mut list = match unsafe { Editor::live(head, array) } {
                Some(list) => list,
                None => {
                    let theirs = head.load();
                    // SAFETY: the lock is held.
                    let mut list = unsafe { Editor::private(head, array) };
                    list.clear()?;
                    list.publish(theirs)?;
                    list
                }
            };
            list.clear()?;
            list.forget();
            Ok(())
        })
    }

    /// Fills `entries` with the entries as of one moment and returns how many there are; if that is more than fit, none of them
    /// counts. Blocking (one pass over the pointers under the lock), not AS-Safe.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    pub unsafe fn snapshot(&self, head: &Head, entries: &mut [*const c_char]) -> usize {
        self.lock.acquire();
        let _held = Held(&self.lock);
        // SAFETY: the caller's promise: a proper list.
        unsafe { slots(head.load()) }.enumerate().fold(0, |_, (i, (_, entry))| {
            if let Some(place) = entries.get_mut(i) {
                *place = entry;
            }
            i + 1
        })
    }

    /// Runs `step` under the lock until it is done, getting it memory in between.
    pub(crate) fn locked(&self, mut step: impl FnMut() -> Result<(), Stop>) -> Result<(), Error> {
        loop {
            let result = {
                self.lock.acquire();
                let _held = Held(&self.lock);
                step()
            };
            match result {
                Ok(()) => return Ok(()),
                Err(Stop::Moved) => {}
                Err(Stop::Memory(bytes)) => {
                    let fresh = self.keep.map(bytes).ok_or(Error::OutOfMemory)?;
                    self.lock.acquire();
                    let _held = Held(&self.lock);
                    self.keep.link(fresh);
                }
            }
        }
    }

    /// Runs `change` on the list of `head`, brought into an array of ours; it counts if the head still points there afterwards.
    /// Under the lock.
    pub(crate) fn edit<'a>(
        &'a self,
        head: &'a Head,
        change: impl FnOnce(&mut Editor<'a>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        // SAFETY: the lock is held.
        let live = self.array().and_then(|array| unsafe { Editor::live(head, array) });
        let mut list = match live {
            Some(list) => list,
            None => adopt::adopt(self, head)?,
        };
        change(&mut list)?;
        if list.is_live() { Ok(()) } else { Err(Stop::Moved) }
    }

    /// Makes `string` the one entry of that name, which is in `places` first and last. Under the lock.
    fn store<'a>(
        &'a self,
        list: &mut Editor<'a>,
        key: Key<'_>,
        string: *mut c_char,
        fixed: bool,
        places: Option<(*const Slot, *const Slot)>,
    ) -> Result<(), Stop> {
        let hint = Hint { hash: key.hash, fixed };
        if replace(list, key, string, hint, places)? {
            return Ok(());
        }
        if list.room() > 0 || list.compact()? {
            return Ok(list.add(string, Some(hint))?);
        }
        let fresh = self.new_array(list.array().capacity() * 2)?;
        Ok(list.grow(fresh, string, Some(hint))?)
    }

    /// The array that was published last. Under the lock.
    pub(crate) fn array(&self) -> Option<&Array> {
        // SAFETY: null or an array of ours, which stays (L4).
        unsafe { sync::own(&self.array).as_ref() }
    }

    /// A new array, which becomes the one to publish from. Under the lock.
    #[cold]
    pub(crate) fn new_array(&self, capacity: usize) -> Result<&Array, Stop> {
        let array = self.keep.array(capacity)?;
        self.publish_from(array);
        Ok(array)
    }

    /// Makes `array` the one to publish from. Under the lock.
    pub(crate) fn publish_from(&self, array: &Array) {
        if let Some(hints) = array.hints() {
            self.inherited.show(hints);
        }
        // Relaxed: only the lock's holders use it. Before it is published: should the head move first, the array is not lost.
        self.array.store(ptr::from_ref(array).cast_mut(), Ordering::Relaxed);
    }
}

/// Makes `string` the one entry of that name, if there is one already, in `places` first and last. Under the lock.
pub(crate) fn replace(
    list: &mut Editor<'_>,
    key: Key<'_>,
    string: *mut c_char,
    hint: Hint,
    mut places: Option<(*const Slot, *const Slot)>,
) -> Result<bool, Moved> {
    while let Some((first, last)) = places {
        if first == last {
            list.replace(first, string, Some(hint));
            return Ok(true);
        }
        remove(list, last)?; // a duplicate that the program stored
        places = list.first_and_last(key);
    }
    Ok(false)
}

/// Removes every entry of that name, first and last in `places`. The last one first: while one is left, readers find the first, whose
/// value was the variable's. Under the lock.
pub(crate) fn remove_all(
    list: &mut Editor<'_>,
    key: Key<'_>,
    mut places: Option<(*const Slot, *const Slot)>,
) -> Result<(), Moved> {
    while let Some((first, last)) = places {
        remove(list, last)?;
        places = if first == last { None } else { list.first_and_last(key) };
    }
    Ok(())
}

/// Removes the entry in `slot`. The first entry takes its place, and must not land behind a duplicate of itself that the program
/// stored: that would change a variable nobody touched. Such duplicates go first.
fn remove(list: &mut Editor<'_>, slot: *const Slot) -> Result<(), Moved> {
    while let Some((first, mover)) = list.slots().next().filter(|&(first, _)| first != slot) {
        // SAFETY: L2, L4: entries in the list.
        let Some(key) = (unsafe { Key::of(mover) }) else { break };
        let mut between = list.named(key).map(|(twin, _)| twin).filter(|&twin| twin > first);
        match between.next().filter(|&twin| twin < slot) {
            Some(twin) => list.remove(twin)?,
            None => break,
        };
    }
    list.remove(slot)?;
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::list::tests::{entries, foreign, store_at};
    use core::ffi::CStr;
    use std::collections::BTreeMap;
    use std::ffi::CString;
    use std::format;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[derive(Default)]
    struct Env {
        head: Head,
        store: Store,
    }

    impl Env {
        fn of(list: &[&CStr]) -> Env {
            let env = Env::default();
            // SAFETY: a proper list that is never freed.
            unsafe { env.head.assign(foreign(list)) };
            env
        }

        fn try_set(&self, name: &str, value: &str, overwrite: bool) -> Result<(), Error> {
            // SAFETY: proper lists throughout, here and below.
            unsafe { self.store.set(&self.head, name.as_bytes(), value.as_bytes(), overwrite) }
        }

        fn set(&self, name: &str, value: &str) {
            self.try_set(name, value, true).unwrap();
        }

        fn put(&self, string: &CStr) -> Result<(), Error> {
            // SAFETY: never freed.
            unsafe { self.store.put(&self.head, string.to_owned().into_raw()) }
        }

        fn unset(&self, name: &str) -> Result<(), Error> {
            // SAFETY: as above.
            unsafe { self.store.unset(&self.head, name.as_bytes()) }
        }

        fn clear(&self) {
            // SAFETY: as above.
            unsafe { self.store.clear(&self.head) }.unwrap();
        }

        fn at(&self, name: &str) -> Option<*const c_char> {
            // SAFETY: as above.
            unsafe { self.head.get(name.as_bytes()) }
        }

        fn get(&self, name: &str) -> Option<String> {
            // SAFETY: as above.
            self.at(name).map(|at| unsafe { CStr::from_ptr(at) }.to_str().unwrap().into())
        }

        fn snapshot(&self) -> Vec<String> {
            let mut found = [ptr::null(); 1_000];
            // SAFETY: as above.
            let count = unsafe { self.store.snapshot(&self.head, &mut found) };
            // SAFETY: as above.
            let text = |&entry: &*const c_char| unsafe { CStr::from_ptr(entry) }.to_str().unwrap().into();
            found[..count].iter().map(text).collect()
        }
    }

    #[test]
    fn bad_names_and_values_are_refused() {
        let env = Env::of(&[c"A=1"]);
        for name in ["", "=", "A=", "=A", "A\0"] {
            assert_eq!(env.try_set(name, "1", true), Err(Error::InvalidName), "{name:?}");
            assert_eq!(env.unset(name), Err(Error::InvalidName), "{name:?}");
        }
        assert_eq!(env.try_set("A", "1\0", true), Err(Error::InvalidValue));
        for string in [c"", c"=", c"=x", c"A"] {
            assert_eq!(env.put(string), Err(Error::InvalidName), "{string:?}");
        }
        assert_eq!((env.store.retained(), entries(&env.head)), (0, ["A=1".to_string()].into()));
    }

    #[test]
    fn set_replaces_in_place_and_adds_in_front() {
        let env = Env::of(&[c"A=1", c"B=1"]);
        env.set("B", "2");
        env.set("C", "=3=");
        env.set("D", "");
        assert_eq!(entries(&env.head), ["D=", "C==3=", "A=1", "B=2"]);
        assert_eq!((env.get("C").as_deref(), env.get("D").as_deref()), (Some("=3="), Some("")));
    }

    #[test]
    fn set_without_overwrite_changes_nothing_that_is_there() {
        let env = Env::of(&[c"A=1"]);
        env.try_set("A", "2", false).unwrap();
        // Not even the list: it is still theirs, and nothing was allocated.
        assert_eq!((env.get("A").as_deref(), env.store.retained()), (Some("1"), 0));
        env.try_set("B", "2", false).unwrap();
        env.try_set("B", "3", false).unwrap();
        assert_eq!(entries(&env.head), ["B=2", "A=1"]);
    }

    #[test]
    fn an_equal_value_of_ours_is_left_alone() {
        let env = Env::of(&[c"A=1"]);
        let theirs = env.at("A");
        env.set("A", "1");
        let ours = env.at("A");
        assert_ne!(ours, theirs, "their owner may edit it later: a copy of ours takes its place");
        let retained = env.store.retained();
        env.set("A", "1");
        assert_eq!((env.at("A"), env.store.retained()), (ours, retained));
        env.set("A", "2");
        env.set("A", "1");
        assert_eq!((env.at("A"), env.store.retained()), (ours, retained + 4), "interned");
    }

    #[test]
    fn put_stores_the_string_itself() {
        let env = Env::default();
        let string = c"A=1".to_owned().into_raw();
        // SAFETY: never freed.
        unsafe { env.store.put(&env.head, string) }.unwrap();
        assert_eq!(env.at("A"), Some(string.wrapping_add(2).cast_const()));
        // SAFETY: ours to edit.
        unsafe { string.add(2).write(b'2' as c_char) };
        assert_eq!(env.get("A").as_deref(), Some("2"));
        env.set("A", "2");
        assert_ne!(env.at("A"), Some(string.wrapping_add(2).cast_const()));
        env.put(c"A=3").unwrap();
        assert_eq!(entries(&env.head), ["A=3"]);
    }

    #[test]
    fn unset_removes_every_duplicate() {
        let env = Env::of(&[c"A=1", c"B=1", c"C=1"]);
        env.set("D", "1");
        store_at(&env.head, 2, Some(c"A=2"));
        store_at(&env.head, 3, Some(c"A=3"));
        env.unset("A").unwrap();
        assert_eq!(entries(&env.head), ["D=1"]);
        // Nothing to do: nothing is taken over, nothing allocated.
        let env = Env::of(&[c"A=1"]);
        env.unset("B").unwrap();
        assert_eq!(env.store.retained(), 0);
    }

    #[test]
    fn set_drops_duplicates() {
        for at in [0, 2, 3] {
            let env = Env::of(&[c"A=1", c"B=1", c"C=1"]);
            env.set("D", "1");
            store_at(&env.head, at, Some(c"A=2"));
            env.set("A", "3");
            let found = entries(&env.head);
            assert_eq!(found.iter().filter(|entry| entry.starts_with("A=")).count(), 1, "{found:?}");
            assert_eq!(env.get("A").as_deref(), Some("3"));
        }
    }

    /// The first entry must not come to lie behind a duplicate of itself.
    #[test]
    fn a_remove_changes_no_other_variable() {
        let env = Env::of(&[c"A=1", c"B=1", c"C=1", c"D=1"]);
        env.set("E", "1");
        // E=1 A=1 E=2 C=1 D=1
        store_at(&env.head, 2, Some(c"E=2"));
        env.unset("D").unwrap();
        assert_eq!(env.get("E").as_deref(), Some("1"));
        // A duplicate behind the victim does not matter, and stays.
        let env = Env::of(&[c"A=1", c"B=1", c"C=1", c"D=1"]);
        env.set("E", "1");
        store_at(&env.head, 4, Some(c"E=2"));
        env.unset("A").unwrap();
        assert_eq!(entries(&env.head), ["E=1", "B=1", "C=1", "E=2"]);
        // Nor does one of the first entry when that is the victim: it is removed anyway.
        env.unset("E").unwrap();
        let mut left = entries(&env.head);
        left.sort();
        assert_eq!(left, ["B=1", "C=1"]);
    }

    #[test]
    fn a_duplicate_of_the_first_entry_is_removed_alone() {
        let env = Env::of(&[c"A=1", c"B=1", c"C=1"]);
        env.set("D", "1");
        store_at(&env.head, 2, Some(c"D=2"));
        // SAFETY: one thread, which stands for the lock.
        let mut list = unsafe { Editor::live(&env.head, env.store.array().unwrap()) }.unwrap();
        remove(&mut list, env.head.load().wrapping_add(2)).unwrap();
        assert_eq!(entries(&env.head), ["A=1", "D=1", "C=1"]);
    }

    #[test]
    fn clear_empties_every_list() {
        let env = Env::default();
        env.clear();
        assert_eq!(entries(&env.head).len(), 0);
        assert!(!env.head.load().is_null(), "a list of ours");
        env.set("A", "1");
        env.clear();
        assert_eq!(entries(&env.head).len(), 0);
        // SAFETY: as above.
        unsafe { env.head.assign(foreign(&[c"B=1"])) };
        env.clear();
        assert_eq!(entries(&env.head).len(), 0);
        let retained = env.store.retained();
        for _ in 0..1_000 {
            env.set("A", "1");
            env.clear();
        }
        assert_eq!(env.store.retained(), retained);
    }

    #[test]
    fn arrays_double_and_are_filled_to_the_last_slot() {
        let env = Env::default();
        for i in 0..MIN_SLOTS - 1 {
            env.set(&format!("N{i}"), "1");
        }
        assert_eq!(env.store.array().unwrap().capacity(), MIN_SLOTS);
        env.set("ONE_MORE", "1");
        assert_eq!(env.store.array().unwrap().capacity(), 2 * MIN_SLOTS);
        assert_eq!(env.snapshot().len(), MIN_SLOTS);
        for i in 0..MIN_SLOTS - 1 {
            assert_eq!(env.get(&format!("N{i}")).as_deref(), Some("1"));
        }
    }

    #[test]
    fn an_early_end_is_closed_before_the_array_grows() {
        let env = Env::default();
        for i in 0..MIN_SLOTS - 1 {
            env.set(&format!("N{i}"), "1");
        }
        store_at(&env.head, 2, None);
        env.set("X", "1");
        assert_eq!(env.store.array().unwrap().capacity(), MIN_SLOTS);
        assert_eq!(
            entries(&env.head),
            ["X=1", &*format!("N{}=1", MIN_SLOTS - 2), &*format!("N{}=1", MIN_SLOTS - 3)]
        );
    }

    #[test]
    fn a_snapshot_tells_how_much_there_is() {
        let env = Env::of(&[c"A=1", c"B=1", c"C=1"]);
        let mut few = [ptr::null(); 2];
        // SAFETY: as above.
        assert_eq!(unsafe { env.store.snapshot(&env.head, &mut few) }, 3);
        assert_eq!(env.snapshot(), ["A=1", "B=1", "C=1"]);
        assert_eq!(Env::default().snapshot().len(), 0);
    }

    /// The first value of each name, and the entries without one.
    fn plain(entries: Vec<String>) -> (BTreeMap<String, String>, Vec<String>) {
        let (mut variables, mut rest) = (BTreeMap::new(), Vec::new());
        for entry in entries {
            match entry.split_once('=') {
                Some((name, value)) if !name.is_empty() => {
                    variables.entry(name.to_string()).or_insert_with(|| value.to_string());
                }
                _ => rest.push(entry),
            }
        }
        rest.sort();
        (variables, rest)
    }

    /// Random operations, also a program's direct ones, against a plain table.
    #[test]
    fn random_operations_do_what_they_do_to_a_table() {
        let mut state: u64 = std::env::var("SEED").map_or(20_251_121, |seed| seed.parse().unwrap());
        std::println!("SEED={state}");
        let mut below = move |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % end
        };
        for _ in 0..if cfg!(miri) { 1 } else { 16 } {
            let env = Env::default();
            let names = 1 + below(60);
            for step in 0..if cfg!(miri) { 60 } else { 1_000 } {
                let (mut table, mut rest) = plain(entries(&env.head));
                let (name, value) = (format!("N{}", below(names)), below(50).to_string());
                let what = below(32);
                match what {
                    0..12 => {
                        env.set(&name, &value);
                        table.insert(name.clone(), value.clone());
                    }
                    12..14 => {
                        env.try_set(&name, &value, false).unwrap();
                        table.entry(name.clone()).or_insert(value.clone());
                    }
                    14..22 => {
                        env.unset(&name).unwrap();
                        table.remove(&name);
                    }
                    22..26 => {
                        env.put(&CString::new(format!("{name}={value}")).unwrap()).unwrap();
                        table.insert(name.clone(), value.clone());
                    }
                    26 if below(10) == 0 => {
                        env.clear();
                        table.clear();
                        rest.clear();
                    }
                    // What programs do without us: the table is read anew.
                    27 | 28 => {
                        let len = entries(&env.head).len();
                        if len > 0 {
                            let entry = CString::new(format!("{name}={value}")).unwrap().into_raw();
                            // SAFETY: never freed.
                            let entry: &'static CStr = unsafe { CStr::from_ptr(entry) };
                            store_at(&env.head, below(len), if below(20) == 0 { None } else { Some(entry) });
                        }
                        continue;
                    }
                    29 => {
                        let len = if below(10) == 0 { below(250) } else { below(30) };
                        let list: Vec<CString> = (0..len)
                            .map(|_| match below(10) {
                                0 => CString::new(format!("JUNK{}", below(9))).unwrap(),
                                _ => CString::new(format!("N{}={}", below(names), below(50))).unwrap(),
                            })
                            .collect();
                        let list: Vec<&CStr> = list.iter().map(CString::as_c_str).collect();
                        // SAFETY: a proper list, never freed.
                        unsafe { env.head.assign(foreign(&list)) };
                        continue;
                    }
                    30 if !entries(&env.head).is_empty() => {
                        // SAFETY: `environ++`.
                        unsafe { env.head.assign(env.head.load().add(1)) };
                        continue;
                    }
                    _ => {}
                }
                let found = plain(entries(&env.head));
                assert_eq!(found, (table, rest), "after step {step}, {what} {name}={value}");
                assert_eq!(env.get(&name), found.0.get(&name).cloned());
                assert_eq!(plain(env.snapshot()), found);
            }
        }
    }
}
