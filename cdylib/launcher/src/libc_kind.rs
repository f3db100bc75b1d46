//! Which libc a file belongs to, its version, and whether it needs the library.

use std::fmt;
use std::fs;
use std::path::Path;

/// A C library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Libc {
    /// Version as (2, 36), if it could be found.
    Glibc(Option<(u32, u32)>),
    Musl(Option<String>),
    Unknown,
}

/// The first glibc whose own `getenv` bears a `setenv` beside it. Source: its NEWS for 2.41.
const SAFE_GLIBC: (u32, u32) = (2, 41);

impl Libc {
    /// By the path of the dynamic linker that a program asks for. No version.
    pub(crate) fn of_loader(loader: &str) -> Libc {
        let name = loader.rsplit('/').next().unwrap_or_default();
        if name.starts_with("ld-musl-") {
            Libc::Musl(None)
        } else if name.starts_with("ld-linux") || name.starts_with("ld64.so") || name.starts_with("ld.so") {
            Libc::Glibc(None)
        } else {
            Libc::Unknown
        }
    }

    /// By the content of libc's own file, with the version.
    pub(crate) fn of_file(path: &Path) -> Libc {
        // 2 MB at most in any libc: larger ones are something else.
        match fs::metadata(path)
            .and_then(|file| if file.len() < 32 << 20 { fs::read(path) } else { Ok(Vec::new()) })
        {
            Ok(bytes) => Libc::of_bytes(&bytes),
            Err(_) => Libc::Unknown,
        }
    }

    fn of_bytes(bytes: &[u8]) -> Libc {
        // "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36."
        if let Some(at) = find(bytes, b"GNU C Library ") {
            let line = &bytes[at..(at + 200).min(bytes.len())];
            let version = find(line, b"release version ").and_then(|at| version(&line[at + 16..]));
            return Libc::Glibc(version);
        }
        if find(bytes, b"musl libc (").is_some() {
            return Libc::Musl(musl_version(bytes));
        }
        Libc::Unknown
    }

    /// True if a `setenv` beside a reader can crash this libc; none if it is not known.
    pub(crate) fn needs_library(&self) -> Option<bool> {
        match self {
            Libc::Glibc(version) => version.map(|version| version < SAFE_GLIBC),
            Libc::Musl(_) => Some(true),
            Libc::Unknown => None,
        }
    }

    /// Its name alone.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Libc::Glibc(_) => "glibc",
            Libc::Musl(_) => "musl",
            Libc::Unknown => "unknown libc",
        }
    }

    pub(crate) fn version(&self) -> Option<String> {
        match self {
            Libc::Glibc(version) => version.map(|(major, minor)| format!("{major}.{minor}")),
            Libc::Musl(version) => version.clone(),
            Libc::Unknown => None,
        }
    }
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.version().map_or(Ok(()), |version| write!(f, " {version}"))
    }
}

/// A version at the beginning of `text`: digits, a dot, digits.
pub(crate) fn version(text: &[u8]) -> Option<(u32, u32)> {
    let number = |text: &[u8]| {
        let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&text[..length]).ok()?.parse().ok().map(|number| (number, length))
    };
    let (major, length) = number(text)?;
    let rest = text[length..].strip_prefix(b".")?;
    Some((major, number(rest)?.0))
}

/// musl keeps its version as a string of its own: `1.2.3` between two NULs.
fn musl_version(bytes: &[u8]) -> Option<String> {
    bytes
        .split(|byte| *byte == 0)
        .find(|text| {
            text.len() < 32 && text.starts_with(b"1.") && {
                let parts: Vec<_> = text.splitn(3, |byte| *byte == b'.').collect();
                parts.len() == 3
                    && parts[1].iter().all(u8::is_ascii_digit)
                    && parts[2].first().is_some_and(u8::is_ascii_digit)
            }
        })
        .map(|text| String::from_utf8_lossy(text).into_owned())
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    // By the first byte: libc's file has megabytes, and std has no search for bytes in bytes.
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libcs_are_told_apart_by_what_they_say_of_themselves() {
        let glibc = b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u13) stable release version 2.36.\nCopyright";
        assert_eq!(Libc::of_bytes(glibc), Libc::Glibc(Some((2, 36))));
        assert_eq!(Libc::of_bytes(glibc).needs_library(), Some(true));
        let new = b"GNU C Library (GNU libc) stable release version 2.41.\n";
        assert_eq!(Libc::of_bytes(new).needs_library(), Some(false));
        let musl = b"\0musl libc (x86_64)\nVersion %s\nDynamic Program Loader\0 1.x\x001.2.3\0";
        assert_eq!(Libc::of_bytes(musl), Libc::Musl(Some("1.2.3".into())));
        assert_eq!(Libc::of_bytes(b"GNU C nothing"), Libc::Unknown);
    }

    #[test]
    fn loaders_are_known_by_name() {
        assert_eq!(Libc::of_loader("/lib64/ld-linux-x86-64.so.2"), Libc::Glibc(None));
        assert_eq!(Libc::of_loader("/lib/ld-linux.so.2"), Libc::Glibc(None));
        assert_eq!(Libc::of_loader("/lib/ld-musl-x86_64.so.1"), Libc::Musl(None));
        assert_eq!(Libc::of_loader("/system/bin/linker64"), Libc::Unknown);
    }
}
