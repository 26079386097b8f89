//! Reads the files that a configuration names, and itself: whatever stands there, it ends soon and takes
//! little memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// A file with ten thousand meters has a quarter of this.
const MOST_BYTES: u64 = 4 << 20;

/// The bytes of a file. Of a pipe nothing is read: it may keep whoever reads it waiting.
///
/// # Errors
/// Where it cannot be read, or is not a file.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    fit(path)?;
    let mut bytes = Vec::new();
    open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(count) if count <= MOST_BYTES => Ok(bytes),
        _ => Err(io::Error::other("it has more than 4 MiB, so it is something else")),
    }
}

/// A device that has nothing to say (a terminal) answers so at once.
fn open(path: &Path) -> io::Result<File> {
    let at_once = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(at_once).open(path)
}

/// The password that a file holds: only the line end is not part of it.
///
/// # Errors
/// Where it cannot be read, or is not text.
pub fn password(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(bytes(path)?).map_err(|_| io::Error::other("it is not UTF-8 text"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whether something stands there that can be read to its end.
///
/// # Errors
/// Why not.
pub(super) fn fit(path: &Path) -> io::Result<()> {
    let kind = std::fs::metadata(path)?.file_type();
    let what = match kind {
        _ if kind.is_fifo() || kind.is_socket() => "it is a pipe or a socket; name a file",
        _ if kind.is_dir() => "it is a directory; name a file",
        _ => return Ok(()),
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// What a path that is there must not be; what is not there yet may come.
pub(super) fn unfit(path: &Path) -> Option<io::Error> {
    fit(path).err().filter(|error| error.kind() == io::ErrorKind::InvalidInput)
}

#[cfg(test)]
mod tests {
    use super::{bytes, password};
    use std::path::Path;

    #[test]
    fn what_never_ends_or_never_begins_is_refused_at_once() {
        let pipe = std::env::temp_dir().join(format!("mbushat-named-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        let said = |path: &Path| bytes(path).expect_err("no file").to_string();
        assert_eq!(said(&pipe), "it is a pipe or a socket; name a file");
        std::fs::remove_file(&pipe).expect("ours");
        assert!(said(Path::new("/dev/zero")).contains("more than 4 MiB"));
        assert_eq!(said(Path::new("/")), "it is a directory; name a file");
        assert!(bytes(Path::new("/dev/null")).expect("empty").is_empty());
        // A terminal at which nobody types.
        let terminal = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY);
        let terminal = terminal.expect("a pseudo-terminal");
        rustix::pty::unlockpt(&terminal).expect("ours");
        let name = rustix::pty::ptsname(&terminal, Vec::new()).expect("its name").into_string().expect("UTF-8");
        assert!(bytes(Path::new(&name)).is_err());
    }

    #[test]
    fn a_password_loses_only_its_line_end() {
        let path = std::env::temp_dir().join(format!("mbushat-named-password-{}", std::process::id()));
        std::fs::write(&path, " p w \r\n").expect("a temporary file");
        assert_eq!(password(&path).expect("readable"), " p w ");
        std::fs::write(&path, [0xFF]).expect("a temporary file");
        assert_eq!(password(&path).expect_err("no text").to_string(), "it is not UTF-8 text");
        std::fs::remove_file(&path).expect("ours");
    }
}
