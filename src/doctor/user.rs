//! The user that the agent runs as, and what it may open.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::finding::Finding;
use super::root::Root;

/// Where systemd looks for a unit, first one wins.
const UNITS: [&str; 4] = [
    "/etc/systemd/system/mbushat.service",
    "/usr/local/lib/systemd/system/mbushat.service",
    "/usr/lib/systemd/system/mbushat.service",
    "/lib/systemd/system/mbushat.service",
];

/// The groups that Raspberry Pi OS gives its devices to.
const SERIAL_GROUP: &str = "dialout";
const GPIO_GROUP: &str = "gpio";
const GPIO_DEVICES: [&str; 3] = ["/dev/gpiomem", "/dev/gpiomem0", "/dev/gpiochip0"];

/// A user with its groups.
#[derive(Clone, Debug)]
pub(super) struct AgentUser {
    pub(super) name: String,
    uid: u32,
    gids: Vec<u32>,
    /// Of the systemd unit, not the one who asks.
    of_unit: bool,
}

impl AgentUser {
    /// Whether it may read and write what `file` describes.
    pub(super) fn may_use(&self, file: &Metadata) -> bool {
        let mode = file.mode();
        let both = |shift: u32| (mode >> shift) & 0o6 == 0o6;
        if self.uid == 0 {
            true
        } else if self.uid == file.uid() {
            both(6)
        } else if self.gids.contains(&file.gid()) {
            both(3)
        } else {
            both(0)
        }
    }
}

/// The user of the systemd unit; where no unit is installed, the one who asks.
pub(super) fn agent_user(root: &Root) -> Result<AgentUser, Finding> {
    let Some((_, unit)) = root.first_text(&UNITS) else { return Ok(current_user(root)) };
    let values = |key: &str| {
        let prefix = format!("{key}=");
        unit.lines().filter_map(|line| line.trim().strip_prefix(&prefix).map(str::to_owned)).collect::<Vec<_>>()
    };
    let name = values("User").pop().unwrap_or_else(|| "root".to_owned());
    let more: Vec<String> =
        values("SupplementaryGroups").iter().flat_map(|line| line.split_whitespace().map(str::to_owned)).collect();
    let Some((uid, gid)) = passwd(root, &name) else {
        let found = format!("mbushat.service runs as {name}, and there is no such user");
        return Err(Finding::failure("user", found).fix("Make it:", ["sudo systemd-sysusers"]));
    };
    let mut gids = vec![gid];
    gids.extend(groups_of(root).filter(|g| more.contains(&g.name) || g.members.contains(&name)).map(|g| g.gid));
    Ok(AgentUser { name, uid, gids, of_unit: true })
}

fn current_user(root: &Root) -> AgentUser {
    let uid = rustix::process::geteuid().as_raw();
    let mut gids = vec![rustix::process::getegid().as_raw()];
    gids.extend(rustix::process::getgroups().unwrap_or_default().into_iter().map(rustix::process::Gid::as_raw));
    let name = root.text("/etc/passwd").and_then(|text| {
        text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| match fields.as_slice() {
            [name, _, id, ..] if id.parse() == Ok(uid) => Some((*name).to_owned()),
            _ => None,
        })
    });
    AgentUser { name: name.unwrap_or_else(|| format!("uid {uid}")), uid, gids, of_unit: false }
}

/// What the user who runs this program lacks to open a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Membership in the file's group.
    Group { user: String, group: String },
    /// A new login: the membership is there, but younger than this one.
    LogIn { user: String, group: String },
    /// Root's rights: no group has any.
    Root { user: String },
}

/// What is lacking to open `path` as its group may. Asked where the system has refused it.
pub(crate) fn access(path: &Path) -> Access {
    let root = Root::here();
    let user = current_user(&root);
    let Ok(file) = std::fs::metadata(path) else { return Access::Root { user: user.name } };
    lacking(user, file.mode(), groups_of(&root).find(|group| group.gid == file.gid()))
}

fn lacking(AgentUser { name: user, gids, .. }: AgentUser, mode: u32, group: Option<Group>) -> Access {
    match group.filter(|group| group.gid != 0 && mode & 0o040 != 0 && !gids.contains(&group.gid)) {
        Some(Group { name: group, members, .. }) if members.contains(&user) => Access::LogIn { user, group },
        Some(Group { name: group, .. }) => Access::Group { user, group },
        None => Access::Root { user },
    }
}

/// User and primary group of a name.
fn passwd(root: &Root, user: &str) -> Option<(u32, u32)> {
    root.text("/etc/passwd")?.lines().find_map(|line| match line.split(':').collect::<Vec<_>>().as_slice() {
        [name, _, uid, gid, ..] if *name == user => Some((uid.parse().ok()?, gid.parse().ok()?)),
        _ => None,
    })
}

struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

fn groups_of(root: &Root) -> impl Iterator<Item = Group> + use<> {
    let text = root.text("/etc/group").unwrap_or_default();
    let group = |line: &str| match line.split(':').collect::<Vec<_>>().as_slice() {
        [name, _, gid, members, ..] => Some(Group {
            name: (*name).to_owned(),
            gid: gid.parse().ok()?,
            members: members.split(',').map(str::to_owned).collect(),
        }),
        _ => None,
    };
    text.lines().filter_map(group).collect::<Vec<_>>().into_iter()
}

/// Whether the user is in the groups that own the port and, with a Hat, its pins.
pub(super) fn groups(root: &Root, user: &Result<AgentUser, Finding>, port: &Path, hat: bool) -> Finding {
    let user = match user {
        Ok(user) => user,
        Err(no_user) => return no_user.clone(),
    };
    let name = &user.name;
    let runs = if user.of_unit { "the agent runs as" } else { "no mbushat.service is installed; you are" };
    if user.uid == 0 {
        return Finding::ok("user", format!("{runs} {name}, who may open everything"));
    }
    let mut needed = vec![owner_group(root, port).unwrap_or_else(|| SERIAL_GROUP.to_owned())];
    if hat {
        let group = GPIO_DEVICES.iter().find_map(|device| owner_group(root, Path::new(device)));
        needed.push(group.unwrap_or_else(|| GPIO_GROUP.to_owned()));
    }
    let in_group = |wanted: &String| groups_of(root).any(|g| g.name == *wanted && user.gids.contains(&g.gid));
    let missing: Vec<String> = needed.iter().filter(|group| !in_group(group)).cloned().collect();
    if missing.is_empty() {
        return Finding::ok("user", format!("{runs} {name}, in {}", needed.join(" and ")));
    }
    let found = format!("{runs} {name}, which is not in {}", missing.join(" nor in "));
    Finding::failure("user", found).fix(
        "Add it, and restart the agent (a person's own account must log in again instead):",
        [
            format!("sudo usermod --append --groups {} {name}", missing.join(",")),
            "sudo systemctl restart mbushat".to_owned(),
        ],
    )
}

/// The group that owns a device, where it is one made for that.
fn owner_group(root: &Root, device: &Path) -> Option<String> {
    let gid = std::fs::metadata(root.path(device)).ok()?.gid();
    groups_of(root).find(|group| group.gid == gid && gid != 0).map(|group| group.name)
}

#[cfg(test)]
mod tests {
    use super::{Access, AgentUser, Group, lacking};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn the_modes_of_owner_group_and_others_count_in_that_order() {
        let file = std::env::temp_dir().join(format!("mbushat-may-use-{}", std::process::id()));
        std::fs::write(&file, "").expect("a file");
        let with = |mode: u32| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("our file");
            std::fs::metadata(&file).expect("our file")
        };
        let (owner, group) = (with(0o600).uid(), with(0o600).gid());
        let user = |uid: u32, gids: &[u32]| AgentUser { name: "u".to_owned(), uid, gids: gids.to_vec(), of_unit: true };
        let (stranger, other) = (owner + 1000, group + 1000);
        assert!(user(stranger, &[other, group]).may_use(&with(0o660)));
        assert!(!user(stranger, &[group]).may_use(&with(0o640)), "reading is not enough");
        assert!(!user(stranger, &[other]).may_use(&with(0o660)));
        assert!(user(stranger, &[other]).may_use(&with(0o666)));
        assert!(user(0, &[]).may_use(&with(0o000)));
        std::fs::remove_file(&file).expect("our file");
    }

    #[test]
    fn who_may_not_open_a_file_hears_of_its_group_or_of_sudo() {
        let of = |gids: &[u32], mode: u32, gid: u32, members: &[&str]| {
            let user = AgentUser { name: "pi".to_owned(), uid: 1000, gids: gids.to_vec(), of_unit: false };
            let members = members.iter().map(|&name| name.to_owned()).collect();
            lacking(user, mode, Some(Group { name: "dialout".to_owned(), gid, members }))
        };
        let (user, group) = ("pi".to_owned(), "dialout".to_owned());
        let by_root = Access::Root { user: user.clone() };
        assert_eq!(of(&[1000], 0o660, 20, &[]), Access::Group { user: user.clone(), group: group.clone() });
        assert_eq!(of(&[1000], 0o660, 20, &["pi"]), Access::LogIn { user, group });
        assert_eq!(of(&[1000, 20], 0o660, 20, &["pi"]), by_root, "something else is in the way");
        assert_eq!(of(&[1000], 0o600, 20, &[]), by_root, "no group may read it");
        assert_eq!(of(&[1000], 0o640, 0, &[]), by_root, "no user belongs to root's group");
    }
}
