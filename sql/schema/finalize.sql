create foreign data wrapper lrs_extract no handler validator lrs_extract.validate_options;
comment on foreign data wrapper lrs_extract is 'Where sources of lrs_extract are defined: create server … foreign data wrapper lrs_extract';

-- Only the owner has privileges until they are granted to others.
revoke all on all functions in schema lrs_extract from public;
revoke all on foreign data wrapper lrs_extract from public;
comment on schema lrs_extract is 'Pulls a period of a huge table from a source PostgreSQL: exactly once, resumable';
comment on function lrs_extract.validate_options(text[], oid) is 'Checks the options of servers and user mappings';
comment on function lrs_extract.plan(timestamptz, timestamptz, text) is 'What a pull of the period would do, a row a slice; changes nothing';
comment on function lrs_extract.check(text) is 'Whether a pull of the pipeline would go through, a row a check: what was found, and what to type; changes nothing';
comment on function lrs_extract.verify(timestamptz, timestamptz, text, text, int, int) is 'Source, target and rejects of a period side by side, a row a slice, or a row a statement that differs; changes nothing';
comment on function lrs_extract.pull(timestamptz, timestamptz, int, text, int, text, boolean) is 'Pulls a period, each row exactly once; a row for each committed batch';
comment on function lrs_extract.repair(timestamptz, timestamptz, text, text, text, boolean) is 'Makes the target hold what the source holds in the pulled part of a period; a row for each range that differed';
comment on function lrs_extract.cancel(bigint) is 'Stops a run that is under way; what it committed stays';
comment on function lrs_extract.report(bigint, text) is 'What a run was like, or is like so far: as ''text'' for a terminal, or as one ''html'' page';
comment on function lrs_extract.forget(timestamptz, timestamptz, text) is 'Drops the memory that a period was pulled, and its rejects; rows in the target stay';
comment on function lrs_extract.dedup(timestamptz, timestamptz, text) is 'Removes rows of the target that came twice, by id, in committed steps; the earliest stays';
comment on function lrs_extract.replay(timestamptz, timestamptz, text) is 'Takes rejects through the present mapping again, in committed steps; what fits goes into the target';
