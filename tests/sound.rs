//! Safe code cannot go wrong through this crate: programs and plugins without `unsafe`, with the macro and without, in every edition.
//!
//! `READS=10000000 cargo test --test sound -- --nocapture` reads as often on each of two threads.

#![cfg(all(target_os = "linux", feature = "std", not(loom), not(miri)))]

mod builds;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Reads of each of two threads. Without what is tested here so many were enough for a crash, 24 times of 24.
fn reads() -> String {
    std::env::var("READS").unwrap_or("20000".into())
}

/// Builds the programs and the plugin as packages that depend on this one, and returns the folder they are in.
fn build(with_macro: bool, release: bool) -> PathBuf {
    static WRITTEN: OnceLock<PathBuf> = OnceLock::new();
    let package = WRITTEN.get_or_init(|| {
        let here = env!("CARGO_MANIFEST_DIR");
        let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sound");
        let dependency = format!("mtsafe-env = {{ path = \"{here}\", default-features = false, features = [\"std\"] }}\n");
        let library = |name: &str, edition: &str, more: &str| {
            let text = format!(
                "[package]\nname = \"{name}\"\nedition = \"{edition}\"\n[lib]\npath = \"{here}/tests/sound/{name}.rs\"\n{more}"
            );
            std::fs::create_dir_all(package.join(name)).unwrap();
            std::fs::write(package.join(name).join("Cargo.toml"), text).unwrap();
        };
        library("body", "2021", &format!("[dependencies]\n{dependency}"));
        library("old", "2018", "");
        let needs = format!("{dependency}body = {{ path = \"../body\" }}\nold = {{ path = \"../old\" }}\n");
        library("plugin", "2024", &format!("crate-type = [\"cdylib\"]\n[features]\nmacro = []\n[dependencies]\n{needs}"));
        let programs: String = [("2018", "program"), ("2021", "program"), ("2024", "program_2024"), ("host", "host")]
            .map(|(name, file)| {
                let edition = if name == "host" { "2024" } else { name };
                format!("[[bin]]\nname = \"sound{name}\"\npath = \"{here}/tests/sound/{file}.rs\"\nedition = \"{edition}\"\n")
            })
            .concat();
        let manifest = format!(
            "[package]\nname = \"sound\"\nedition = \"2024\"\nautobins = false\n[workspace]\nmembers = [\"plugin\"]\n{programs}\
             [features]\nmacro = []\n[dependencies]\nlibc = \"0.2\"\n{}\
             [profile.release]\nlto = \"fat\"\ncodegen-units = 1\n",
            needs.replace("../", "")
        );
        std::fs::write(package.join("Cargo.toml"), manifest).unwrap();
        std::fs::copy(Path::new(here).join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
        package
    });
    let mut args = vec!["build", "--quiet"];
    args.extend(if release {
        ["--release", "--package=plugin"]
    } else {
        ["--package=plugin", "--package=sound"]
    });
    if with_macro {
        args.push(if release { "--features=plugin/macro" } else { "--features=sound/macro,plugin/macro" });
    }
    let target = builds::cargo(package, if with_macro { "sound-macro" } else { "sound-plain" }, &args, "");
    target.join(if release { "release" } else { "debug" })
}

/// Runs a program to its good end, and demands that it says `status` and what else is given.
fn run(mut command: Command, status: &str, words: &str) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success(), "{command:?}: {output:?}");
    assert!(text.contains(&format!("{status}: ")) && text.contains(words), "{command:?}: {text}");
}

#[test]
fn programs_of_every_edition() {
    for (with_macro, status) in [(false, "NotInterposed"), (true, "LinkedIn")] {
        let folder = build(with_macro, false);
        for edition in ["2018", "2021", "2024"] {
            let mut command = Command::new(folder.join(format!("sound{edition}")));
            command.arg(reads());
            run(command, status, " 0 lost");
        }
    }
}

/// The host in C, compiled once: two tests run it.
fn host() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("host-{}", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sound/host.c");
        let compiler = std::env::var_os("CC").unwrap_or("cc".into());
        let status = Command::new(compiler).arg(source).arg("-o").arg(&program).arg("-ldl").status().unwrap();
        assert!(status.success());
        program
    })
}

/// The macro does nothing in a library, and says so; also where the optimiser could bind the library's own calls to its own
/// definitions, and where the program that loads it has it look there first.
#[test]
fn plugins() {
    let host = host();
    for release in [false, true] {
        for (with_macro, status, words) in [
            (false, "NotInterposed", "add `mtsafe_env::interpose!();` to the executable"),
            (true, "InLibrary", "`mtsafe_env::interpose!` does nothing in a shared library"),
        ] {
            let plugin = build(with_macro, release).join("libplugin.so");
            let mut command = Command::new(host);
            command.arg(reads()).arg(&plugin);
            run(command, status, words);
            let mut command = Command::new(host);
            command.arg(reads()).arg("deepbind").arg(&plugin);
            run(command, status, words);
            // In a program that has the macro.
            let mut command = Command::new(build(true, false).join("soundhost"));
            command.arg(reads()).arg(&plugin);
            run(command, "Preloaded", " 0 refused");
        }
    }
}

/// A plugin that is preloaded comes before libc, and what it defines is what everybody uses.
#[test]
fn a_plugin_that_is_preloaded() {
    let plugin = build(true, false).join("libplugin.so");
    let mut command = Command::new(host());
    command.arg(reads()).arg(&plugin).env("LD_PRELOAD", &plugin);
    run(command, "LinkedIn", " 0 refused");
}

/// Reads of long lists use AVX2, also where the compiler does, and has values of its own in the same registers.
#[test]
#[cfg(target_arch = "x86_64")]
fn registers_that_a_read_changes_are_not_the_programs() {
    if !std::is_x86_feature_detected!("avx2") {
        eprintln!("skipped: no AVX2");
        return;
    }
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sums-{}", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sound/sums.rs");
    let mut compiler = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    // Not this processor's own: with AVX-512 there are registers that no instruction of ours reaches.
    compiler.args(["--edition=2024", "-O", "-Ctarget-cpu=x86-64-v3", "-Cdebug-assertions=off"]);
    let output = compiler.arg("-o").arg(&program).arg(source).output().unwrap();
    assert!(output.status.success(), "{compiler:?}: {output:?}");
    let output = Command::new(&program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
