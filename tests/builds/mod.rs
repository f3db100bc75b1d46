//! Builds what a test runs.

#![allow(dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of this test binary's own, below the target directory.
fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Runs cargo in `directory` with its output in a folder of ours: the one it is running us from is locked, or must not change.
pub(crate) fn cargo(directory: &Path, folder_name: &str, args: &[&str], rustflags: &str) -> PathBuf {
    let output = cargo_output(directory, folder_name, args, rustflags);
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    folder().join(folder_name)
}

/// The same, whatever comes of it.
pub(crate) fn cargo_output(directory: &Path, folder_name: &str, args: &[&str], rustflags: &str) -> Output {
    let mut command = Command::new(env!("CARGO"));
    let (own, others) = args.split_at(args.iter().position(|arg| *arg == "--").unwrap_or(args.len()));
    command.current_dir(directory).args(own).arg("--target-dir").arg(folder().join(folder_name)).args(others);
    command
        .env("RUSTFLAGS", rustflags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TERM_COLOR", "never");
    command.output().unwrap()
}

/// Compiles C text into a shared library.
pub(crate) fn c_library(name: &str, text: &str) -> PathBuf {
    // Another process may be running the same test.
    let base = folder().join(format!("{name}-{}", std::process::id()));
    let (source, library) = (base.with_extension("c"), base.with_extension("so"));
    std::fs::write(&source, text).unwrap();
    let compiler = std::env::var_os("CC").unwrap_or("cc".into());
    let status = Command::new(compiler)
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .expect("a C compiler: Rust links with one, too");
    assert!(status.success());
    library
}
