//! The two cells that C reads, `environ` and `environ[i]`: every atomic operation on them, and the plain scan.
//!
//! # Invariants
//! - S1: both are plain pointers to C. Null is an empty list; a null slot ends a list.
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[head]` | `Head::exchange`, a program's assignment | `Head::load` | every slot from that head up |
//! | `[slot]` | `Slot::store` | `Slot::load` | the bytes of the entry, and earlier slot and head stores |

use crate::entry::{Name, Wanted};
use crate::error::Moved;
use crate::machine::{self, Windowed};
use crate::sync::{self, AtomicPtr, Ordering, const_new};
use core::ffi::c_char;
use core::ptr;

/// One pointer cell of the list: null, or the address of an entry.
#[repr(transparent)]
#[derive(Debug)]
pub struct Slot(AtomicPtr<c_char>);

const_new! {
    Slot,
    pub(crate) fn new() -> Slot {
        Slot(AtomicPtr::new(ptr::null_mut()))
    }
}

impl Slot {
    #[inline(always)]
    pub(crate) fn load(&self) -> *mut c_char {
        // Acquire [slot]: pairs with Release in `store`. Without it loom `a_bystander_survives_a_replace` fails.
        let entry = self.0.load(Ordering::Acquire);
        sync::read(entry);
        entry
    }

    /// The same for the holder of the update lock, in a list that nobody else stores to.
    pub(crate) fn own(&self) -> *mut c_char {
        sync::own(&self.0)
    }

    #[inline(always)]
    pub(crate) fn store(&self, entry: *mut c_char) {
        // Release [slot]: pairs with Acquire in `load`. Who sees this entry sees its bytes, and every earlier store of a slot.
        // Without it loom `an_entry_is_whole` fails.
        self.0.store(entry, Ordering::Release);
    }
}

/// What a C program does to the cells of a list with plain loads and stores, which loom cannot see.
#[cfg(loom)]
impl Slot {
    /// A cell of a program's own array, initialised.
    pub fn holding(entry: *const c_char) -> Slot {
        Slot(AtomicPtr::new(entry.cast_mut()))
    }

    /// What a plain load gives, in C, on a machine that reorders loads: nothing is ordered by it but, on every machine that we support, what
    /// is read through the pointer. (Loom knows no such order, so bytes are not traced here.)
    pub fn peek(&self) -> *const c_char {
        // Relaxed: as said.
        self.0.load(Ordering::Relaxed)
    }

    /// `environ[i] = entry`.
    pub fn assign(&self, entry: *const c_char) {
        // Relaxed: a plain store in C.
        self.0.store(entry.cast_mut(), Ordering::Relaxed);
    }
}

/// The list head: what C calls `environ`. Null is an empty list.
#[repr(transparent)]
#[derive(Debug)]
pub struct Head(AtomicPtr<Slot>);

#[cfg(not(loom))]
const _: () = {
    // C reads both as plain pointers.
    assert!(size_of::<Slot>() == size_of::<*mut c_char>());
    assert!(size_of::<Head>() == size_of::<*mut *mut c_char>());
};

const_new! {
    Head,
    /// The head of an empty list.
    pub fn new() -> Head {
        Head(AtomicPtr::new(ptr::null_mut()))
    }
}

impl Head {
    /// The first slot of the list, or null.
    #[inline(always)]
    pub(crate) fn load(&self) -> *const Slot {
        // Acquire [head]: pairs with Release in `exchange`. Who sees this head sees the slots from it up.
        // Without it loom `a_bystander_survives_growth` fails.
        self.0.load(Ordering::Acquire)
    }

    /// Moves the list head, unless somebody moved it meanwhile: an assignment by the program is never overwritten.
    pub(crate) fn exchange(&self, from: *const Slot, to: *const Slot) -> Result<(), Moved> {
        sync::tell_perl();
        // Release [head]: pairs with Acquire in `load`. Who sees this head sees the slots from it up.
        // Without it loom `a_bystander_survives_an_add` and `adoption_hides_nothing` fail. Relaxed on failure: we look again from the start.
        let moved =
            self.0.compare_exchange(from.cast_mut(), to.cast_mut(), Ordering::Release, Ordering::Relaxed);
        moved.map(|_| ()).map_err(|_| Moved)
    }

    /// `environ`, for models.
    #[cfg(loom)]
    pub fn first(&self) -> *const Slot {
        self.load()
    }

    /// `&environ[i]`, for models.
    ///
    /// # Safety
    /// - there are `i` slots in the list, or one less.
    #[cfg(loom)]
    pub unsafe fn slot(&self, i: usize) -> *const Slot {
        // SAFETY: the caller's promise.
        unsafe { self.load().add(i) }
    }

    /// The same as [`assign`](Self::assign) where another thread exchanges the head. An exchange, because loom may put a store
    /// in between the load and the store of another thread's exchange, which no machine does.
    #[cfg(loom)]
    pub fn assign_beside_exchange(&self, list: *const Slot) {
        // Release [head]: as in `assign`.
        self.0.swap(list.cast_mut(), Ordering::Release);
    }

    /// What a program does with `environ = list`: a store that takes no lock.
    ///
    /// # Safety
    /// - `list` is null, or a readable null-terminated array of entries that stays so while it may be read.
    pub unsafe fn assign(&self, list: *const Slot) {
        // Release [head]: pairs with Acquire in `load`. Without it loom `an_assigned_list_is_seen_whole` fails.
        self.0.store(list.cast_mut(), Ordering::Release);
    }

    /// The value of the first entry named `name`, or `None`. MT-Safe, AS-Safe, wait-free: at most two loads per slot between
    /// the head and the end of the array; no store.
    ///
    /// # Safety
    /// - the list is a proper one (L1, L2, L4), whoever made it.
    #[inline(always)]
    pub unsafe fn get<N: Name>(&self, name: N) -> Option<*const c_char> {
        // SAFETY: the caller's promise.
        Wanted::new(&name, Windowed::NEVER).and_then(|wanted| unsafe { self.scan(wanted) })
    }

    /// The same.
    ///
    /// # Safety
    /// - as there.
    #[inline(always)]
    pub(crate) unsafe fn scan(&self, wanted: Wanted<'_>) -> Option<*const c_char> {
        // SAFETY: the caller's promise: a proper list, whose entries are strings that stay (L1, L2, L4).
        let named = unsafe { slots(self.load()).next_by(wanted.start, |entry| wanted.value_here(entry)) };
        named.map(|(_, _, value)| value)
    }
}

/// The slots from `first` up to the terminator, with their entries. An empty iterator for null.
///
/// # Safety
/// - `first` is null or points into a proper list, which stays allocated while the iterator is used.
#[inline(always)]
pub(crate) unsafe fn slots(first: *const Slot) -> Slots<false> {
    Slots { at: first }
}

/// The same for the holder of the update lock, in a list that nobody else stores to.
///
/// # Safety
/// - as there.
#[inline(always)]
pub(crate) unsafe fn own_slots(first: *const Slot) -> Slots<true> {
    Slots { at: first }
}

/// Invariant: `at` is null or points into a proper list (L1), not past its terminator.
#[derive(Clone, Debug)]
pub(crate) struct Slots<const OWN: bool> {
    at: *const Slot,
}

impl<const OWN: bool> Slots<OWN> {
    /// The next slot with an entry of that name, that entry, and where its value starts.
    ///
    /// # Safety
    /// - entries are strings that stay (L2, L4).
    #[inline(always)]
    pub(crate) unsafe fn next_named(
        &mut self,
        wanted: Wanted<'_>,
    ) -> Option<(*const Slot, *mut c_char, *const c_char)> {
        // SAFETY: the caller's promise.
        unsafe { self.next_by(wanted.start, |entry| wanted.value_in(entry)) }
    }

    /// The same for a name whose entries begin with these two bytes, and `value_in` tells of one that it is such, and where its value starts.
    ///
    /// # Safety
    /// - as there.
    #[inline(always)]
    unsafe fn next_by(
        &mut self,
        start: u16,
        value_in: impl Fn(*const c_char) -> Option<*const c_char>,
    ) -> Option<(*const Slot, *mut c_char, *const c_char)> {
        while !self.at.is_null() {
            // What is not passed over is loaded again, and may be another entry by then. So each slot counts as what one load of it gave.
            // SAFETY: the invariant, the caller's promise; a slot is a pointer.
            self.at = unsafe { machine::next_like(self.at.cast(), start) }.cast();
            let (slot, entry) = self.next()?;
            if let Some(value) = value_in(entry) {
                return Some((slot, entry, value));
            }
        }
        None
    }

    /// The slot that comes next; once the iterator ended, the terminator.
    pub(crate) fn at(&self) -> *const Slot {
        self.at
    }
}

impl<const OWN: bool> Iterator for Slots<OWN> {
    type Item = (*const Slot, *mut c_char);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the invariant.
        let slot = unsafe { self.at.as_ref() }?;
        let entry = if OWN { slot.own() } else { slot.load() };
        if entry.is_null() {
            return None; // and stay on the terminator
        }
        // SAFETY: L1: `entry` is not the terminator, so a slot follows.
        self.at = unsafe { self.at.add(1) };
        Some((slot, entry))
    }
}
