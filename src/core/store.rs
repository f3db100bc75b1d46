//! Changes to the environment: set, put, unset, clear, one at a time.
//!
//! Each change looks first without the lock, and is done if there is nothing to do. Otherwise it takes the lock, finds out whose the list
//! is, looks, and changes. The lock is never held over an allocation or anything else that might call back: memory that is missing is got
//! after the lock is given back, and then *everything* is looked up again. What was found without the lock counts under it only if the
//! array, the head and the generation of its [`hints`](crate::hints) are what they were, so that no change came in between; otherwise, and for
//! lists without hints, it is looked for again ([`Editor::found`]). Loom `two_writers_add_one_entry` fails without the comparison of generations.
//!
//! | the list | is changed |
//! |---|---|
//! | in an array of ours, also one that the program put back | by the moves of [`list`](crate::list); on to another array where there is no room |
//! | the kernel's | in place, by the same moves; an addition brings it into an array of ours |
//! | the program's own | with one thread in place, as libc does ([`program`](crate::program)); an addition, and with threads every change, brings it into an array of ours |
//!
//! A change counts only if, when it is done, the head still points into the list that was changed; or if it is itself a move of the head
//! (clear, a batch), once that was made. If not, the program assigned `environ` meanwhile (or the process was forked by a handler that
//! interrupted us: see `process`), and the change, which can be repeated without harm, starts over on the new list.
//!
//! Errors leave the list as it was: a change takes all the memory it needs before its first store to the list.

use crate::adopt::Means;
use crate::array::Array;
use crate::arrays::Arrays;
use crate::batches::Batches;
use crate::entry::{self, Key, Name, Wanted};
use crate::error::{Error, Moved, Stop};
use crate::hints::{self, Enough, Found, Hint, Hints, Look, Place};
use crate::inherited::Inherited;
use crate::keep::{self, Strings};
use crate::list::{Editor, Moves};
use crate::lock::Lock;
use crate::plan::Scratch;
use crate::program::{self, Program, Text};
use crate::same::Touched;
use crate::slot::{Head, Slot, slots};
use crate::sync::{self, AtomicUsize, Ordering, const_new};
use crate::text::Keyed;
use core::ffi::c_char;
use core::ptr;

/// What readers search by, and what writers share: the lock and what it protects. All zero at first; see `process` for where it
/// lives.
#[repr(C)] // what is wiped on pages of its own: see `wiped`
#[derive(Debug)]
pub struct Store {
    // First what readers load. What each change stores to lies in other lines.
    pub(crate) inherited: Inherited,
    pub(crate) batch: Batches,
    /// True for a store that one thread uses, whatever the process does.
    one_thread: bool,
    pub(crate) strings: Strings,
    pub(crate) arrays: Arrays,
    scratch: Scratch,
    touched: Touched,
    program: Program,
    /// The thread that is making a change, or 0. Still that in a child that was forked in the middle of one.
    busy: AtomicUsize,
    /// Not 0 if a change was broken off, until the list was copied.
    broken: AtomicUsize,
    wiped: Wiped,
}

/// The words that may be wiped to zero in a forked child. Whole pages.
#[cfg_attr(not(any(loom, target_arch = "aarch64", target_arch = "powerpc64")), repr(C, align(4096)))]
#[cfg_attr(all(any(target_arch = "aarch64", target_arch = "powerpc64"), not(loom)), repr(C, align(65536)))]
#[derive(Debug)]
struct Wiped {
    lock: Lock,
    /// Not 0 once this process has changed something. Only under the update lock.
    known: AtomicUsize,
}

// SAFETY: the cells behind the pointers are touched only under the lock.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

/// Whose list the head points to.
pub(crate) enum Where<'a> {
    /// In an array of ours, or the kernel's with a header of ours.
    Ours(Editor<'a>),
    /// The program's own; none; or one that must be copied before it is changed.
    Theirs(*const Slot),
}

/// The lock, held. Gives it back on every way out.
struct Held<'a> {
    store: &'a Store,
    /// What `busy` was before: a child of a signal handler may return into a change that had begun.
    before: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        sync::keep_order();
        // Relaxed: for our own thread, and for who is forked now.
        self.store.busy.store(self.before, Ordering::Relaxed);
        sync::keep_order();
        self.store.wiped.lock.release();
    }
}

macro_rules! new_store {
    ($one_thread:expr) => {
        Store {
            inherited: Inherited::new(),
            one_thread: $one_thread,
            strings: Strings::new(),
            arrays: Arrays::new(),
            scratch: Scratch::new(),
            touched: Touched::new(),
            program: Program::new(),
            batch: Batches::new(),
            busy: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
            wiped: Wiped { lock: Lock::new(), known: AtomicUsize::new(0) },
        }
    };
}

const_new! {
    Store,
    /// A store that has published nothing yet.
    pub fn new() -> Store {
        new_store!(false)
    }
}

impl Store {
    /// A store for a list that only one thread will ever read or change: its order is that of the calls, whatever threads the
    /// process has.
    pub fn for_one_thread() -> Store {
        new_store!(true)
    }

    /// The words that may be wiped to zero in a forked child: their address, and how many bytes.
    #[cfg(not(loom))]
    pub(crate) fn wiped(&self) -> (*const u8, usize) {
        (ptr::from_ref(&self.wiped).cast(), size_of::<Wiped>())
    }

    /// Bytes allocated for entries, arrays and tables, for ever.
    pub fn retained(&self) -> usize {
        self.strings.retained()
    }

    /// How a list is changed now.
    pub(crate) fn moves(&self) -> Moves {
        if self.one_thread || self.inherited.threads.is_alone() { Moves::Alone } else { Moves::Beside }
    }

    /// What lists are brought into arrays with.
    pub(crate) fn means(&self) -> Means<'_> {
        let Store { inherited, strings, arrays, scratch, touched, .. } = self;
        Means { inherited, strings, arrays, scratch, touched }
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
        let hints = self.inherited.hints().filter(|_| hints::ENABLED);
        // Each way is a call at the end: what one of them needs costs the others nothing.
        // SAFETY: the caller's promise: a proper list.
        unsafe {
            match hints {
                // The generation before the head: a change between the two loads counts, too.
                Some(hints) => match hints.generation() {
                    Some(before) if hints.are_wider() => self.search::<N, true>(hints, head, name, before),
                    Some(before) => self.search::<N, false>(hints, head, name, before),
                    None => self.scan(head, name),
                },
                None if hints::ENABLED && !self.inherited.is_done() => self.scan_and_count(head, name),
                None => self.scan(head, name),
            }
        }
    }

    /// The same with hints, whose generation was `before`.
    ///
    /// # Safety
    /// - as for [`set`](Self::set); `head` was not loaded since.
    #[inline(never)]
    unsafe fn search<N: Name, const WIDER: bool>(
        &self,
        hints: &Hints,
        head: &Head,
        name: N,
        before: usize,
    ) -> *const c_char {
        // Who made the hints knew the keys.
        let keys = self.inherited.keys.known();
        match name.bytes_by(keys.windowed) {
            // SAFETY: as above.
            Some(name) => unsafe { hints.find(head, name, &self.inherited.keys, keys, before, WIDER) },
            None => ptr::null(),
        }
    }

    /// The same by a plain scan.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    #[inline(never)]
    unsafe fn scan<N: Name>(&self, head: &Head, name: N) -> *const c_char {
        match name.bytes_by(self.inherited.keys.windowed()) {
            // SAFETY: the caller's promise: a proper list.
            Some(name) => unsafe { hints::scan(head, name) },
            None => ptr::null(),
        }
    }

    /// The same by a plain scan, which counts.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    #[inline(never)]
    unsafe fn scan_and_count<N: Name>(&self, head: &Head, name: N) -> *const c_char {
        let windowed = self.inherited.keys.windowed();
        let Some(wanted) = Wanted::new(&name, windowed) else { return ptr::null() };
        let first = head.load();
        // SAFETY: the caller's promise: a proper list, whose entries are strings that stay (L1, L2, L4).
        let (slots, value) = unsafe {
            let mut slots = slots(first);
            let named = slots.next_named(wanted);
            (slots, named.map(|(_, _, value)| value))
        };
        let count = (slots.at().addr() - first.addr()) / size_of::<Slot>();
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
        let keys = self.inherited.keys.get();
        let key = Key::new(&name, keys).ok_or(Error::InvalidName)?;
        let name = key.name;
        let is_enough = |old: Option<(Place, bool)>| {
            // Ours, so nobody edits it, and equal: nothing to do. A string of somebody else's is replaced by a copy of ours.
            // SAFETY: L2, L4, K4: an entry in the list, of this name; its value follows, and bytes that can be read.
            let equal = |old: Place| unsafe {
                self.strings.owns(old.entry) && keep::is(old.entry.add(name.len() + 1), value, keys)
            };
            old.is_some_and(|(old, fixed)| !overwrite || fixed && equal(old))
        };
        let mut look = Look::default();
        // SAFETY: the caller's promise: a proper list.
        if self.batch.undisturbed(|| unsafe { self.look(head, &key, &is_enough, &mut look) }) == Some(true) {
            return Ok(());
        }
        let text = Text::default();
        loop {
            let done = self.locked(|| match &mut self.place(head)? {
                Where::Ours(list) => {
                    // Memory first.
                    let string = self.strings.string(key, value, keys)?;
                    match list.found(&key, &mut look) {
                        found if !overwrite && found.places().is_some() => Ok(()),
                        found => self.store(head, list, &key, string, true, found),
                    }
                }
                &mut Where::Theirs(first) => {
                    // SAFETY: the caller's promise: a proper list.
                    match unsafe { program::find(first, key) } {
                        Some(_) if !overwrite => return Ok(()),
                        Some((slot, _)) if self.may_change(first, slot) => {
                            self.batch.begin();
                            // SAFETY: as above; it may be changed.
                            return unsafe { self.program.replace(head, first, key, slot, &text, None) };
                        }
                        _ => {}
                    }
                    let string = self.strings.string(key, value, keys)?;
                    let list = &mut self.adopt(head, first)?;
                    let found = list.found(&key, &mut look);
                    self.store(head, list, &key, string, true, found)
                }
            });
            match done {
                Err(Wanting::Text) => text.compose(name, value)?,
                Err(Wanting::Failed(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Looks for a name without the lock. True if there is nothing to do: its first entry is enough, or that there is none is. `look` is
    /// what a change can use of the search.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    unsafe fn look<'a>(
        &'a self,
        head: &Head,
        key: &Key<'_>,
        is_enough: Enough<'_>,
        look: &mut Look<'a>,
    ) -> bool {
        let hints = self.inherited.hints().filter(|_| hints::ENABLED);
        // SAFETY: the caller's promise.
        if let Some(is_done) = hints.and_then(|hints| unsafe { hints.look(head, key, is_enough, look) }) {
            return is_done;
        }
        // SAFETY: as above: a proper list.
        let found = unsafe { program::find(head.load(), *key) };
        is_enough(found.map(|(slot, entry)| (Place { slot, entry }, false)))
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
        let key = unsafe { Key::of(string, self.inherited.keys.get()) }.ok_or(Error::InvalidName)?;
        let done = self.locked(|| {
            if self.strings.note_put(string) {
                self.arrays.give_back(string, key.hash);
                self.inherited.give_back();
            }
            let mut place = self.place(head)?;
            let list = match &mut place {
                Where::Ours(list) => list,
                &mut Where::Theirs(first) => {
                    // SAFETY: the caller's promise: a proper list.
                    match unsafe { program::find(first, key) } {
                        Some((slot, _)) if self.may_change(first, slot) => {
                            self.batch.begin();
                            // SAFETY: as above; it may be changed.
                            return unsafe {
                                self.program.replace(head, first, key, slot, &Text::default(), Some(string))
                            };
                        }
                        _ => &mut self.adopt(head, first)?,
                    }
                }
            };
            self.store(head, list, &key, string, false, list.found(&key, &mut Look::default()))
        });
        done.map_err(Error::from)
    }

    /// Removes every entry named `name`; without one it changes nothing. Blocking if there is one, not AS-Safe.
    ///
    /// # Errors
    /// `InvalidName`, `OutOfMemory` (a constant list must be copied first); the list is as it was.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    pub unsafe fn unset<N: Name>(&self, head: &Head, name: N) -> Result<(), Error> {
        let keys = self.inherited.keys.get();
        let key = Key::new(&name, keys).ok_or(Error::InvalidName)?;
        let mut look = Look::default();
        // SAFETY: the caller's promise: a proper list.
        if self.batch.undisturbed(|| unsafe { self.look(head, &key, &|found| found.is_none(), &mut look) })
            == Some(true)
        {
            return Ok(());
        }
        let done = self.locked(|| {
            let mut place = self.place(head)?;
            let list = match &mut place {
                Where::Ours(list) => list,
                &mut Where::Theirs(first) => {
                    // SAFETY: the caller's promise: a proper list.
                    match unsafe { program::find(first, key) } {
                        None => return Ok(()),
                        Some((slot, _)) if self.may_change(first, slot) => {
                            self.batch.begin();
                            // SAFETY: as above; it may be changed.
                            return unsafe { self.program.remove(head, first, key, slot) };
                        }
                        Some(_) => &mut self.adopt(head, first)?,
                    }
                }
            };
            self.touches(list, &key);
            remove_all(list, &key, keys, list.found(&key, &mut look))?;
            self.ended(list)
        });
        done.map_err(Error::from)
    }

    /// Publishes an empty list of our own. What it held stays as it is for who still reads it, and so does a list that is not ours.
    /// Blocking, not AS-Safe.
    ///
    /// # Errors
    /// `OutOfMemory`; the list is as it was.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    pub unsafe fn clear(&self, head: &Head) -> Result<(), Error> {
        let done = self.locked(|| {
            let first = match self.place(head)? {
                Where::Ours(list) if list.is_empty() && list.array().is_ours() => return Ok(()),
                Where::Ours(list) => list.first(),
                Where::Theirs(first) => {
                    self.leave();
                    first
                }
            };
            // SAFETY: the promise of the callers: a proper list.
            let len = unsafe { slots(first) }.count();
            let mut list = self.means().empty(head, len, self.moves())?;
            self.publish(&mut list, first)?;
            Ok(()) // it happened then, whatever the head is now
        });
        done.map_err(Error::from)
    }

    /// Fills `entries` with the entries as of one moment and returns how many there are; if that is more than fit, none of them
    /// counts. Blocking (one pass over the pointers under the lock), not AS-Safe.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    pub unsafe fn snapshot(&self, head: &Head, entries: &mut [*const c_char]) -> usize {
        let _held = self.hold();
        // SAFETY: the caller's promise: a proper list.
        unsafe { slots(head.load()) }.enumerate().fold(0, |_, (i, (_, entry))| {
            if let Some(place) = entries.get_mut(i) {
                *place = entry;
            }
            i + 1
        })
    }

    /// Takes the lock. The first time in a forked child, it finds out whether a change was under way when that was forked: then nothing
    /// that the parent made is used any more, but its strings.
    #[inline(never)]
    fn hold(&self) -> Held<'_> {
        self.wiped.lock.acquire();
        let (mut before, this) = (sync::own_count(&self.busy), sync::thread());
        // Relaxed, all: for our own thread, and for who is forked now; otherwise the lock orders.
        self.busy.store(this, Ordering::Relaxed);
        sync::keep_order();
        if sync::own_count(&self.wiped.known) == 0 {
            self.wiped.known.store(1, Ordering::Relaxed);
            if before != 0 {
                self.strings.forget();
                self.arrays.forget();
                self.scratch.forget();
                self.broken.store(1, Ordering::Relaxed);
            }
            if before != this {
                before = 0; // that thread is not in this process, and will not go on
            }
        }
        Held { store: self, before }
    }

    /// Runs `step` under the lock until it is done, getting it memory in between.
    pub(crate) fn locked(&self, mut step: impl FnMut() -> Result<(), Stop>) -> Result<(), Wanting> {
        loop {
            let (result, litter) = {
                let _held = self.hold();
                (step(), self.strings.litter())
            };
            if let Some(litter) = litter {
                self.strings.discard(litter);
            }
            match result {
                Ok(()) => return Ok(()),
                Err(Stop::Moved) => {}
                Err(Stop::Text) => return Err(Wanting::Text),
                Err(Stop::Memory(bytes)) => {
                    let fresh = self.strings.map(bytes).ok_or(Wanting::Failed(Error::OutOfMemory))?;
                    let _held = self.hold();
                    self.strings.link(fresh);
                }
            }
        }
    }

    /// True if a change of the list was broken off, by a fork in the middle of it.
    fn is_broken(&self) -> bool {
        sync::own_count(&self.broken) != 0
    }

    /// The list that the head points to. Under the lock.
    #[inline(always)]
    pub(crate) fn place<'a>(&'a self, head: &'a Head) -> Result<Where<'a>, Stop> {
        let first = head.load();
        // As our last change left it. (Of a change that was broken off no array is known.)
        let latest = self.arrays.latest().filter(|array| array.first.get() == first);
        let Some(array) = latest else { return self.place_anew(head, first) };
        self.inherited.show(array.hints());
        // SAFETY: the lock is held; `array` is sound and holds `first`.
        Ok(Where::Ours(unsafe { Editor::live(head, array, first, self.moves()) }))
    }

    /// The same for a list that the program may have put there.
    #[inline(never)]
    fn place_anew<'a>(&'a self, head: &'a Head, first: *const Slot) -> Result<Where<'a>, Stop> {
        if self.is_broken() {
            return Ok(Where::Theirs(first));
        }
        let array = match self.arrays.holding(first) {
            Some(array) => Some(array),
            None => self.kernel(first)?,
        };
        match array {
            Some(array) => self.resume(head, array, first).map(Where::Ours),
            None => Ok(Where::Theirs(first)),
        }
    }

    /// The header of the list at `first`, if that is the kernel's. Under the lock.
    #[cold]
    #[inline(never)]
    fn kernel(&self, first: *const Slot) -> Result<Option<&Array>, Stop> {
        // SAFETY: the promise of the callers: a proper list.
        let len = unsafe { slots(first) }.count();
        // SAFETY: as above.
        let array = unsafe { self.inherited.describe(&self.strings, first, len) }?;
        array.inspect(|array| self.arrays.set_kernel(array));
        Ok(array)
    }

    /// Goes on with the list in an array, where the head points to slot `first`.
    fn resume<'a>(
        &'a self,
        head: &'a Head,
        array: &'a Array,
        mut first: *const Slot,
    ) -> Result<Editor<'a>, Stop> {
        self.arrays.is_live(array);
        self.inherited.show(array.hints());
        let left = array.first.get();
        if first < left {
            // The program put an older head back. Copies that our moves left are not entries, if what they are copies of is there.
            if array.is_copied(first, left) {
                head.exchange(first, left)?;
                first = left;
            } else if (array.index(first)..array.index(left)).any(|i| array.is_copy(i)) {
                // SAFETY: a list in an array of ours.
                return unsafe { self.bring(head, first, Some(array), true) };
            }
        }
        array.first.set(first);
        array.lowest.set(array.lowest.get().min(first));
        // SAFETY: the lock is held; `array` is sound and holds `first`.
        Ok(unsafe { Editor::live(head, array, first, self.moves()) })
    }

    /// Brings the program's list, which starts at `first`, into an array of ours. Under the lock.
    #[cold]
    pub(crate) fn adopt<'a>(&'a self, head: &'a Head, first: *const Slot) -> Result<Editor<'a>, Stop> {
        self.leave();
        // SAFETY: the promise of the callers: every list that the head is given is a proper one.
        unsafe { self.bring(head, first, None, self.is_broken()) }
    }

    /// The program has assigned `environ`: the list that was live before may come back.
    pub(crate) fn leave(&self) {
        if let Some(array) = self.arrays.latest() {
            array.assigned_away.set(true);
        }
    }

    /// Moves the list in `array` on to another one. Under the lock.
    #[cold]
    fn move_on<'a>(
        &'a self,
        head: &'a Head,
        list: &Editor<'a>,
        end: *const Slot,
        adding: bool,
    ) -> Result<Editor<'a>, Stop> {
        let (first, array) = (list.first(), list.array());
        // SAFETY: that is where its list starts.
        let mut list = unsafe { self.means().move_on(head, array, (first, end), self.moves(), adding) }?;
        self.publish(&mut list, first)?;
        Ok(list)
    }

    /// Brings the list at `first` into another array, and publishes it there.
    ///
    /// # Safety
    /// - as for [`Means::adopt`].
    #[cold]
    #[inline(never)]
    unsafe fn bring<'a>(
        &'a self,
        head: &'a Head,
        first: *const Slot,
        array: Option<&Array>,
        planned: bool,
    ) -> Result<Editor<'a>, Stop> {
        // SAFETY: the caller's promise.
        let mut list = unsafe { self.means().adopt(head, first, array, self.moves(), planned) }?;
        self.publish(&mut list, first)?;
        Ok(list)
    }

    /// Publishes a list that is in another array than the one at `first`. Under the lock.
    pub(crate) fn publish(&self, list: &mut Editor<'_>, first: *const Slot) -> Result<(), Moved> {
        // Before it is published: who finds the new head finds its hints.
        self.inherited.show(list.array().hints());
        list.publish(first)?;
        self.arrays.is_live(list.array());
        // Relaxed: only the lock's holders use it.
        self.broken.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// True if the program's list at `first` may be changed where it is, from `slot` on, one of its slots. Under the lock. Not with threads:
    /// readers in it would miss what moves down. (And it may be the list of another copy of this very code, with a lock of its own.)
    fn may_change(&self, first: *const Slot, slot: *const Slot) -> bool {
        let alone = self.moves() == Moves::Alone && !self.is_broken();
        // SAFETY: the callers' promise: a proper list.
        alone && unsafe { self.program.may_change(first, slot) }
    }

    /// Makes `string` the one entry of that name, which was `found` in the list. Under the lock.
    #[inline(never)]
    fn store<'a>(
        &'a self,
        head: &'a Head,
        list: &mut Editor<'a>,
        key: &Key<'_>,
        string: *mut c_char,
        fixed: bool,
        found: &mut Found,
    ) -> Result<(), Stop> {
        self.touches(list, key);
        let hint = Hint { hash: key.hash, fixed };
        if list.is_cluttered() {
            *list = self.move_on(head, list, found.end, false)?;
            list.find(key, found);
        }
        if !replace(list, key, string, hint, self.inherited.keys.get(), found)?
            && !list.add(string, Some(hint), found.end)?
        {
            *list = self.move_on(head, list, found.end, true)?;
            list.find(key, found);
            if !list.add(string, Some(hint), found.end)? {
                return Err(Stop::Memory(usize::MAX)); // there is room: cannot be
            }
        }
        self.ended(list)
    }

    /// The variable of that name is about to be changed.
    fn touches(&self, list: &Editor<'_>, key: &Key<'_>) {
        if list.moves() == Moves::Beside {
            self.touched.note(key.hash);
        }
    }

    /// A change counts if the list is still the environment.
    fn ended(&self, list: &Editor<'_>) -> Result<(), Stop> {
        if list.is_live() { Ok(()) } else { Err(Stop::Moved) }
    }
}

/// Why a change could not be made by [`Store::locked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanting {
    /// See [`Stop::Text`].
    Text,
    Failed(Error),
}

impl From<Wanting> for Error {
    fn from(wanting: Wanting) -> Error {
        match wanting {
            Wanting::Failed(error) => error,
            Wanting::Text => Error::OutOfMemory, // only `set` asks for one
        }
    }
}

/// Makes `string` the one entry of that name, if there is one already. Under the lock.
fn replace(
    list: &mut Editor<'_>,
    key: &Key<'_>,
    string: *mut c_char,
    hint: Hint,
    keys: Keyed,
    found: &mut Found,
) -> Result<bool, Moved> {
    while let Some((first, last)) = found.places() {
        if ptr::eq(first.slot, last.slot) {
            if !ptr::eq(first.entry, string) || list.noted(first.slot, string) != Some(hint) {
                list.replace(first.slot, string, Some(hint));
            }
            return Ok(true);
        }
        remove(list, last, key.hash, keys)?; // a duplicate that the program stored
        list.find(key, found);
    }
    Ok(false)
}

/// Removes every entry of that name. The last one first: while one is left, readers find the first, whose value was the variable's. Under
/// the lock.
#[inline(never)]
fn remove_all(list: &mut Editor<'_>, key: &Key<'_>, keys: Keyed, found: &mut Found) -> Result<(), Moved> {
    while let Some((first, last)) = found.places() {
        remove(list, last, key.hash, keys)?;
        if ptr::eq(first.slot, last.slot) {
            break;
        }
        list.find(key, found);
    }
    Ok(())
}

/// Removes an entry. With threads the first entry takes its place, and must not land behind a duplicate of itself that the program
/// stored: that would change a variable nobody touched. Such duplicates go first.
#[inline(never)]
fn remove(list: &mut Editor<'_>, victim: Place, hash: u32, keys: Keyed) -> Result<(), Moved> {
    while list.moves() == Moves::Beside {
        let Some((first, mover)) = list.slots().next().filter(|&(first, _)| first != victim.slot) else {
            break;
        };
        // SAFETY: L2, L4: entries in the list.
        let Some(key) = (unsafe { Key::of(mover, keys) }) else { break };
        list.get_to_know(first, mover, key.hash);
        match list.next_of(key, first).filter(|&twin| twin < victim.slot) {
            Some(twin) => list.remove(twin, key.hash)?,
            None => break,
        }
    }
    list.remove(victim.slot, hash)
}

#[cfg(all(test, not(loom)))]
mod tests;
