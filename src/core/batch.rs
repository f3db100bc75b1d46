//! Several changes published at once, and the read that sees all of them or none.
//!
//! A batch edits a *spare* array into the list that is wanted and moves the head there: one store. The array that was left
//! becomes the next spare, so that endless batches need two arrays and no more.
//!
//! # Why a read looks twice
//! A reader that loaded the head before the spare was left may still be in it, however late, and meets the edits before they
//! are published. They are the ordinary moves, as in [`adopt`](crate::adopt), so it finds every variable that nobody touches.
//! But it may return a value that is not published yet, and its next read, which starts at the head, the old one.
//! Readers leave no trace by which a writer could wait for them, and slots that are never used again cost memory without end: a
//! reader that looks at nothing but the list cannot have both. So [`Store::get`] compares a count of batches before and after:
//! 1. The count did not move. Then no edit of a batch that was found began after the first look. And none began before:
//!    who sees a batch counted sees the spare left (`[batch]`), so loads a later head, and enters the spare only once it is published.
//! 2. It moved. The read starts over. As each new start means another batch, this is lock-free, and wait-free without batches.
//!
//! A walk of `environ` in C, and C's `getenv`, do not look twice. For them each variable is as safe as ever, a batch is still
//! published by one store, and a walk that starts after it sees all of it. What they lose is only this: one that was
//! suspended in a single walk since before the last batch may take a value from the next one a moment early.
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[batch]` | `Batches::begin` | `Store::undisturbed` | the move of the head away from the spare |

use crate::adopt::{self, Theirs};
use crate::entry::{self, Key, Name};
use crate::error::Error;
use crate::hints::Hint;
use crate::keep;
use crate::list::{Array, Editor, Head};
use crate::store::{self, MIN_SLOTS, Stop, Store};
use crate::sync::{self, AtomicPtr, AtomicUsize, Ordering, const_new};
use core::ffi::c_char;
use core::ptr;

/// One change of a batch: a name, and the value to set, or `None` to remove the variable.
pub type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// What batches keep between them; all zero at first. No two words must agree: see `process`.
#[derive(Debug)]
pub(crate) struct Batches {
    /// Batches begun.
    begun: AtomicUsize,
    /// The array to edit next, or null. Only under the update lock.
    spare: AtomicPtr<Array>,
}

const_new! {
    Batches,
    pub(crate) fn new() -> Batches {
        Batches { begun: AtomicUsize::new(0), spare: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl Batches {
    /// Counts a batch, before its first edit. Under the update lock.
    fn begin(&self) {
        // Relaxed: only the lock's holders store it, so that load and store need not be one step.
        let begun = self.begun.load(Ordering::Relaxed);
        // Release [batch]: pairs with Acquire in `Store::undisturbed`. Without it loom `a_batch_is_seen_whole` fails.
        self.begun.store(begun.wrapping_add(1), Ordering::Release);
    }

    /// The spare array, if it has `capacity` slots and is not `live`. Under the update lock.
    fn spare(&self, live: &Array, capacity: usize) -> Option<&Array> {
        // SAFETY: null or an array of ours, which stays (L4).
        unsafe { sync::own(&self.spare).as_ref() }
            .filter(|spare| !ptr::eq(*spare, live) && spare.capacity() >= capacity)
    }

    fn set_spare(&self, array: &Array) {
        // Relaxed: only the lock's holders use it.
        self.spare.store(ptr::from_ref(array).cast_mut(), Ordering::Relaxed);
    }
}

impl Store {
    /// The value of the first entry named `name`, from before or after each whole batch. MT-Safe, AS-Safe, lock-free: a read as
    /// [`value`](Self::value), again for each batch that begins meanwhile.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    #[inline]
    pub unsafe fn get<N: Name>(&self, head: &Head, name: N) -> Option<*const c_char> {
        loop {
            // SAFETY: the caller's promise.
            if let Some(value) = self.undisturbed(|| unsafe { self.value(head, name) }) {
                return value;
            }
        }
    }

    /// What `look` gives, if no batch began meanwhile, so that it did not see the edits of one that is not published.
    #[inline]
    pub(crate) fn undisturbed<T>(&self, look: impl FnOnce() -> T) -> Option<T> {
        // Acquire [batch]: pairs with Release in `begin`. Without it loom `a_batch_is_seen_whole` fails.
        let before = self.batch.begun.load(Ordering::Acquire);
        let found = look();
        // Relaxed: every slot load before it acquires, so who met an edit of a batch sees that batch counted.
        (self.batch.begun.load(Ordering::Relaxed) == before).then_some(found)
    }

    /// Makes all `changes`, in their order, by one move of the head, or none of them. Readers through [`get`](Self::get) and
    /// [`snapshot`](Self::snapshot) see all or nothing; for walkers of `environ` see the text of this module. If every change
    /// holds already, nothing is published. Blocking (one lock), not AS-Safe; compares about as many names as the square of
    /// the number of variables.
    ///
    /// # Errors
    /// `InvalidName`, `InvalidValue`, `OutOfMemory`; the list is as it was.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    pub unsafe fn batch(&self, head: &Head, changes: &[Change<'_>]) -> Result<(), Error> {
        for &(name, value) in changes {
            if !entry::is_name(name) {
                return Err(Error::InvalidName);
            }
            if !value.is_none_or(entry::is_value) {
                return Err(Error::InvalidValue);
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.locked(|| {
            self.edit(head, |list| {
                if changes.iter().all(|change| self.holds(list, change)) {
                    return Ok(());
                }
                *list = self.publish_batch(head, list, changes)?;
                Ok(())
            })
        })
    }

    /// True if `change` would change nothing. Under the lock.
    fn holds(&self, list: &Editor<'_>, &(name, value): &Change<'_>) -> bool {
        let Some((slot, _)) = Key::new(&name).and_then(|key| list.first_and_last(key)) else {
            return value.is_none();
        };
        // SAFETY: L1: a slot of the list.
        let entry = unsafe { &*slot }.load();
        if entry.is_null() {
            return false; // the program has just cut the list there
        }
        // SAFETY: L2, L4: an entry in the list.
        let found = unsafe { entry::value_if(entry, name) };
        // SAFETY: as above; the value lies in it.
        self.keep.made(entry)
            && value.zip(found).is_some_and(|(value, found)| unsafe { keep::is(found, value) })
    }

    /// Edits the spare array into `list` with `changes` made, and publishes it. Under the lock.
    #[cold]
    fn publish_batch<'a>(
        &'a self,
        head: &'a Head,
        list: &Editor<'a>,
        changes: &[Change<'_>],
    ) -> Result<Editor<'a>, Stop> {
        let first = head.load();
        // SAFETY: the promise of the callers: a proper list, whether or not it is still the one of `list`.
        let theirs = unsafe { Theirs::new(first) };
        // The list, an entry more for each change, and the terminator.
        let least = theirs.len.checked_add(changes.len()).and_then(|sum| sum.checked_add(2));
        let least = least.ok_or(Stop::Memory(usize::MAX))?;
        let array = match self.batch.spare(list.array(), least) {
            Some(spare) => spare,
            None => {
                let double = least.checked_mul(2).ok_or(Stop::Memory(usize::MAX))?;
                let capacity =
                    if least <= list.array().capacity() { list.array().capacity() } else { double };
                let fresh = self.keep.array(capacity.max(MIN_SLOTS))?;
                self.batch.set_spare(fresh);
                fresh
            }
        };
        self.batch.begin();
        // SAFETY: the lock is held; the head does not point into `array`, which is not the live one.
        let mut ours = unsafe { Editor::private(head, array) };
        adopt::bring(self, &mut ours, &theirs, list.array().hints())?;
        for &(name, value) in changes {
            let Some(key) = Key::new(&name) else { return Err(Stop::Moved) }; // it was looked at: cannot be
            let Some(value) = value else {
                let places = ours.first_and_last(key);
                store::remove_all(&mut ours, key, places)?;
                continue;
            };
            // Memory that is missing is fetched, and the spare edited again: nothing of it is published.
            let string = self.keep.string(key, value)?;
            let hint = Hint { hash: key.hash, fixed: true };
            let places = ours.first_and_last(key);
            if store::replace(&mut ours, key, string, hint, places)? {
                continue;
            }
            if ours.room() == 0 {
                return Err(Stop::Moved); // only if the owner of a string renamed it since
            }
            ours.add(string, Some(hint))?;
        }
        // Both before the move: should we not return from it (see `process`), each array is known, whichever is live.
        self.batch.set_spare(list.array());
        self.publish_from(array);
        ours.publish(first)?;
        Ok(ours)
    }
}
