//! A child with an environment of its own, built while others read it: `cargo run --example child`

use mtsafe_env::Environ;
use std::process::Command;
use std::thread;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What the children share. The process environment is only copied.
    let shared = Environ::from_process();
    shared.set("GREETING", "hello")?;
    shared.remove("OLDPWD")?;

    let outputs = thread::scope(|threads| {
        let shared = &shared;
        let children: Vec<_> = ["one", "two", "three"]
            .into_iter()
            .map(|tenant| {
                threads.spawn(move || -> std::io::Result<Vec<u8>> {
                    let own = shared.clone();
                    own.set("TENANT", tenant)?;
                    Ok(own.apply(&mut show()).output()?.stdout)
                })
            })
            .collect();
        children.into_iter().flat_map(|child| child.join()).collect::<Result<Vec<_>, _>>()
    })?;
    for output in outputs {
        print!("{}", String::from_utf8_lossy(&output));
    }
    assert!(mtsafe_env::var_os("TENANT").is_none());
    Ok(())
}

/// Prints the two variables.
fn show() -> Command {
    let (shell, option, text) = if cfg!(windows) {
        ("cmd", "/C", "echo %GREETING% %TENANT%")
    } else {
        ("/bin/sh", "-c", "echo $GREETING $TENANT")
    };
    let mut command = Command::new(shell);
    command.args([option, text]);
    command
}
