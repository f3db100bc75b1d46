//! Builds what a test runs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of this test binary's own, below the target directory.
fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Runs cargo in `directory` with its output in a folder of ours: the one it is running us from is locked, or must not change.
pub(crate) fn cargo(directory: &Path, folder_name: &str, args: &[&str], rustflags: &str) -> PathBuf {
    let target = folder().join(folder_name);
    let status = Command::new(env!("CARGO"))
        .current_dir(directory)
        .args(args)
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", rustflags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .unwrap();
    assert!(status.success(), "cargo {args:?}");
    target
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
