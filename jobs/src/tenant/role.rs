//! Roles, and the permissions that each of them carries.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidId;

macro_rules! permissions {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// One permission of an actor inside a tenant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
        pub enum Permission {
            $(#[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $variant),+
        }

        impl Permission {
            /// Every permission there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used in tokens, HTTP answers and docs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

permissions! {
    TenantManage = "tenant:manage",
    TenantManageMembers = "tenant:manage_members",
    TenantManageBilling = "tenant:manage_billing",
    KbCreate = "kb:create",
    KbDelete = "kb:delete",
    DocumentCreate = "document:create",
    DocumentUpdate = "document:update",
    DocumentDelete = "document:delete",
    DocumentRead = "document:read",
    QueryRun = "query:run",
    JobManage = "job:manage",
}

impl FromStr for Permission {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let found = Self::ALL.iter().copied().find(|permission| permission.as_str() == text);
        found.ok_or(InvalidId::new("permission", "one such as document:read"))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);

    /// Exactly the given permissions.
    #[must_use]
    pub const fn of(list: &[Permission]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < list.len() {
            bits |= 1 << list[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    /// Whether `permission` is in the set.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }

    /// The intersection of both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Each permission of the set.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }

    /// A permission of `wanted` that this set lacks, if it lacks one.
    #[must_use]
    pub fn lacking(self, wanted: Self) -> Option<Permission> {
        wanted.iter().find(|permission| !self.contains(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::NONE, |set, permission| Self(set.0 | Self::of(&[permission]).0))
    }
}

/// A member's role in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Administers the tenant: all permissions.
    Admin,
    /// Works on documents and knowledge bases.
    Editor,
    /// Reads documents and asks questions.
    Viewer,
    /// Asks questions only: sees answers, not the documents behind them.
    ViewerReadonly,
}

impl Role {
    /// Every role there is, strongest first.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Editor, Self::Viewer, Self::ViewerReadonly];

    /// The permissions of the role.
    #[must_use]
    pub const fn permissions(self) -> Permissions {
        use Permission::{
            DocumentCreate, DocumentDelete, DocumentRead, DocumentUpdate, JobManage, KbCreate, KbDelete,
            QueryRun,
        };
        match self {
            Self::Admin => Permissions::of(Permission::ALL),
            Self::Editor => Permissions::of(&[
                KbCreate,
                KbDelete,
                DocumentCreate,
                DocumentUpdate,
                DocumentDelete,
                DocumentRead,
                QueryRun,
                JobManage,
            ]),
            Self::Viewer => Permissions::of(&[DocumentRead, QueryRun]),
            Self::ViewerReadonly => Permissions::of(&[QueryRun]),
        }
    }

    /// The weaker of two roles: each allows all that the ones below it do.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        if self.permissions().lacking(other.permissions()).is_none() { other } else { self }
    }

    /// The name used in tokens, tables and docs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Editor => "EDITOR",
            Self::Viewer => "VIEWER",
            Self::ViewerReadonly => "VIEWER_READONLY",
        }
    }
}

impl Role {
    /// The role that people and other systems write so: its name in any case, or `owner`, `admin` or `member`.
    ///
    /// # Errors
    /// When there is no such role.
    pub fn called(text: &str) -> Result<Self, InvalidId> {
        match text.to_ascii_uppercase().as_str() {
            "OWNER" => Ok(Self::Admin),
            "MEMBER" => Ok(Self::Editor),
            name => name.parse(),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or(InvalidId::new("role", "ADMIN, EDITOR, VIEWER or VIEWER_READONLY"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_allows_no_more_than_the_one_above_it() {
        for pair in Role::ALL.windows(2) {
            let (above, below) = (pair[0].permissions(), pair[1].permissions());
            assert_eq!(above.intersection(below), below, "{} exceeds {}", pair[1], pair[0]);
            assert_ne!(above, below);
            assert_eq!((pair[0].at_most(pair[1]), pair[1].at_most(pair[0])), (pair[1], pair[1]));
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_knows_what_it_lacks() {
        let list = [Permission::DocumentRead, Permission::JobManage];
        let set: Permissions = list.into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), list);
        assert_eq!(set, Permissions::of(&list));
        assert_eq!(Role::Admin.permissions().lacking(set), None);
        assert_eq!(Role::Viewer.permissions().lacking(set), Some(Permission::JobManage));
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(*permission));
        }
        assert!("document:*".parse::<Permission>().is_err());
    }

    /// What the guides that clients are written after promise of each role; `job:manage` is ours alone.
    #[test]
    fn each_role_has_the_permissions_of_the_guide() {
        let listed = |role: Role| -> Vec<&str> {
            let permissions = role.permissions().iter().map(Permission::as_str);
            permissions.filter(|permission| *permission != "job:manage").collect()
        };
        let editor = [
            "kb:create",
            "kb:delete",
            "document:create",
            "document:update",
            "document:delete",
            "document:read",
            "query:run",
        ];
        let manages = ["tenant:manage", "tenant:manage_members", "tenant:manage_billing"];
        assert_eq!(listed(Role::Admin), [manages.as_slice(), &editor].concat());
        assert_eq!(listed(Role::Editor), editor);
        assert_eq!(listed(Role::Viewer), ["document:read", "query:run"]);
        assert_eq!(listed(Role::ViewerReadonly), ["query:run"]);
    }

    #[test]
    fn a_role_is_called_in_any_case_and_as_other_systems_call_it() {
        for role in Role::ALL {
            assert_eq!(Role::called(role.as_str()), Ok(role));
            assert_eq!(Role::called(&role.as_str().to_lowercase()), Ok(role));
        }
        for (text, role) in [("owner", Role::Admin), ("Member", Role::Editor), ("vIEWER", Role::Viewer)] {
            assert_eq!(Role::called(text), Ok(role));
        }
        for bad in ["", "root", " admin", "viewer-readonly"] {
            assert!(Role::called(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn viewers_change_nothing() {
        for role in [Role::Viewer, Role::ViewerReadonly] {
            for permission in Permission::ALL {
                let reads = matches!(permission, Permission::DocumentRead | Permission::QueryRun);
                assert!(reads || !role.permissions().contains(*permission), "{role} may {permission}");
            }
        }
    }
}
