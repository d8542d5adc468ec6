-- The role that reads the sample source. Its password is in the environment:
-- psql of 13, which runs this in compose.yaml, has no \getenv.
\set password `printf %s "$LRS_SOURCE_PASSWORD"`

set password_encryption = 'scram-sha-256';
create role srcuser login password :'password';
grant usage on schema acid to srcuser;
grant select on all tables in schema acid to srcuser;
