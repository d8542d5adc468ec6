//! Running it: who may do what, what is to be seen meanwhile, what changes or stands in the way,
//! and the jobs, dumps, updates and recipes around it.

pub mod dump;
mod locks_and_slots;
mod monitoring;
mod operator;
mod pg_cron;
mod pg_upgrade;
mod privileges;
mod psql_notices;
mod quick_start;
mod recipes;
mod settings_mid_run;
mod upgrade;
mod versions;
