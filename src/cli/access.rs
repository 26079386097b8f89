//! What a user who may not open something can do about it.

use std::path::Path;

use crate::doctor::user::{Access, access};

/// For a device or a file that this user may not open.
pub(crate) fn hint(path: &Path) -> String {
    match access(path) {
        Access::Group { user, group } => format!(
            "user {user} is not in group {group}: put sudo before the command, or run\n     \
             sudo usermod --append --groups {group} {user}\n     and log in again"
        ),
        Access::LogIn { user, group } => {
            format!("user {user} was added to group {group} after this login: log out and in again")
        }
        Access::Root { user } => format!("user {user} may not open {}: put sudo before the command", path.display()),
    }
}
