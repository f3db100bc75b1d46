//! How many batches have begun: what a read compares that must not see one half done. Why, is in `batch`.
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[batch]` | `Batches::begin` | `Batches::undisturbed` | the move of the head away from the array that the batch edits |

use crate::sync::{AtomicUsize, Ordering, const_new};

/// Batches begun, and what else a single look may miss a variable beside; zero at first.
#[derive(Debug)]
pub(crate) struct Batches(AtomicUsize);

const_new! {
    Batches,
    pub(crate) fn new() -> Batches {
        Batches(AtomicUsize::new(0))
    }
}

impl Batches {
    /// Counts a batch, before its first edit; or a change that moves entries down, in a list of the program's own: a read that began before looks
    /// again; one that begins in the middle of it may miss what moves (libc's promise). Under the update lock.
    pub(crate) fn begin(&self) {
        // Relaxed: only the lock's holders store it, so that load and store need not be one step.
        let begun = self.0.load(Ordering::Relaxed);
        // Release [batch]: pairs with Acquire in `undisturbed`. Without it loom `a_batch_is_seen_once_it_is_published` fails.
        self.0.store(begun.wrapping_add(1), Ordering::Release);
    }

    /// What `look` gives, if no batch began meanwhile, so that it did not see the edits of one that is not published, nor passed over an
    /// entry that moved down.
    #[inline]
    pub(crate) fn undisturbed<T>(&self, look: impl FnOnce() -> T) -> Option<T> {
        // Acquire [batch]: pairs with Release in `begin`. Without it loom `a_batch_is_seen_once_it_is_published` fails.
        let before = self.0.load(Ordering::Acquire);
        let found = look();
        // Relaxed: every slot load before it acquires, so who met an edit of a batch sees that batch counted.
        (self.0.load(Ordering::Relaxed) == before).then_some(found)
    }
}
