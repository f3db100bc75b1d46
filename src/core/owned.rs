//! The list of an `Environ`: the array, the head and the moves of [`list`](crate::list), for an owner who gives memory back.
//!
//! What a move unlinks is returned, to be retired: readers may still be in it (L4). Nobody but the owner moves the head, so
//! no move is ever refused. Readers of an `Environ` use its index; the list itself is read under the owner's lock.

use crate::list::{Array, Editor, Head, Kind, Moved, Slot};
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
        Layout::from_size_align(Array::bytes(capacity, Kind::Owned)?, align_of::<Array>()).ok()
    }

    fn of(array: &Array) -> Option<Memory> {
        Some(Memory { at: NonNull::from(array).cast(), layout: Memory::layout(array.capacity())? })
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

    /// The right to change the list.
    ///
    /// # Safety
    /// - the caller holds the owner's lock for the life of the editor.
    unsafe fn editor(&self) -> Option<Editor<'_>> {
        // SAFETY: the caller's promise; the array is ours.
        let list = unsafe { Editor::live(&self.head, self.array()?) }?;
        list.needs_no_sweep(); // no program has pointers into this list
        Some(list)
    }

    /// Slots of the array, terminator included; and how many of them are free below the head. Under the owner's lock.
    ///
    /// # Safety
    /// - the caller holds the owner's lock.
    pub unsafe fn room(&self) -> (usize, usize) {
        // SAFETY: the caller's promise.
        unsafe { self.editor() }.map_or((0, 0), |list| (list.array().capacity(), list.room()))
    }

    /// The slots and their entries.
    ///
    /// # Safety
    /// - the caller holds the owner's lock while the iterator is used.
    pub unsafe fn entries(&self) -> impl Iterator<Item = (*const Slot, *mut c_char)> + use<'_> {
        // SAFETY: the caller's promise.
        unsafe { self.editor() }.into_iter().flat_map(|list| list.slots())
    }

    /// Adds `entry` in front and returns its slot.
    ///
    /// # Safety
    /// - the caller holds the owner's lock; `room` tells of a free slot; `entry` is a string that stays until it is unlinked
    ///   and no reader can hold it.
    pub unsafe fn add(&self, entry: *mut c_char) -> *const Slot {
        // SAFETY: the caller's promise.
        if let Some(mut list) = unsafe { self.editor() } {
            never(list.add(entry, None));
        }
        self.first()
    }

    /// Stores `entry` into `slot`, and so unlinks the entry that was there.
    ///
    /// # Safety
    /// - as for [`add`](Self::add); `slot` holds an entry of the list.
    pub unsafe fn replace(&self, slot: *const Slot, entry: *mut c_char) {
        // SAFETY: the caller's promise.
        if let Some(mut list) = unsafe { self.editor() } {
            list.replace(slot, entry, None);
        }
    }

    /// Unlinks the entry in `slot`. Returns the entry that took its place there, if one did.
    ///
    /// # Safety
    /// - the caller holds the owner's lock; `slot` holds an entry of the list.
    pub unsafe fn remove(&self, slot: *const Slot) -> Option<*mut c_char> {
        // SAFETY: the caller's promise.
        let mut list = unsafe { self.editor() }?;
        let (first, mover) = list.slots().next()?;
        never(list.remove(slot));
        (first != slot).then_some(mover)
    }

    /// Unlinks all entries.
    ///
    /// # Safety
    /// - the caller holds the owner's lock.
    pub unsafe fn clear(&self) {
        // SAFETY: the caller's promise.
        if let Some(mut list) = unsafe { self.editor() } {
            never(list.clear());
        }
    }

    /// Moves the list into fresh memory, adding `entry` in front. Every slot is another one afterwards. Returns the memory of
    /// the array that was left.
    ///
    /// # Safety
    /// - as for [`add`](Self::add), without the free slot; `at` is zeroed memory, allocated by `layout(capacity)`, nobody
    ///   else's, and `capacity` is larger than the length of the list by 2 at least.
    pub unsafe fn grow(&self, at: NonNull<u8>, capacity: usize, entry: *mut c_char) -> Option<Memory> {
        // SAFETY: the caller's promise.
        let fresh = unsafe { Array::place(at, capacity, Kind::Owned) };
        // mutant survives: the list is read under the owner's lock only
        // SAFETY: the caller's promise.
        let old = match unsafe { self.editor() } {
            Some(mut list) => {
                let old = Memory::of(list.array());
                never(list.grow(fresh, entry, None));
                old
            }
            None => {
                // SAFETY: the caller's promise.
                let mut list = unsafe { Editor::private(&self.head, fresh) };
                // mutant survives: the list is read under the owner's lock only
                never(list.add(entry, None));
                never(list.publish(ptr::null()));
                None
            }
        };
        // Relaxed: only under the owner's lock.
        self.array.store(ptr::from_ref(fresh).cast_mut(), Ordering::Relaxed);
        old
    }

    /// The memory of the array. For the owner's `drop`.
    pub fn memory(&mut self) -> Option<Memory> {
        Memory::of(self.array()?)
    }
}

/// Nobody else moves the head of an owned list.
fn never<T>(moved: Result<T, Moved>) {
    debug_assert!(moved.is_ok());
}
