//! Mistakes are told in words: the macro twice in one program, and the list of functions to ban.

#![cfg(all(target_os = "linux", feature = "std", not(loom), not(miri)))]

mod builds;

use std::path::{Path, PathBuf};

/// What every compiler and linker that refuses to have the macro twice must print.
const ADVICE: &str = "mtsafe_env_interpose_is_expanded_twice__keep_it_in_the_executable_only";

/// Writes a package with one program, and a library beside it.
fn package(name: &str, program: &str, library: &str) -> PathBuf {
    let (here, package) =
        (env!("CARGO_MANIFEST_DIR"), Path::new(env!("CARGO_TARGET_TMPDIR")).join("misuse").join(name));
    let dependency =
        format!("mtsafe-env = {{ path = \"{here}\", default-features = false, features = [\"std\"] }}\n");
    let manifest = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nedition = \"2021\"\n[dependencies]\n{dependency}{more}")
    };
    let write = |file: &str, text: &str| {
        let path = package.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let more = "library = { path = \"library\" }\n[workspace]\n[profile.release]\nlto = \"fat\"\ncodegen-units = 1\n";
    write("Cargo.toml", &manifest("program", more));
    write("src/main.rs", program);
    write("library/Cargo.toml", &manifest("library", ""));
    write("library/src/lib.rs", library);
    std::fs::copy(Path::new(here).join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    package
}

/// What cargo says; it must fail if there is something to say.
fn told(package: &Path, args: &[&str], linker: &str) -> String {
    let flags = if linker.is_empty() { String::new() } else { format!("-Clink-arg=-fuse-ld={linker}") };
    let output = builds::cargo_output(package, &format!("misuse-{linker}"), args, &flags);
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_macro_twice_is_told_with_advice() {
    let once = "mtsafe_env::interpose!();\n";
    let main = "fn main() { library::call() }";
    let apart = format!("{once}mod apart {{ {once} }} {main}");
    let cases = [
        ("modules", apart, "pub fn call() {}".into()),
        ("module", format!("{once}{once}{main}"), "pub fn call() {}".into()),
        ("library", format!("{once}{main}"), format!("{once}pub fn call() {{ mtsafe_env::interposed(); }}")),
    ];
    for (name, program, library) in cases {
        let package = package(name, &program, &library);
        for args in [&["build"][..], &["build", "--release"]] {
            for linker in ["", "bfd"] {
                let text = told(&package, args, linker);
                assert!(text.contains(ADVICE), "{name} {args:?} {linker}: {text}");
            }
        }
    }
}

/// The list that users copy refuses each of std's functions, and names the one to use.
#[test]
fn the_list_of_banned_functions_bans() {
    let program = "fn main() {
        library::call();
        let _ = (std::env::var(\"A\"), std::env::var_os(\"A\"), std::env::vars().count(), std::env::vars_os().count());
        std::env::set_var(\"A\", \"\");
        std::env::remove_var(\"A\");
    }";
    let package = package("banned", program, "pub fn call() {}");
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clippy.toml");
    std::fs::copy(list, package.join("clippy.toml")).unwrap();
    let args = ["clippy", "--", "-D", "clippy::disallowed_methods"];
    let text = told(&package, &args, "");
    for name in ["var", "var_os", "vars", "vars_os", "set_var", "remove_var"] {
        assert!(text.contains(&format!("use of a disallowed method `std::env::{name}`")), "{name}: {text}");
        assert!(text.contains(&format!("mtsafe_env::{name}`")), "{name}: {text}");
    }
}
