//! The memory of what was pulled.

#[pgrx::pg_schema]
mod tests {
    use crate::backend::time::{Period, to_server};
    use crate::ledger;
    use crate::slice::{Edge, Interval, subtract};
    use chrono::{DateTime, Utc};
    use pgrx::prelude::*;

    fn day(n: u32) -> DateTime<Utc> {
        format!("2025-03-{n:02}T00:00:00Z").parse().unwrap()
    }

    fn period(from: u32, to: u32) -> Period {
        Period { from: to_server(day(from)).unwrap(), to: to_server(day(to)).unwrap() }
    }

    /// A slice from day `from` to day `to`, pulled up to `watermark`.
    fn slice(from: u32, to: u32, watermark: &str) {
        Spi::run(&format!(
            "insert into lrs_extract.run (run_id, pipeline, \"from\", \"to\", batch_size, jobs, \
               commit_mode, again, caller, leader_pid, pipeline_id) \
             select 1, 'aidt', 'epoch', 'epoch', 1, 1, 'batch', false, 'x', 0, pipeline_id \
               from lrs_extract.pipeline \
             on conflict do nothing; \
             insert into lrs_extract.slice (run_id, slice_no, pipeline, partition, \"from\", \"to\", \
               watermark, watermark_actor_id, pipeline_id) \
             select 1, count(*) + 1, 'aidt', 'p', '2025-03-{from:02} 00:00+00', \
               '2025-03-{to:02} 00:00+00', {watermark}, \
               (select pipeline_id from lrs_extract.pipeline) from lrs_extract.slice"
        ))
        .unwrap();
    }

    fn aidt() -> String {
        ledger::Pipeline::read("aidt").unwrap().id
    }

    fn left(from: u32, to: u32) -> Vec<Interval> {
        let covered = ledger::covered(&aidt(), period(from, to)).unwrap();
        let covered: Vec<_> = covered.into_iter().map(|(_, interval)| interval).collect();
        subtract(Interval::new(Edge::Before(day(from)), Edge::Before(day(to))), &covered)
    }

    #[pg_test]
    fn a_slice_without_a_watermark_covers_nothing() {
        slice(1, 10, "null, null");
        assert_eq!(left(1, 10), [Interval::new(Edge::Before(day(1)), Edge::Before(day(10)))]);
    }

    #[pg_test]
    fn an_unfinished_slice_covers_up_to_its_watermark() {
        slice(1, 10, "'2025-03-04 00:00+00', 7");
        assert_eq!(left(2, 20), [Interval::new(Edge::After(day(4), 7), Edge::Before(day(20)))]);
        assert_eq!(left(1, 3), []);
    }

    #[pg_test]
    fn what_is_forgotten_is_left_again_and_nothing_else() {
        slice(1, 10, "'2025-03-10 00:00+00', null");
        let touched = ledger::forget(&aidt(), period(3, 5)).unwrap();
        assert_eq!(touched, 1);
        assert_eq!(left(1, 10), [Interval::new(Edge::Before(day(3)), Edge::Before(day(5)))]);
        assert_eq!(ledger::forget(&aidt(), period(12, 15)).unwrap(), 0);
    }

    #[pg_test]
    fn what_is_forgotten_over_and_over_is_kept_once() {
        slice(1, 10, "'2025-03-10 00:00+00', null");
        let forget = |from, to| ledger::forget(&aidt(), period(from, to)).unwrap();
        let touched: Vec<_> = [(3, 5), (4, 5), (3, 5), (7, 8), (2, 4), (5, 6)]
            .map(|(from, to)| forget(from, to))
            .into();
        assert_eq!(touched, [1, 0, 0, 1, 1, 1]);
        let kept = Spi::get_one::<String>("select forgotten::text from lrs_extract.slice").unwrap();
        assert_eq!(kept.unwrap().matches("2025").count(), 2 * 2);
        let between = |from, to| Interval::new(Edge::Before(day(from)), Edge::Before(day(to)));
        assert_eq!(left(1, 10), [between(2, 6), between(7, 8)]);
    }

    #[pg_test]
    fn another_pipeline_knows_nothing_of_it() {
        slice(1, 10, "'2025-03-10 00:00+00', null");
        assert_eq!(
            ledger::covered("5e0fb0a4-52a7-4a2e-8f4d-3f0d9d1f2c11", period(1, 10)).unwrap(),
            []
        );
    }
}
