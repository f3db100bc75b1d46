//! Registers at an interposed call, as the entry points in `exports` leave them on the stack.

use core::sync::atomic::Ordering;
use mtsafe_env_trace_layout as layout;

/// What an entry point has saved: the registers that a callee must keep, and where the call returns to.
#[cfg(target_arch = "x86_64")]
#[repr(C)]
pub(crate) struct Frame {
    r15: usize,
    r14: usize,
    r13: usize,
    r12: usize,
    rbx: usize,
    rbp: usize,
    aligned: usize,
    return_address: usize,
}

/// What an entry point has saved: the registers that a callee must keep, and where the call returns to.
#[cfg(target_arch = "aarch64")]
#[repr(C)]
pub(crate) struct Frame {
    x29: usize,
    return_address: usize,
    x19_to_x28: [usize; 10],
}

impl Frame {
    /// Address behind the call.
    #[inline(always)]
    pub(crate) fn return_address(&self) -> usize {
        self.return_address
    }

    /// The stack pointer after the return.
    pub(crate) fn stack_pointer(&self) -> usize {
        core::ptr::from_ref(self).addr() + size_of::<Frame>()
    }

    /// Stores the registers by their DWARF numbers.
    pub(crate) fn store(&self, stack: &layout::Stack) {
        // Relaxed: see the layout's documentation.
        let store =
            |number: usize, value: usize| stack.registers[number].store(value as u64, Ordering::Relaxed);
        #[cfg(target_arch = "x86_64")]
        {
            let kept = [
                (3, self.rbx),
                (6, self.rbp),
                (12, self.r12),
                (13, self.r13),
                (14, self.r14),
                (15, self.r15),
            ];
            kept.into_iter().for_each(|(number, value)| store(number, value));
            store(layout::X86_64_STACK_POINTER, self.stack_pointer());
            store(layout::X86_64_RETURN_ADDRESS, self.return_address);
        }
        #[cfg(target_arch = "aarch64")]
        {
            self.x19_to_x28.iter().enumerate().for_each(|(i, &value)| store(19 + i, value));
            store(29, self.x29);
            store(layout::AARCH64_LINK, self.return_address);
            store(layout::AARCH64_STACK_POINTER, self.stack_pointer());
        }
    }
}

/// A word that two threads alive at the same time never share. A later thread may get that of one that has ended.
#[inline(always)]
pub(crate) fn thread_word() -> usize {
    let word;
    // SAFETY: every thread of glibc and musl has the address of its control block here.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("mov {}, fs:[0]", out(reg) word, options(readonly, nostack, preserves_flags));
    }
    // SAFETY: a register.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) word, options(nomem, nostack, preserves_flags));
    }
    word
}

/// The machine as ELF numbers it.
#[cfg(target_arch = "x86_64")]
pub(crate) const MACHINE: u32 = 62;
/// The machine as ELF numbers it.
#[cfg(target_arch = "aarch64")]
pub(crate) const MACHINE: u32 = 183;
