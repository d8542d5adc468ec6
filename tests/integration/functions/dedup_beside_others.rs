//! `dedup` while others write to the target, or work on the same pipeline.

use postgres::Client;

use crate::fixture::{Calling, DEDUP, Fixture, Pull, Rows, dedup, refusal, try_dedup, whole_text};

#[test]
fn a_double_that_is_updated_meanwhile_is_left_to_the_next_call() {
    let fixture = Fixture::of_pairs(40);
    let mut other = fixture.stage();
    other
        .batch_execute("begin; update pipeline.aidt_raw set flag = 'U' where flag = '2' and id = md5('row 7')::uuid")
        .expect("an update");
    let (session, notices) = fixture.stage_with_notices();
    let running = Calling::by(session, DEDUP);
    fixture.await_a_worker_that_waits_for_a_lock();
    other.batch_execute("commit").expect("a commit");
    assert_eq!(running.result().expect("a count"), 39);
    let updated = "select count(*) from pipeline.aidt_raw where flag = 'U'";
    assert_eq!(fixture.stage_value(updated), "1");
    assert!(
        notices.all().iter().any(|n| n.contains("1 duplicates were left")),
        "{:?}",
        notices.all()
    );
    assert_eq!(dedup(&mut fixture.stage()), 1);
    fixture.assert_each_id_once();
}

#[test]
fn a_double_that_is_given_another_id_meanwhile_stays() {
    let fixture = Fixture::of_pairs(40);
    let mut other = fixture.stage();
    other
        .batch_execute("begin; update pipeline.aidt_raw set id = md5('new')::uuid where flag = '2' and id = md5('row 7')::uuid")
        .expect("an update");
    let running = fixture.start_dedup();
    fixture.await_a_worker_that_waits_for_a_lock();
    other.batch_execute("commit").expect("a commit");
    assert_eq!(running.result().expect("a count"), 39);
    assert_eq!(dedup(&mut fixture.stage()), 0);
    assert_eq!(fixture.target_rows(), 41);
}

#[test]
fn a_double_whose_kept_row_has_gone_meanwhile_stays() {
    let fixture = Fixture::of_pairs(12_000);
    // The first step waits for this row; the second comes after what others did until then.
    let mut other = fixture.stage();
    other
        .batch_execute("begin; update pipeline.aidt_raw set flag = 'U' where flag = '2' and id = md5('row 1')::uuid")
        .expect("an update");
    let running = fixture.start_dedup();
    fixture.await_a_worker_that_waits_for_a_lock();
    fixture.on_stage(
        "delete from pipeline.aidt_raw where flag = '1' and \"timestamp\" > '2025-04-01 03:00+00'",
    );
    other.batch_execute("commit").expect("a commit");
    assert_eq!(running.result().expect("a count"), 12_000 - 1 - 1_200);
    let ids = "select count(distinct id) from pipeline.aidt_raw";
    assert_eq!(fixture.stage_value(ids), "12000", "each id is still there");
    dedup(&mut fixture.stage());
    fixture.assert_each_id_once();
}

/// The worker's own statement with the names of the shipped pipeline and `values` for parameters.
fn statement(template: &str, values: &[String]) -> String {
    let mut sql = template
        .replace("{target}", "pipeline.aidt_raw")
        .replace("{timestamp}", "\"timestamp\"")
        .replace("{id}", "id");
    for (n, value) in values.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", n + 1), value);
    }
    sql
}

/// The doubles that are there now, and the statement that would remove them.
fn found_doubles(session: &mut Client) -> (String, String) {
    let period = ["timestamptz '-infinity'".to_owned(), "timestamptz 'infinity'".to_owned()];
    let find = statement(include_str!("../../../sql/target/duplicates.sql"), &period);
    session.batch_execute(&find).expect("the doubles are found");
    let messages =
        session.simple_query("fetch all from lrs_extract_duplicates; close lrs_extract_duplicates");
    let column = |n: usize| -> Vec<String> {
        let rows = messages.as_ref().expect("rows").iter().filter_map(|m| match m {
            postgres::SimpleQueryMessage::Row(row) => row.get(n).map(|v| format!("\"{v}\"")),
            _ => None,
        });
        rows.collect()
    };
    let array = |n: usize, of: &str| format!("'{{{}}}'::{of}[]", column(n).join(","));
    let bound = |n: usize, f: fn(Vec<String>) -> Option<String>| {
        format!("timestamptz '{}'", f(column(n)).expect("doubles").trim_matches('"'))
    };
    let values: Vec<String> = [0, 5]
        .into_iter()
        .flat_map(|first| {
            [
                array(first, "oid"),
                array(first + 1, "oid"),
                array(first + 2, "tid"),
                array(first + 3, "xid"),
                bound(first + 4, |c| c.into_iter().min()),
                bound(first + 4, |c| c.into_iter().max()),
            ]
        })
        .collect();
    (
        values[2].clone(),
        statement(include_str!("../../../sql/target/remove_duplicates.sql"), &values),
    )
}

#[test]
fn a_row_that_took_the_place_of_a_double_is_not_the_double() {
    let fixture = Fixture::of_pairs(500);
    let mut session = fixture.stage();
    let (places, remove) = found_doubles(&mut session);
    fixture.on_stage("delete from pipeline.aidt_raw where flag = '2'");
    fixture.vacuum_target();
    fixture.on_stage(
        "insert into pipeline.aidt_raw (id, \"timestamp\", flag)
         select id, \"timestamp\", 'L' from pipeline.aidt_raw where flag = '1' order by \"timestamp\"",
    );
    let taken = format!(
        "select count(*) from pipeline.aidt_raw where ctid = any ({places}) and flag = 'L'"
    );
    assert_ne!(fixture.stage_value(&taken), "0", "the test needs places that were taken");
    assert_eq!(session.execute(&remove, &[]).expect("a count"), 0);
    assert_eq!(found_and_removed(&mut session), 500);
    fixture.assert_each_id_once();
}

#[test]
fn a_row_that_took_the_place_of_a_kept_one_is_not_the_kept_one() {
    let fixture = Fixture::of_pairs(500);
    let mut session = fixture.stage();
    let (_, remove) = found_doubles(&mut session);
    fixture.on_stage("delete from pipeline.aidt_raw where flag = '1'");
    fixture.vacuum_target();
    fixture.on_stage(
        "insert into pipeline.aidt_raw (id, \"timestamp\", flag)
         select md5('late ' || id)::uuid, \"timestamp\", 'L' from pipeline.aidt_raw order by \"timestamp\"",
    );
    assert_eq!(session.execute(&remove, &[]).expect("a count"), 0);
    assert_eq!(
        fixture.stage_value("select count(*) from pipeline.aidt_raw where flag = '2'"),
        "500"
    );
}

#[test]
fn places_in_a_table_that_was_written_anew_are_not_the_places_that_were_found() {
    let fixture = Fixture::with(&Rows::of(0));
    // One load: pairs, then rows that came once; all have one xmin.
    fixture.on_stage(
        "insert into pipeline.aidt_raw (id, \"timestamp\", flag)
         select md5('row ' || n)::uuid, '2025-04-01 00:00+00'::timestamptz + n * interval '1 second', copy
         from unnest(array['1', '2']) copy, generate_series(1, 1000) n
         where copy = '1' and n <= 500 or copy = '2' order by copy, n",
    );
    let mut session = fixture.stage();
    let (_, remove) = found_doubles(&mut session);
    fixture.on_stage(
        "delete from pipeline.aidt_raw where flag = '2' and \"timestamp\" <= '2025-04-01 00:01:40+00'",
    );
    // The single rows move up to where doubles were.
    fixture.on_stage("vacuum full pipeline.aidt_raw");
    assert_eq!(session.execute(&remove, &[]).expect("a count"), 0);
    assert_eq!(found_and_removed(&mut session), 400);
    fixture.assert_ids(1_000);
}

fn found_and_removed(session: &mut Client) -> u64 {
    let (_, remove) = found_doubles(session);
    session.execute(&remove, &[]).expect("a count")
}

#[test]
fn a_step_reads_the_places_that_it_names_and_no_others() {
    let fixture = Fixture::of_pairs(8_000);
    let mut session = fixture.stage();
    let (_, remove) = found_doubles(&mut session);
    let plan = session.query(&format!("explain {remove}"), &[]).expect("a plan");
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("Tid Scan") && !plan.contains("Seq Scan"), "{plan}");
}

#[test]
fn a_pull_beside_it_is_refused() {
    let fixture = Fixture::of_pairs(25_000);
    fixture.slow_steps(1_500);
    let dedup = fixture.stepwise_dedup();
    let (fixture, running) = (&dedup.fixture, dedup.start_and_await_a_step());
    for call in [Pull::everything().call(), DEDUP.to_owned()] {
        fixture.assert_refused_beside(&call, running.leader, "dedup of pipeline aidt: step");
    }
    fixture.on_stage(&format!("select pg_cancel_backend({})", running.leader));
    assert!(running.result().is_err());
}

#[test]
fn beside_a_pull_it_is_refused() {
    let fixture = Fixture::with(&Rows::of(5_000));
    fixture.slow_target(100);
    let first = fixture.start_and_await_a_batch(&Pull::everything().batch(100));
    let run = fixture.stage_value("select max(run_id) from lrs_extract.run");
    let refused = refusal(try_dedup(&mut fixture.stage()));
    assert_eq!(refused.code().code(), "55006", "{}", whole_text(&refused));
    assert!(refused.message().contains(&run), "run {run} in {}", whole_text(&refused));
    fixture.on_stage(&format!("select pg_cancel_backend({})", first.leader));
    assert!(first.result().is_err());
}

#[test]
fn beside_an_open_cursor_of_a_pull_in_the_same_session_it_is_refused() {
    let fixture = Fixture::with(&Rows::of(500));
    let mut stage = fixture.stage();
    let call = Pull::everything().batch(10).commit("caller").call();
    stage
        .batch_execute(&format!("begin; declare c cursor for select {call}; fetch 1 from c"))
        .expect("a first batch");
    let refused = refusal(try_dedup(&mut stage));
    assert_eq!(refused.code().code(), "55006", "{}", whole_text(&refused));
}
