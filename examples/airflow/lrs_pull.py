"""Every night the day that is over, pulled from the source into the stage, and what came late to the
days before.

The stage does the work: a task is one SQL statement, and no row passes through Airflow. A task
that is tried again, or that Airflow runs twice, does no harm: pull leaves out what is covered, goes
on from where it was cut off, and refuses to run beside itself.

Airflow 2 (from 2.4 on) and 3, with apache-airflow-providers-postgres.
"""

from datetime import timedelta

import pendulum
from airflow import DAG
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.timetables.interval import CronDataIntervalTimetable

# The stage, as a connection of type postgres.
STAGE = "lrs_stage"

# Whose midnights begin and end a day.
TIMEZONE = "UTC"

# The first day to pull: unpausing the DAG pulls all days from here on, one after the other.
FIRST_DAY = pendulum.datetime(2025, 3, 1, tz=TIMEZONE)

# A run covers the day in which its data interval began, from midnight to midnight. It comes two
# hours after the end of that day: a pull takes nothing younger than the pipeline's "settle", and at
# midnight it would leave the last five minutes of the day out, for which no later run would come.
SCHEDULE = "0 2 * * *"
PERIOD = (
    f"'{{{{ data_interval_start.in_timezone('{TIMEZONE}').start_of('day') }}}}', "
    f"'{{{{ data_interval_end.in_timezone('{TIMEZONE}').start_of('day') }}}}'"
)

PULL = f"""
select count(*) as batches, sum(rows)::bigint as rows, sum(rejected)::bigint as rejected
  from lrs_extract.pull({PERIOD}, batch => 50000)
"""

# The days before, in which statements of devices that were offline arrive under their true times.
LATE = (
    f"'{{{{ data_interval_start.in_timezone('{TIMEZONE}').start_of('day').subtract(days=30) }}}}', "
    f"'{{{{ data_interval_end.in_timezone('{TIMEZONE}').start_of('day') }}}}'"
)

REPAIR = f"""
select count(*) as ranges, coalesce(sum(pulled), 0)::bigint as pulled, coalesce(sum(surplus), 0)::bigint as surplus
  from lrs_extract.repair({LATE})
"""

# What both tasks have in common.
STATEMENT = {
    # What the workers commit stays, whatever becomes of this session.
    "autocommit": True,
    # The NOTICEs of the call, into the task's log.
    "hook_params": {"enable_log_db_messages": True},
    "show_return_value_in_logs": True,
}

with DAG(
    dag_id="lrs_pull",
    description="The learning records of a day, from the source into the stage",
    # Spelled out: to Airflow 3 a plain cron string is a moment, not an interval.
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone=TIMEZONE),
    start_date=FIRST_DAY,
    catchup=True,
    # Two pulls of one pipeline do not run side by side: the second would be refused.
    max_active_runs=1,
    default_args={
        "conn_id": STAGE,
        "retries": 6,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
    },
    tags=["lrs_extract"],
) as dag:
    pull = SQLExecuteQueryOperator(task_id="pull", sql=PULL, **STATEMENT)
    repair = SQLExecuteQueryOperator(task_id="repair", sql=REPAIR, **STATEMENT)
    pull >> repair
