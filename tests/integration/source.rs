//! The source: the options that lead to it, TLS, tables of every shape, standbys, and its troubles.

mod certificate_kinds;
mod connection_options;
mod damaged_rows;
mod first_connection;
mod old_versions;
mod password_rule;
mod pooler;
mod sample_source;
mod silence;
mod source_shapes;
mod source_trouble;
mod standby;
mod standby_repair;
mod subscriber;
mod tls;
