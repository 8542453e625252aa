-- The database and the two roles that Tenantry logs in with. For psql, as a superuser, with the variables
-- owner_password and app_password.
-- The owner is what a managed PostgreSQL hands out: it may create roles and databases, and is no superuser.

-- pgvector is not a trusted extension; through template1, databases made later have it too.
\connect template1
create extension if not exists vector;

create role tenantry_owner login createrole createdb nosuperuser nobypassrls password :'owner_password';
create database tenantry owner tenantry_owner;

-- Created by the owner, so that `tenantry migrate` can administer it. Row level security applies to it.
set role tenantry_owner;
create role tenantry_app login nosuperuser nocreaterole nocreatedb nobypassrls password :'app_password';
