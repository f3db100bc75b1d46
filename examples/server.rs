//! A server whose admin thread changes the environment while requests read it: `cargo run --example server`
//!
//! It prints its address. `curl http://ADDRESS/GREETING` shows a variable; lines on standard input change them: `NAME=VALUE`, `NAME` to remove
//! one, `quit`. With a web framework nothing is different: handlers call `mtsafe_env::var`, the admin's task `mtsafe_env::try_set_var`.

use std::io::{BufRead, BufReader, Write, stdin};
use std::net::{TcpListener, TcpStream};
use std::{io, thread};

mtsafe_env::interpose!(); // once, in the executable

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if !mtsafe_env::interposed() {
        return Err(mtsafe_env::status().to_string().into());
    }
    mtsafe_env::try_set_var("GREETING", "hello")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for request in listener.incoming() {
            thread::spawn(|| answer(request?));
        }
    });
    // The admin. What a line cannot do is said, and nothing was changed.
    for line in stdin().lines() {
        let line = line?;
        let done = match line.split_once('=') {
            _ if line == "quit" => break,
            Some((name, value)) => mtsafe_env::try_set_var(name, value),
            None => mtsafe_env::try_remove_var(&line),
        };
        match done {
            Ok(()) => println!("done: {line}"),
            Err(error) => println!("refused: {error}"),
        }
    }
    Ok(())
}

/// One request: `GET /NAME`. Reading takes no lock, and never meets half a change.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let name = line.split(' ').nth(1).unwrap_or("").trim_start_matches('/');
    let (status, body) = match mtsafe_env::var(name) {
        Ok(value) => ("200 OK", value),
        Err(error) => ("404 Not Found", error.to_string()),
    };
    write!(stream, "HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
