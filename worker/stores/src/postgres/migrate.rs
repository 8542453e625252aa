//! Migrations: `tenantry migrate`, as the role that owns the tables.

use jobs::error::root;
use jobs::url::without_credentials;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::ready::answers;
use crate::config::InvalidStores;
use crate::percent;

pub(super) const ADMIN_URL: &str = "POSTGRES_ADMIN_URL";
pub(super) const APP_URL: &str = "POSTGRES_URL";

/// The migrations of this program. Their bookkeeping table is not in `public`, where every table belongs to
/// tenants.
pub(super) fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("migrations/postgres");
    migrator.create_schema("tenantry");
    migrator.dangerous_set_table_name("tenantry.migrations");
    migrator
}

/// Migrates tables and roles, and grants the role of `app_url` access; creates that role if it does not exist.
/// Idempotent; concurrent calls wait for each other.
///
/// # Errors
/// When PostgreSQL does not answer, the admin role may not do this, or both URLs name the same role.
pub async fn migrate(admin_url: &SecretString, app_url: &SecretString) -> Result<(), InvalidStores> {
    let admin = options(ADMIN_URL, admin_url)?;
    let app = options(APP_URL, app_url)?;
    if admin.get_username() == app.get_username() {
        let problem = format!("must name another role than {ADMIN_URL}: an owner could lift the isolation");
        return Err(InvalidStores::Setting { setting: APP_URL, problem });
    }
    answers(ADMIN_URL, admin_url, &admin).await?;
    let mut owner = admin.connect().await.map_err(refused("start PostgreSQL, or correct the address"))?;
    migrator()
        .run(&mut owner)
        .await
        .map_err(refused("name a role that owns the database and may CREATE ROLE"))?;
    app_role_ensure(&mut owner, &app, app_url).await?;
    app_grant(&mut owner, app.get_username()).await?;
    let _ = owner.close().await;
    Ok(())
}

/// Parses the URL for the driver.
pub(super) fn options(setting: &'static str, url: &SecretString) -> Result<PgConnectOptions, InvalidStores> {
    let parsed = url.expose_secret().parse::<PgConnectOptions>();
    parsed.map_err(|error| InvalidStores::Setting {
        setting,
        problem: format!(
            "{} cannot be read ({}): expected postgres://role:password@host:port/database",
            without_credentials(url.expose_secret()),
            root(&error)
        ),
    })
}

async fn app_role_ensure(
    owner: &mut PgConnection,
    app: &PgConnectOptions,
    app_url: &SecretString,
) -> Result<(), InvalidStores> {
    let exists = sqlx::query("select from pg_roles where rolname = $1").bind(app.get_username());
    let exists = exists.fetch_optional(&mut *owner).await.map_err(refused("let the role read pg_roles"))?;
    if exists.is_some() {
        return Ok(());
    }
    // DDL takes no parameters; the server quotes the texts.
    let create = sqlx::query(
        "select format('create role %I login nosuperuser nocreatedb nocreaterole nobypassrls password %L', \
                       $1::text, $2::text)",
    );
    // The driver's options do not give the password back.
    let (_, password) = percent::credentials(app_url.expose_secret()).unwrap_or_default();
    let create = create.bind(app.get_username()).bind(password);
    let create = create.fetch_one(&mut *owner).await.map_err(refused("let the role CREATE ROLE"))?;
    let create: String = create.try_get(0).map_err(refused("let the role CREATE ROLE"))?;
    let done = sqlx::raw_sql(AssertSqlSafe(create)).execute(owner).await;
    done.map_err(refused("create the role of POSTGRES_URL, or let this role CREATE ROLE")).map(drop)
}

/// Grants under a lock: concurrent grants would change the same rows of the server's own tables.
async fn app_grant(owner: &mut PgConnection, role: &str) -> Result<(), InvalidStores> {
    let hint = "name the role that created the roles tenantry_directory, _relay and _identity";
    let mut tx = owner.begin().await.map_err(refused(hint))?;
    let lock = sqlx::query("select pg_advisory_xact_lock(hashtextextended('tenantry.app_grant', 0))");
    lock.execute(&mut *tx).await.map_err(refused(hint))?;
    let grant = sqlx::query("select tenantry.app_grant($1::name)").bind(role);
    grant.execute(&mut *tx).await.map_err(refused(hint))?;
    tx.commit().await.map_err(refused(hint))
}

fn refused<E: std::error::Error + Send + Sync + 'static>(hint: &'static str) -> impl Fn(E) -> InvalidStores {
    move |error| {
        let problem = format!("PostgreSQL refuses ({}): {hint}", root(&error));
        InvalidStores::Unreachable { setting: ADMIN_URL, problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number may be reserved for a migration that comes later.
    #[test]
    fn each_version_is_higher_than_the_one_before() {
        let versions: Vec<_> = migrator().iter().map(|migration| migration.version).collect();
        assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
    }
}
