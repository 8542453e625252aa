//! Checks before the first row is read.

use std::time::Duration;

use jobs::url::without_credentials;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::migrate::{APP_URL, migrator, options};
use super::pool::Postgres;
use crate::config::InvalidStores;
use crate::error::StoreError;

const READY: &str = "postgres.ready";
const CONNECT: Duration = Duration::from_secs(10);
/// The tenants' ids look alike, so that a comparison by prefix would fail the test.
const CANARY: &str = "row-level-canary";
const PROBE: &str = "row-level-canary-2";

impl Postgres {
    /// Opens the catalog at `url`, if its tables are migrated and its role cannot bypass row level security.
    ///
    /// # Errors
    /// When the server does not answer, is not migrated, or the role could bypass row level security.
    pub(crate) async fn open(url: &SecretString) -> Result<Self, InvalidStores> {
        let options = options(APP_URL, url)?;
        answers(APP_URL, url, &options).await?;
        let postgres = Self::new(options);
        postgres.role_is_harmless().await?;
        postgres.is_migrated().await?;
        postgres.tables_are_isolated().await?;
        postgres.rows_are_isolated().await?;
        Ok(postgres)
    }

    /// Checks the role, and all roles that it could switch to.
    async fn role_is_harmless(&self) -> Result<(), InvalidStores> {
        let sql = sqlx::query(
            "select exists (select from pg_roles where (rolsuper or rolbypassrls) \
                            and pg_has_role(current_user, oid, 'member')) as mighty, \
                    exists (select from pg_class where relnamespace = 'public'::regnamespace \
                            and relkind in ('r', 'p') and pg_has_role(current_user, relowner, 'member')) as owner",
        );
        let (mighty, owner) = self.no_tenant_row(sql, |row| Ok((row.try_get(0)?, row.try_get(1)?))).await?;
        let problem = match (mighty, owner) {
            (true, _) => "the role is superuser or may bypass row level security",
            (_, true) => "the role owns the tables, so it could lift row level security",
            (false, false) => return Ok(()),
        };
        let problem = format!("{problem}; use the role that `tenantry migrate` prepares, not the owner");
        Err(InvalidStores::Setting { setting: APP_URL, problem })
    }

    async fn is_migrated(&self) -> Result<(), InvalidStores> {
        let hint = "run `tenantry migrate` with POSTGRES_ADMIN_URL set, because the tables are not there or not ours";
        let sql = sqlx::query("select coalesce(max(version), 0) from tenantry.migrations where success");
        let mut tx = self.no_tenant_tx(READY).await.map_err(unreachable(hint))?;
        let found: i64 = tx.one(sql, |row| row.try_get(0)).await.map_err(unreachable(hint))?;
        let known = migrator().iter().map(|migration| migration.version).max().unwrap_or(0);
        if found < known {
            let problem = format!("the tables are at version {found} of {known}: run `tenantry migrate`");
            return Err(InvalidStores::Setting { setting: APP_URL, problem });
        }
        if found > known {
            tracing::warn!(
                found,
                known,
                "{APP_URL}: the tables were made by a newer version of Tenantry: update this program"
            );
        }
        Ok(())
    }

    /// Checks that row level security has not been switched off or widened, and that no table lacks it.
    async fn tables_are_isolated(&self) -> Result<(), InvalidStores> {
        let sql = sqlx::query(
            "select string_agg(c.relname, ', ') from pg_class c \
             join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' \
             where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') \
               and (not (c.relrowsecurity and c.relforcerowsecurity) or exists ( \
                   select from pg_policies where schemaname = 'public' and tablename = c.relname \
                     and policyname <> 'tenant_rows' and not roles <@ '{tenantry_directory,tenantry_relay,tenantry_identity}'))",
        );
        match self.no_tenant_row(sql, |row| row.try_get::<Option<String>, _>(0)).await? {
            None => Ok(()),
            Some(tables) => Err(not_isolated(format!("row level security is off or widened on {tables}"))),
        }
    }

    /// The self-test of the stores uses queries that name their tenant. This one does not, so that row level
    /// security is the only protection that is tested. It leaves no rows behind.
    async fn rows_are_isolated(&self) -> Result<(), InvalidStores> {
        let hint = "let the role use the tables, which `tenantry migrate` does";
        let enter = || sqlx::query("select set_config('app.tenant_id', $1, true)");
        let insert = sqlx::query(
            "insert into idempotency (tenant_id, key, fingerprint, status, body, created_at) \
             values ($1, $2, '', 200, 'null', 'epoch')",
        );
        let key = uuid::Uuid::now_v7().to_string();
        let mut tx = self.no_tenant_tx(READY).await.map_err(unreachable(hint))?;
        tx.execute(enter().bind(CANARY)).await.map_err(unreachable(hint))?;
        tx.execute(insert.bind(CANARY).bind(&key)).await.map_err(unreachable(hint))?;
        for (tenant, expected) in [(CANARY, 1), (PROBE, 0), ("", 0)] {
            tx.execute(enter().bind(tenant)).await.map_err(unreachable(hint))?;
            let seen = sqlx::query("select count(*) from idempotency where key = $1").bind(&key);
            let seen: i64 = tx.one(seen, |row| row.try_get(0)).await.map_err(unreachable(hint))?;
            if seen != expected {
                return Err(not_isolated(format!("{seen} rows were seen where {expected} should be")));
            }
        }
        Ok(())
    }

    async fn no_tenant_row<T>(
        &self,
        sql: super::tx::Sql<'_>,
        read: fn(&PgRow) -> sqlx::Result<T>,
    ) -> Result<T, InvalidStores> {
        let hint = "let the role read pg_class and pg_roles";
        let mut tx = self.no_tenant_tx(READY).await.map_err(unreachable(hint))?;
        let value = tx.one(sql, read).await.map_err(unreachable(hint))?;
        tx.commit().await.map_err(unreachable(hint))?;
        Ok(value)
    }
}

/// Opens one connection outside the pool, because the pool would hide the error by retrying until its deadline.
pub(super) async fn answers(
    setting: &'static str,
    url: &SecretString,
    options: &PgConnectOptions,
) -> Result<(), InvalidStores> {
    let at = without_credentials(url.expose_secret());
    let problem = match tokio::time::timeout(CONNECT, options.connect()).await {
        Ok(Ok(connection)) => {
            let _ = connection.close().await;
            return Ok(());
        }
        Ok(Err(sqlx::Error::Database(refusal))) => match refusal.code().as_deref() {
            Some("28P01" | "28000") => {
                format!("the PostgreSQL at {at} refuses the role or its password: correct them in the URL")
            }
            Some("3D000") => {
                format!("the PostgreSQL at {at} has no such database: create it, or correct its name")
            }
            _ => format!(
                "the PostgreSQL at {at} refuses ({}): correct that, or name another",
                refusal.message()
            ),
        },
        Ok(Err(error)) => {
            let cause = jobs::error::root(&error);
            format!("no PostgreSQL answers at {at} ({cause}): start it, or correct the address")
        }
        Err(_) => format!(
            "the PostgreSQL at {at} did not answer within {} s: see whether it runs and is idle",
            CONNECT.as_secs()
        ),
    };
    Err(InvalidStores::Unreachable { setting, problem })
}

fn unreachable(hint: &'static str) -> impl Fn(StoreError) -> InvalidStores {
    move |error| {
        let problem = format!("PostgreSQL refuses ({}): {hint}", jobs::error::root(&error));
        InvalidStores::Unreachable { setting: APP_URL, problem }
    }
}

fn not_isolated(what: String) -> InvalidStores {
    InvalidStores::NotIsolated { setting: APP_URL, what }
}
