//! `libmtsafe_env_preload.so`: the six environment functions for existing programs, through `LD_PRELOAD`.
//!
//! No std, no start-up code, no thread-local storage, and nothing that unwinds or prints: it runs inside other people's processes.

#![cfg_attr(not(test), no_std)]

// A test harness has a libc and a panic handler of its own, and must keep them.
#[cfg(not(test))]
mtsafe_env_core::interpose!(@six); // and nothing else is exported

#[cfg(not(test))]
mod runtime {
    use core::arch::global_asm;

    #[link(name = "c")]
    unsafe extern "C" {
        safe fn abort() -> !;
    }

    /// Not reached: no path of the library panics. Should one ever, the process ends here rather than unwind into C.
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        abort()
    }

    // The prebuilt `core` refers to this name wherever it has landing pads. They are never run (panic = "abort"), and optimised
    // builds drop them; the others need the name. Hidden: exporting it would take it away from the program's own Rust code.
    global_asm!(
        ".hidden rust_eh_personality",
        ".globl rust_eh_personality",
        ".set rust_eh_personality, {abort}",
        abort = sym abort_from_personality,
    );

    // On 32-bit ARM tables for unwinders name these, only so that libgcc is linked, whose unwinder has them. Weak: in a static program
    // its own come first.
    #[cfg(target_arch = "arm")]
    global_asm!(
        ".hidden __aeabi_unwind_cpp_pr0",
        ".weak __aeabi_unwind_cpp_pr0",
        ".set __aeabi_unwind_cpp_pr0, {abort}",
        ".hidden __aeabi_unwind_cpp_pr1",
        ".weak __aeabi_unwind_cpp_pr1",
        ".set __aeabi_unwind_cpp_pr1, {abort}",
        abort = sym abort_from_personality,
    );

    extern "C" fn abort_from_personality() -> ! {
        abort()
    }
}
