//! What the Raspberry Pi's firmware says of the machine, in `/proc/device-tree`: the Hat on the
//! header and the model. Read only; the root is an argument, so that tests can bring their own.
//!
//! Not here: switching the Hat's power (`hat`).

use std::fs;
use std::path::{Path, PathBuf};

/// Where Linux shows it.
pub const ROOT: &str = "/proc/device-tree";

/// What a Hat's EEPROM says of itself, without the NULs that end each text; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hat {
    /// `packom.net`.
    pub vendor: String,
    /// `M-Bus Master`, `M-Bus Master DS`.
    pub product: String,
    /// `0x0001`.
    pub product_id: String,
    /// `0x0005`.
    pub product_ver: String,
    /// One for each board.
    pub uuid: String,
}

impl Hat {
    /// Whether it is an M-Bus Master Hat: by its product text, as pyMbusHat looks for it, or by
    /// product id and vendor, as mbus-httpd does.
    #[must_use]
    pub fn is_mbus_master(&self) -> bool {
        self.product.starts_with("M-Bus Master") || (self.product_id == "0x0001" && self.vendor == "packom.net")
    }
}

/// Why there is no M-Bus Master Hat.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHat {
    /// Not a Raspberry Pi, or `/proc` is hidden from this process.
    #[error(
        "no M-Bus Master Hat: {0} cannot be read, so this is not a Raspberry Pi or its /proc is hidden; set hat = false for a bus that something else powers"
    )]
    NoDeviceTree(PathBuf),
    /// A Pi without any Hat.
    #[error(
        "no M-Bus Master Hat: {0} names no Hat; check that it sits on all 40 pins, then take the Pi's power away and give it back (a reboot does not find it), or set hat = false where its EEPROM is disabled"
    )]
    NoneFitted(PathBuf),
    /// Another product.
    #[error(
        "no M-Bus Master Hat: the Hat on this Pi is {product:?} by {vendor:?}; set hat = false if something else powers the bus"
    )]
    Other {
        /// Its product text.
        product: String,
        /// Its vendor text.
        vendor: String,
    },
}

/// The M-Bus Master Hat of this machine. A second Hat's node is named `hat` with something after it.
///
/// # Errors
/// [`NoHat`] says what was found instead, and what to check.
pub fn mbus_master_hat(root: &Path) -> Result<Hat, NoHat> {
    let nodes = fs::read_dir(root).map_err(|_| NoHat::NoDeviceTree(root.to_owned()))?;
    let mut nodes: Vec<PathBuf> = nodes
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("hat")) && path.is_dir())
        .collect();
    nodes.sort();
    let hats: Vec<Hat> = nodes.iter().map(|node| hat_at(node)).collect();
    match (hats.iter().find(|hat| hat.is_mbus_master()), hats.first()) {
        (Some(hat), _) => Ok(hat.clone()),
        (None, Some(other)) => Err(NoHat::Other { product: other.product.clone(), vendor: other.vendor.clone() }),
        (None, None) => Err(NoHat::NoneFitted(root.to_owned())),
    }
}

/// The model, like `Raspberry Pi 3 Model B Rev 1.2`; `None` on machines without a device tree.
#[must_use]
pub fn model(root: &Path) -> Option<String> {
    text(&root.join("model"))
}

fn hat_at(node: &Path) -> Hat {
    let property = |name: &str| text(&node.join(name)).unwrap_or_default();
    Hat {
        vendor: property("vendor"),
        product: property("product"),
        product_id: property("product_id"),
        product_ver: property("product_ver"),
        uuid: property("uuid"),
    }
}

/// A text property without its NULs.
fn text(file: &Path) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    Some(String::from_utf8_lossy(&bytes).replace('\0', ""))
}

#[cfg(test)]
mod tests {
    use super::{NoHat, mbus_master_hat, model};
    use std::fs;
    use std::path::{Path, PathBuf};

    /// A device tree in a folder of its own, removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("mbushat-tree-{}-{name}", std::process::id()));
            fs::create_dir_all(&root).expect("a temporary folder");
            Self(root)
        }

        fn with(self, path: &str, text: &str) -> Self {
            let file = self.0.join(path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a node");
            fs::write(file, format!("{text}\0")).expect("a property");
            self
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn found_by_product_and_the_nul_is_no_part_of_the_version() {
        let tree = Tree::new("product").with("hat/product", "M-Bus Master DS").with("hat/product_ver", "0x0005");
        let hat = mbus_master_hat(&tree.0).expect("a Hat");
        assert_eq!(hat.product_ver, "0x0005");
        assert_eq!(hat.product, "M-Bus Master DS");
    }

    #[test]
    fn found_by_product_id_and_vendor_together() {
        let tree = Tree::new("id").with("hat/product_id", "0x0001").with("hat/vendor", "packom.net");
        assert!(mbus_master_hat(&tree.0).is_ok());
        let tree = Tree::new("id-only").with("hat/product_id", "0x0001").with("hat/vendor", "Example");
        assert_eq!(
            mbus_master_hat(&tree.0),
            Err(NoHat::Other { product: String::new(), vendor: "Example".to_owned() })
        );
    }

    #[test]
    fn found_beside_another_hat() {
        let tree = Tree::new("two")
            .with("hat/product", "Sense HAT")
            .with("hat@1/product", "M-Bus Master")
            .with("hat@1/product_ver", "0x0006");
        assert_eq!(mbus_master_hat(&tree.0).expect("the second").product_ver, "0x0006");
    }

    #[test]
    fn what_is_missing_is_said() {
        let tree = Tree::new("none").with("model", "Raspberry Pi 3 Model B Rev 1.2").with("hatch", "no folder");
        assert_eq!(mbus_master_hat(&tree.0), Err(NoHat::NoneFitted(tree.0.clone())));
        assert_eq!(model(&tree.0).as_deref(), Some("Raspberry Pi 3 Model B Rev 1.2"));
        let nowhere = Path::new("/nonexistent/device-tree");
        assert_eq!(mbus_master_hat(nowhere), Err(NoHat::NoDeviceTree(nowhere.to_owned())));
        assert_eq!(model(nowhere), None);
    }
}
