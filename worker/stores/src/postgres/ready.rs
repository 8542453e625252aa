//! What is checked before the first row is read.

use secrecy::SecretString;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::migrate::{APP_URL, migrator, options};
use super::pool::Postgres;
use crate::config::InvalidStores;
use crate::error::StoreError;

const READY: &str = "postgres.ready";

impl Postgres {
    /// Opens the catalog that `url` names, if its tables are there and its role can do no harm.
    ///
    /// # Errors
    /// When it does not answer, is not migrated, or the role could see past row level security.
    pub(crate) async fn open(url: &SecretString) -> Result<Self, InvalidStores> {
        let postgres = Self::new(options(APP_URL, url)?);
        postgres.answers().await?;
        postgres.role_is_harmless().await?;
        postgres.is_migrated().await?;
        postgres.tables_are_isolated().await?;
        Ok(postgres)
    }

    async fn answers(&self) -> Result<(), InvalidStores> {
        let hint = "PostgreSQL does not let us in; check that it runs and that role, password and database are right";
        let tx = self.nobody_tx(READY).await.map_err(unreachable(hint))?;
        tx.commit().await.map_err(unreachable(hint))
    }

    /// Also through roles that it could become.
    async fn role_is_harmless(&self) -> Result<(), InvalidStores> {
        let sql = sqlx::query(
            "select exists (select from pg_roles where (rolsuper or rolbypassrls) \
                            and pg_has_role(current_user, oid, 'member')) as mighty, \
                    exists (select from pg_class where relnamespace = 'public'::regnamespace \
                            and relkind in ('r', 'p') and pg_has_role(current_user, relowner, 'member')) as owner",
        );
        let (mighty, owner) = self.nobody_row(sql, |row| Ok((row.try_get(0)?, row.try_get(1)?))).await?;
        let problem = match (mighty, owner) {
            (true, _) => "the role is superuser or may bypass row level security",
            (_, true) => "the role owns the tables, so it could lift row level security",
            (false, false) => return Ok(()),
        };
        let problem = format!("{problem}; use the role that `worker migrate` prepares, not the owner");
        Err(InvalidStores::Setting { setting: APP_URL, problem })
    }

    async fn is_migrated(&self) -> Result<(), InvalidStores> {
        let hint =
            "the tables are missing or belong to others: run `worker migrate` with POSTGRES_ADMIN_URL set";
        let sql = sqlx::query("select coalesce(max(version), 0) from tenantry.migrations where success");
        let mut tx = self.nobody_tx(READY).await.map_err(unreachable(hint))?;
        let found: i64 = tx.one(sql, |row| row.try_get(0)).await.map_err(unreachable(hint))?;
        let known = migrator().iter().map(|migration| migration.version).max().unwrap_or(0);
        if found < known {
            let problem = format!("the tables are at version {found} of {known}: run `worker migrate`");
            return Err(InvalidStores::Setting { setting: APP_URL, problem });
        }
        if found > known {
            tracing::warn!(found, known, "the tables are newer than this program");
        }
        Ok(())
    }

    /// Nobody switched row level security off since, and no table was added without it.
    async fn tables_are_isolated(&self) -> Result<(), InvalidStores> {
        let sql = sqlx::query(
            "select string_agg(c.relname, ', ') from pg_class c \
             join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' \
             where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') \
               and not (c.relrowsecurity and c.relforcerowsecurity)",
        );
        match self.nobody_row(sql, |row| row.try_get::<Option<String>, _>(0)).await? {
            None => Ok(()),
            Some(tables) => Err(InvalidStores::NotIsolated {
                setting: APP_URL,
                what: format!("no forced row level security on {tables}"),
            }),
        }
    }

    async fn nobody_row<T>(
        &self,
        sql: super::tx::Sql<'_>,
        read: fn(&PgRow) -> sqlx::Result<T>,
    ) -> Result<T, InvalidStores> {
        let hint = "PostgreSQL refused a question about its own tables";
        let mut tx = self.nobody_tx(READY).await.map_err(unreachable(hint))?;
        let value = tx.one(sql, read).await.map_err(unreachable(hint))?;
        tx.commit().await.map_err(unreachable(hint))?;
        Ok(value)
    }
}

fn unreachable(hint: &'static str) -> impl Fn(StoreError) -> InvalidStores {
    move |error| InvalidStores::Unreachable { setting: APP_URL, hint: hint.into(), source: Box::new(error) }
}
