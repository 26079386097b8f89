//! Writes the file of adopted meters so that whoever reads it finds the old text or the new one, whole, at any
//! moment, whatever becomes of the process or the power.
//!
//! Not here: what stands in it (`edit`).

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// The file may hold keys.
const MODE: u32 = 0o640;

/// The text of the file; empty where there is none.
///
/// # Errors
/// What the system says, or that it is not text.
pub fn read(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}

/// Takes `new` for `old`. `false`: the file says something else than `old` by now, and stays as it is.
///
/// # Errors
/// What the system says; then the file is as it was.
pub fn replace(path: &Path, old: &str, new: &str) -> io::Result<bool> {
    // A link stays a link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = beside(&path);
    DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
    write_whole(&beside, &path, folder, new)?;
    if read(&path)? != old {
        fs::remove_file(&beside)?;
        return Ok(false);
    }
    fs::rename(&beside, &path)?;
    File::open(folder)?.sync_all()?;
    Ok(true)
}

/// Where the new text is made ready. One that a power cut left behind is taken for the next.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn write_whole(beside: &Path, path: &Path, folder: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(MODE).open(beside)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(text.as_bytes())?;
    // The owner stays; a new file gets that of its folder, also where root writes it.
    let owner = fs::metadata(path).or_else(|_| fs::metadata(folder))?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
        match fchown(&file, Some(owner.uid()), Some(owner.gid())) {
            Err(error) if error.kind() != ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{read, replace};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("mbushat-write-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_only_its_group_may_read_it() {
        let folder = folder("whole").join("new");
        let file = folder.join("meters.toml");
        assert_eq!(read(&file).expect("nothing yet"), "");
        assert!(replace(&file, "", "a = 1\n").expect("written"));
        // left behind by a power cut
        fs::write(folder.join("meters.toml.new"), "half").expect("a file");
        assert!(replace(&file, "a = 1\n", "b = 1\n").expect("written"));
        assert_eq!(read(&file).expect("a file"), "b = 1\n");
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1);
        fs::remove_dir_all(folder.parent().expect("ours")).expect("ours");
    }

    #[test]
    fn what_somebody_wrote_meanwhile_is_left_alone_and_a_link_stays_one() {
        let folder = folder("meanwhile");
        let (file, link) = (folder.join("meters.toml"), folder.join("link.toml"));
        fs::write(&file, "by hand\n").expect("a file");
        assert!(!replace(&file, "", "ours\n").expect("not written"));
        assert_eq!(read(&file).expect("a file"), "by hand\n");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        assert!(replace(&link, "by hand\n", "ours\n").expect("written"));
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        assert_eq!(read(&file).expect("a file"), "ours\n");
        fs::remove_dir_all(folder).expect("ours");
    }
}
