//! Who a container's user is: as the engines find it out, from the files of its image.

use rustix::process::{Gid, Uid};

/// A user to become.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
    pub(super) home: String,
}

impl Identity {
    /// Finds `name`, `uid`, `name:group` or `uid:gid`. A number need not be in the files.
    ///
    /// # Errors
    /// Says which of them is not there.
    pub(super) fn find(wanted: &str, passwd: &str, group: &str) -> Result<Self, String> {
        let (user, wanted_group) = match wanted.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (wanted, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let known = passwd.lines().find_map(|line| Account::of(line).filter(|account| account.is(user)));
        let (uid, mut gid, home) = match &known {
            Some(account) => (account.uid, account.gid, account.home),
            None => (id(user).ok_or_else(|| format!("/etc/passwd has no user {user:?}"))?, 0, "/"),
        };
        let mut groups = Vec::new();
        let entries = || group.lines().filter_map(Group::of);
        match wanted_group {
            Some(wanted) => {
                gid = entries()
                    .find(|entry| entry.name == wanted || id(wanted) == Some(entry.gid))
                    .map(|entry| entry.gid)
                    .or_else(|| id(wanted))
                    .ok_or_else(|| format!("/etc/group has no group {wanted:?}"))?;
            }
            None => {
                if let Some(account) = &known {
                    groups.extend(entries().filter(|entry| entry.has(account.name)).map(|entry| entry.gid));
                }
            }
        }
        groups.push(gid);
        groups.sort_unstable();
        groups.dedup();
        Ok(Self {
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            groups: groups.into_iter().map(Gid::from_raw).collect(),
            home: if home.is_empty() { "/" } else { home }.to_owned(),
        })
    }
}

/// A line of /etc/passwd.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Account<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let (uid, gid) = (id(fields.nth(1)?)?, id(fields.next()?)?);
        Some(Self { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    }

    fn is(&self, user: &str) -> bool {
        self.name == user || id(user) == Some(self.uid)
    }
}

/// A line of /etc/group.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some(Self { name, gid: id(fields.nth(1)?)?, members: fields.next().unwrap_or_default() })
    }

    fn has(&self, name: &str) -> bool {
        self.members.split(',').any(|member| member == name)
    }
}

/// The number of a user or group. The largest one means "leave it as it is" to the system: nobody has it.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| text.starts_with(|first: char| first.is_ascii_digit()) && *id < i32::MAX as u32)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nci:x:1000:1001:CI:/home/ci:/bin/sh\n42:x:7:8::\n";
    const GROUP: &str = "root:x:0:\nci:x:1001:\nvideo:x:44:ci,root\nbroken:x\naudio:x:29:root,cid\n";

    fn find(user: &str) -> (u32, u32, Vec<u32>, String) {
        let found = Identity::find(user, PASSWD, GROUP).unwrap();
        let groups = found.groups.iter().map(|group| group.as_raw()).collect();
        (found.uid.as_raw(), found.gid.as_raw(), groups, found.home)
    }

    #[test]
    fn a_known_user_has_its_group_its_other_groups_and_its_home() {
        let ci = (1000, 1001, vec![44, 1001], "/home/ci".to_owned());
        assert_eq!(find("ci"), ci);
        assert_eq!(find("1000"), ci);
    }

    #[test]
    fn a_number_need_not_be_known() {
        assert_eq!(find("1234"), (1234, 0, vec![0], "/".to_owned()));
        assert_eq!(find("1234:5678"), (1234, 5678, vec![5678], "/".to_owned()));
    }

    #[test]
    fn a_group_that_is_asked_for_stands_in_for_all_others() {
        assert_eq!(find("ci:video"), (1000, 44, vec![44], "/home/ci".to_owned()));
        assert_eq!(find("ci:9"), (1000, 9, vec![9], "/home/ci".to_owned()));
        assert_eq!(find(":44").0, 0);
    }

    #[test]
    fn an_unknown_name_is_said_to_be_unknown() {
        let unknown = |user| Identity::find(user, PASSWD, GROUP).unwrap_err();
        assert_eq!(unknown("nobody"), "/etc/passwd has no user \"nobody\"");
        assert_eq!(unknown("ci:nobody"), "/etc/group has no group \"nobody\"");
        for number in ["-1", "+1", "4294967295", "99999999999"] {
            unknown(number);
        }
    }
}
