use jobs::tenant::Permission;

/// What a route demands of its caller, as a type: `Caller<ReadDocuments>`.
pub trait Need: Send + Sync + 'static {
    /// The permission. `None`: whoever belongs to the tenant, also while it is provisioned, and the operator.
    /// The operator has `TenantManage` in every tenant.
    const PERMISSION: Option<Permission>;
}

macro_rules! needs {
    ($($name:ident = $permission:expr;)+) => {$(
        #[doc = concat!("Demands `", stringify!($permission), "`.")]
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Need for $name {
            const PERMISSION: Option<Permission> = $permission;
        }
    )+};
}

needs! {
    Anyone = None;
    ReadDocuments = Some(Permission::DocumentRead);
    CreateDocuments = Some(Permission::DocumentCreate);
    UpdateDocuments = Some(Permission::DocumentUpdate);
    DeleteDocuments = Some(Permission::DocumentDelete);
    CreateKbs = Some(Permission::KbCreate);
    DeleteKbs = Some(Permission::KbDelete);
    ManageJobs = Some(Permission::JobManage);
    ManageTenant = Some(Permission::TenantManage);
    ManageMembers = Some(Permission::TenantManageMembers);
}

#[cfg(test)]
mod tests {
    use jobs::tenant::{Permission, Role};

    fn table() -> String {
        let roles = Role::ALL.map(|role| format!(" `{role}` |")).concat();
        let mut lines =
            vec![format!("| permission |{roles}"), format!("|---|{}", "---|".repeat(Role::ALL.len()))];
        for permission in Permission::ALL {
            let may = |role: Role| if role.permissions().contains(*permission) { " yes |" } else { " |" };
            lines.push(format!("| `{permission}` |{}", Role::ALL.map(may).concat()));
        }
        lines.join("\n")
    }

    #[test]
    fn the_readme_says_what_each_role_may_do() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&table()), "put this table into api-thin/README.md:\n{}", table());
    }
}
