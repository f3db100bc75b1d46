//! Link arguments of the preload library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for argument in [
        "-nostartfiles",   // no constructors, no destructors
        "-Wl,-z,defs",     // an undefined symbol is an error here, not in somebody's process
        "-Wl,-z,nodelete", // pointers into the library's strings outlive a dlclose
        // Six functions of libc, whose interface stays: no version in the name. One file is preloaded, linked, and named by tools.
        "-Wl,-soname,libmtsafe_env_preload.so",
        "-Wl,-z,now", // nothing is bound lazily, inside somebody's signal handler
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
