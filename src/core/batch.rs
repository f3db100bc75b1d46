//! Several changes published at once, and the read that sees all of them or none.
//!
//! A batch plans the list that is wanted, has another array hold it ([`adopt`](crate::adopt)), and moves the head there: one store. Linear in the
//! number of variables and changes.
//!
//! # Why a read looks twice
//! A reader that loaded the head when that array was live may still be in it, however late, and meets the edits before they
//! are published. They are the ordinary moves, as in [`adopt`](crate::adopt), so it finds every variable that nobody touches.
//! But it may return a value that is not published yet, and its next read, which starts at the head, the old one.
//! Readers leave no trace by which a writer could wait for them, and slots that are never used again cost memory without end: a
//! reader that looks at nothing but the list cannot have both. So [`Store::get`] compares a count of [`batches`](crate::batches) before and after:
//! 1. The count did not move. Then no edit of a batch that was found began after the first look. And none began before:
//!    who sees a batch counted sees that array left (`[batch]`), so loads a later head, and enters the array only once it is published.
//! 2. It moved. The read starts over. As each new start means another batch, this is lock-free, and wait-free without batches.
//!
//! A walk of `environ` in C, and C's `getenv`, do not look twice. For them each variable is as safe as ever, a batch is still
//! published by one store, and a walk that starts after it sees all of it. What they lose is only this: one that was
//! suspended in a single walk since before the last batch may take a value from the next one a moment early.

use crate::entry::{self, Key, Name};
use crate::error::{Error, Stop};
use crate::hints::Hint;
use crate::plan::Plan;
use crate::slot::Head;
use crate::store::{Store, Where};
use core::ffi::c_char;
use core::ptr;

/// One change of a batch: a name, and the value to set, or `None` to remove the variable.
pub type Change<'a> = (&'a [u8], Option<&'a [u8]>);

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
            if let Some(value) = self.batch.undisturbed(|| unsafe { self.value(head, name) }) {
                return value;
            }
        }
    }

    /// Makes all `changes`, in their order, by one move of the head, or none of them. Readers through [`get`](Self::get) and
    /// [`snapshot`](Self::snapshot) see all or nothing; for walkers of `environ` see the text of this module. If every change
    /// holds already, nothing is published. Blocking (one lock), not AS-Safe; linear in the number of variables and changes.
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
        let done = self.locked(|| {
            let (first, array) = match self.place(head)? {
                Where::Ours(list) => (list.first(), Some(list.array())),
                Where::Theirs(first) => (first, None),
            };
            // With room for one more than there may be.
            // SAFETY: the caller's promise: a proper list.
            let mut plan = unsafe { self.means().collect(first, array, changes.len() + 1) }?;
            if !self.apply(&mut plan, changes)? {
                return Ok(());
            }
            if array.is_none() {
                self.leave();
            }
            self.batch.begin();
            let mut list = self.means().bring(head, &plan, self.moves())?;
            self.publish(&mut list, first)?;
            Ok(()) // it happened then, whatever the head is now
        });
        done.map_err(Error::from)
    }

    /// Makes the changes in a plan. False if each of them holds already. Under the lock.
    fn apply(&self, plan: &mut Plan<'_>, changes: &[Change<'_>]) -> Result<bool, Stop> {
        let keys = self.inherited.keys.get();
        let mut changed = false;
        for &(name, value) in changes {
            let Some(key) = Key::new(&name, keys) else { continue }; // it was looked at: cannot be
            let found = plan.find(key);
            let Some(value) = value else {
                changed |= found.is_some();
                found.into_iter().for_each(|i| plan.remove(i));
                continue;
            };
            let string = self.strings.string(key, value, keys)?;
            let hint = Hint { hash: key.hash, fixed: true };
            match found {
                // (Also if nothing was known of it: what is not known to be fixed is looked at.)
                Some(i) if ptr::eq(plan.get(i).0, string) => continue,
                Some(i) => plan.set(i, string, hint),
                None => plan.push(string, hint),
            }
            changed = true;
        }
        Ok(changed)
    }
}
