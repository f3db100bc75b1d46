//! Link arguments of the preload library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=libc.c");
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
    if env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|os| os == "linux") {
        // Found before the machine's own libc, by the library alone.
        println!("cargo::rustc-cdylib-link-arg=-L{}", unversioned_libc().display());
    }
}

/// The folder of a stand-in for libc: see `libc.c`.
fn unversioned_libc() -> PathBuf {
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    println!("cargo::rerun-if-env-changed=CC");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("libc");
    fs::create_dir_all(&folder).expect("OUT_DIR is writable");
    // What links the library makes this, too.
    let compiler = ["RUSTC_LINKER", "CC"].into_iter().find_map(env::var_os).unwrap_or_else(|| "cc".into());
    let mut command = Command::new(&compiler);
    if env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|arch| arch == "x86") {
        command.arg("-m32");
    }
    command.args(["-shared", "-nostdlib", "-fPIC", "-fno-builtin", "-w", "-Wl,-soname,libc.so.6", "-o"]);
    command.arg(folder.join("libc.so")).arg(Path::new("libc.c"));
    match command.status() {
        Ok(status) if status.success() => folder,
        Ok(status) => {
            panic!("{command:?}: {status}: the preload library needs a C compiler for this target; set CC")
        }
        Err(error) => panic!("{command:?}: {error}: the preload library needs a C compiler; set CC"),
    }
}
