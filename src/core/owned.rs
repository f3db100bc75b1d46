//! The list of an `Environ`: an array of its own, for an owner who gives memory back.
//!
//! Nobody else moves its head or stores into it, and it is read under the owner's lock only (readers of names use the `Environ`'s index). So
//! it needs no hints, no room above, and no care for stale readers: additions come first, and the first entry fills the gap of a removal.
//! What is unlinked is returned, to be retired: somebody may hold a snapshot.

use crate::slot::{Head, Slot, own_slots};
use crate::sync::{self, AtomicPtr, Ordering, const_new};
use core::alloc::Layout;
use core::ffi::c_char;
use core::ptr::{self, NonNull};

/// A list and the array it is in. The owner has a lock of its own.
#[derive(Debug)]
pub struct Owned {
    head: Head,
    /// The array, or null before the first add. Only under the owner's lock.
    array: AtomicPtr<Array>,
}

/// This header, then the slots; the last one is null.
#[repr(C)]
#[derive(Debug)]
struct Array {
    /// Slots, terminator included.
    capacity: usize,
}

impl Array {
    fn slot(&self, i: usize) -> *const Slot {
        let start = ptr::from_ref(self).addr() + size_of::<Array>();
        ptr::with_exposed_provenance::<Slot>(start).wrapping_add(i)
    }
}

/// The memory of an array.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Where it starts.
    pub at: NonNull<u8>,
    /// How it was allocated.
    pub layout: Layout,
}

// SAFETY: memory is as good on one thread as on another.
unsafe impl Send for Memory {}

impl Memory {
    /// How to allocate an array of `capacity` slots, or `None` if no address space could hold it.
    pub fn layout(capacity: usize) -> Option<Layout> {
        let bytes = capacity.checked_mul(size_of::<Slot>())?.checked_add(size_of::<Array>())?;
        Layout::from_size_align(bytes, align_of::<Array>().max(align_of::<Slot>())).ok()
    }

    fn of(array: &Array) -> Option<Memory> {
        let at = ptr::with_exposed_provenance_mut(ptr::from_ref(array).addr());
        Some(Memory { at: NonNull::new(at)?, layout: Memory::layout(array.capacity)? })
    }
}

const_new! {
    Owned,
    /// An empty list without memory.
    pub fn new() -> Owned {
        Owned { head: Head::new(), array: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl Owned {
    /// The first slot, or null: what C reads as `char **`.
    pub fn first(&self) -> *const Slot {
        self.head.load()
    }

    /// Under the owner's lock.
    fn array(&self) -> Option<&Array> {
        // SAFETY: null or the array in use, which is retired only once it is left.
        unsafe { sync::own(&self.array).as_ref() }
    }

    fn start_at(&self, slot: *const Slot) {
        // SAFETY: a slot of the array, which ends in null.
        unsafe { self.head.assign(slot) };
    }

    /// Slots of the array, terminator included; and how many of them are free below the head. Under the owner's lock.
    ///
    /// # Safety
    /// - the caller holds the owner's lock.
    pub unsafe fn room(&self) -> (usize, usize) {
        self.array().map_or((0, 0), |array| {
            let free = (self.first().addr() - array.slot(0).addr()) / size_of::<Slot>();
            (array.capacity, free)
        })
    }

    /// The slots and their entries.
    ///
    /// # Safety
    /// - the caller holds the owner's lock while the iterator is used.
    pub unsafe fn entries(&self) -> impl Iterator<Item = (*const Slot, *mut c_char)> + use<'_> {
        // SAFETY: null, or a slot of the array, which ends in null.
        unsafe { own_slots(self.first()) }
    }

    /// Adds `entry` in front and returns its slot.
    ///
    /// # Safety
    /// - the caller holds the owner's lock; `room` tells of a free slot; `entry` is a string that stays until it is unlinked
    ///   and no reader can hold it.
    pub unsafe fn add(&self, entry: *mut c_char) -> *const Slot {
        let slot = self.first().wrapping_sub(1);
        // SAFETY: the caller's promise: there is a free one.
        unsafe { &*slot }.store(entry);
        self.start_at(slot);
        slot
    }

    /// Stores `entry` into `slot`, and so unlinks the entry that was there.
    ///
    /// # Safety
    /// - as for [`add`](Self::add); `slot` holds an entry of the list.
    pub unsafe fn replace(&self, slot: *const Slot, entry: *mut c_char) {
        // SAFETY: the caller's promise.
        unsafe { &*slot }.store(entry);
    }

    /// Unlinks the entry in `slot`. Returns the entry that took its place there, if one did.
    ///
    /// # Safety
    /// - the caller holds the owner's lock; `slot` holds an entry of the list.
    pub unsafe fn remove(&self, slot: *const Slot) -> Option<*mut c_char> {
        // SAFETY: the caller's promise: there is an entry, so also a first one.
        let (first, mover) = unsafe { self.entries() }.next()?;
        if first != slot {
            // SAFETY: the caller's promise.
            unsafe { &*slot }.store(mover);
        }
        self.start_at(first.wrapping_add(1));
        (first != slot).then_some(mover)
    }

    /// Unlinks all entries.
    ///
    /// # Safety
    /// - the caller holds the owner's lock.
    pub unsafe fn clear(&self) {
        if let Some(array) = self.array() {
            self.start_at(array.slot(array.capacity - 1));
        }
    }

    /// Moves the list into fresh memory, adding `entry` in front. Every slot is another one afterwards. Returns the memory of
    /// the array that was left.
    ///
    /// # Safety
    /// - as for [`add`](Self::add), without the free slot; `at` is zeroed memory, allocated by `layout(capacity)`, nobody
    ///   else's, and `capacity` is larger than the length of the list by 2 at least.
    pub unsafe fn grow(&self, at: NonNull<u8>, capacity: usize, entry: *mut c_char) -> Option<Memory> {
        let array: NonNull<Array> = at.cast();
        array.as_ptr().expose_provenance();
        // SAFETY: the caller's promise: all of it fits.
        let (array, len) = unsafe {
            array.write(Array { capacity });
            let slots: *mut Slot = array.as_ref().slot(0).cast_mut();
            sync::place(slots, capacity, Slot::new);
            (array.as_ref(), self.entries().count())
        };
        let first = array.slot(capacity - 2 - len);
        // SAFETY: as above: `len + 1` slots lie between `first` and the last.
        let entries = core::iter::once(entry).chain(unsafe { self.entries() }.map(|(_, entry)| entry));
        for (i, entry) in entries.enumerate() {
            // SAFETY: as above.
            unsafe { &*first.wrapping_add(i) }.store(entry);
        }
        let old = self.array().and_then(Memory::of);
        self.start_at(first);
        // Relaxed: only under the owner's lock.
        self.array.store(ptr::from_ref(array).cast_mut(), Ordering::Relaxed);
        old
    }

    /// The memory of the array. For the owner's `drop`.
    pub fn memory(&mut self) -> Option<Memory> {
        Memory::of(self.array()?)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
