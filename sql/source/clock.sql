-- The time before which all that was committed is visible here, and the server's own clock.
--
-- On a standby that is what has been replayed, not the clock: what the primary committed since is
-- on its way, or held back by a pause, a delay, a broken connection. The time of the last
-- transaction replayed is the sure bound; null before the first one since the start.
--
-- While nothing is written on the primary, that time stands still. Then the sender's last message counts,
-- if everything it had to send by then has been replayed. Only roles with pg_read_all_stats see it.
-- A receiver that has just been started shows its own clock for that message until the first one
-- has come (src/backend/replication/walreceiver.c): the same as the time of receipt.
select r.standby,
       (extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::int8 as clock_micros,
       (extract(epoch from
          case when r.standby then greatest(pg_catalog.pg_last_xact_replay_timestamp(), w.last_msg_send_time)
               else pg_catalog.clock_timestamp() end) * 1000000)::int8 as seen_micros
  from (select pg_catalog.pg_is_in_recovery() as standby) r
  left join pg_catalog.pg_stat_wal_receiver w
    on w.status = 'streaming'
   and w.last_msg_send_time <> w.last_msg_receipt_time
   and w.latest_end_lsn <= pg_catalog.pg_last_wal_replay_lsn()
