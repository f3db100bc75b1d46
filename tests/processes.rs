//! Real programs, libcs, allocators, loaders and children under the preload library: the smaller set of `tests/processes/run`, which
//! says what its rows mean. `tests/processes/run --install --all` runs everything; `tests/processes/soak SECONDS` the storms.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64", not(loom), not(miri)))]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The preload library, built as it ships. `cargo test` does not build a cdylib.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let out = Command::new(env!("CARGO"))
            .args(["build", "--release", "--package", "mtsafe-env-preload", "--message-format=json"])
            .current_dir(ROOT)
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo runs");
        assert!(out.status.success(), "the preload library does not build");
        let messages = String::from_utf8(out.stdout).expect("cargo writes UTF-8");
        let path = messages.split('"').find(|word| word.ends_with("/libmtsafe_env_preload.so"));
        path.expect("cargo names the library").into()
    })
}

/// Runs sections of the script; each of its cases has a time limit of its own, and this one holds for all of them.
fn run(sections: &[&str]) {
    let out = Command::new("timeout")
        .args(["--kill-after=5", "300"])
        .arg(Path::new(ROOT).join("tests/processes/run"))
        .args(sections)
        .env("MTSAFE_ENV_SO", library())
        .stdin(Stdio::null())
        .output()
        .expect("timeout, of coreutils, is installed");
    let (table, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    println!("{table}");
    assert!(out.status.success(), "{}\n{table}{errors}", out.status);
    assert!(table.contains("| yes") || table.contains("| better"), "nothing was tested:\n{table}");
}

#[test]
fn programs_behave_the_same() {
    run(&["programs"]);
}

#[test]
fn healthy_programs_stay_healthy() {
    run(&["healthy"]);
}

#[test]
fn racing_programs_survive() {
    run(&["races"]);
}

#[test]
fn every_libc_at_hand_will_do() {
    run(&["libcs"]);
}

#[test]
fn allocators_and_leak_checkers_get_on_with_it() {
    run(&["allocators"]);
}

#[test]
fn it_works_before_and_after_main() {
    run(&["startup"]);
}

#[test]
fn children_are_whole() {
    run(&["children"]);
}

#[test]
fn no_memory_and_few_system_calls_are_enough() {
    run(&["memory"]);
}

#[test]
fn the_known_limits_are_as_documented() {
    run(&["limits"]);
}

#[test]
fn the_whole_system_runs_with_it() {
    run(&["system"]);
}
