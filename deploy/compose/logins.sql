-- The logins of Billing's processes, each in the role that `billing db roles` gives its rights to. PostgreSQL's image runs
-- this once, when it makes the database. After a password was replaced in the files, run it again:
--   docker compose exec postgres psql -U postgres -d billing -f /docker-entrypoint-initdb.d/logins.sql
\set ON_ERROR_STOP on
\set deployer `sed 's|^[a-z]*://[^:]*:\([^@]*\)@.*|\1|' /run/secrets/database-url-deployer`
\set http `sed 's|^[a-z]*://[^:]*:\([^@]*\)@.*|\1|' /run/secrets/database-url-http`
\set worker `sed 's|^[a-z]*://[^:]*:\([^@]*\)@.*|\1|' /run/secrets/database-url-worker`
\set operator `sed 's|^[a-z]*://[^:]*:\([^@]*\)@.*|\1|' /run/secrets/database-url-operator`

select format('create role %I nologin', name)
from unnest(array['billing_migrator', 'billing_api', 'billing_worker', 'billing_readonly']) as name
where not exists (select from pg_roles where rolname = name) \gexec

select format('create role %I login', name)
from unnest(array['billing_deployer', 'billing_http_login', 'billing_worker_login', 'billing_operator_login']) as name
where not exists (select from pg_roles where rolname = name) \gexec

-- Tables, and their owner's rights, are made by this one; it is no superuser.
alter role billing_deployer password :'deployer';
grant billing_migrator to billing_deployer with admin option;
alter database :"DBNAME" owner to billing_deployer;

alter role billing_http_login password :'http';
grant billing_api to billing_http_login;

alter role billing_worker_login password :'worker';
grant billing_worker to billing_worker_login;

alter role billing_operator_login password :'operator';
grant billing_worker to billing_operator_login;

revoke all on database :"DBNAME" from public;
grant connect on database :"DBNAME" to billing_api, billing_worker, billing_readonly, billing_migrator;
