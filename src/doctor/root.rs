//! The root that the checks look below: `/`, or a prepared folder that stands for a Pi.

use std::fs;
use std::path::{Path, PathBuf};

/// A link may point at a link; one that points at itself ends here.
const LINKS: usize = 8;

/// Where a machine's files are. Paths given to it and by it are those of that machine.
#[derive(Clone, Debug)]
pub struct Root {
    folder: PathBuf,
}

impl Root {
    /// The machine that this program runs on.
    #[must_use]
    pub fn here() -> Self {
        Self { folder: PathBuf::from("/") }
    }

    /// A prepared machine.
    #[must_use]
    pub fn prepared(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Whether this is the real machine, not a prepared one.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.folder == Path::new("/")
    }

    /// Where a file of the machine really is.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.folder.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub(super) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// A file's text without NULs; `None` where it cannot be read.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).replace('\0', ""))
    }

    /// The first of `paths` that can be read, and its text.
    pub(super) fn first_text(&self, paths: &[&'static str]) -> Option<(&'static str, String)> {
        paths.iter().find_map(|path| Some((*path, self.text(path)?)))
    }

    /// The kernel's name of a device: `ttyAMA0` for `/dev/serial0` that links to it.
    pub(super) fn device_name(&self, path: impl AsRef<Path>) -> String {
        let mut path = path.as_ref().to_owned();
        for _ in 0..LINKS {
            let Ok(target) = fs::read_link(self.path(&path)) else { break };
            // An absolute link leaves a prepared machine: what it points at is not the machine's name.
            if target.is_absolute() && !self.is_here() {
                break;
            }
            path = path.parent().unwrap_or(Path::new("/")).join(target);
        }
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// A message with the paths that the machine itself would show.
    pub(super) fn localise(&self, message: &str) -> String {
        if self.is_here() { message.to_owned() } else { message.replace(&*self.folder.to_string_lossy(), "") }
    }
}

#[cfg(test)]
mod tests {
    use super::Root;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_inside_the_root_only() {
        let folder = std::env::temp_dir().join(format!("mbushat-root-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("dev")).expect("a folder");
        symlink("ttyAMA0", folder.join("dev/serial0")).expect("a link");
        symlink("/dev/pts/7", folder.join("dev/ttyAMA0")).expect("a link");
        symlink("round", folder.join("dev/round")).expect("a link");
        let root = Root::prepared(folder.clone());
        assert_eq!(root.device_name("/dev/serial0"), "ttyAMA0");
        assert_eq!(root.device_name("/dev/round"), "round");
        assert_eq!(root.device_name("/dev/ttyUSB0"), "ttyUSB0");
        assert_eq!(root.localise(&format!("cannot open {}/dev/x", folder.display())), "cannot open /dev/x");
        std::fs::remove_dir_all(folder).expect("our folder");
    }
}
