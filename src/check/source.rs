//! The questions to the source, one after the other in one session; what one of them fails of, the next need not.

use super::answer::{Asked, ClockReading, SourceAnswer, TableAnswer};
use crate::source::{Outside, Session, SessionFacts, SourceError, Table, TableFacts};
use chrono::Utc;

/// Asks them all.
pub fn ask(session: &mut Session, asked: &Asked) -> SourceAnswer {
    SourceAnswer {
        facts: SessionFacts::ask(session),
        clock: clock(session),
        table: table(session, asked),
    }
}

fn clock(session: &mut Session) -> Result<ClockReading, SourceError> {
    let before = Utc::now();
    let clock = session.clock()?;
    // The source has read its clock somewhere on the way there and back.
    let way = Utc::now() - before;
    Ok(ClockReading { clock, ahead: clock.ahead_of(before + way / 2) })
}

fn table(session: &mut Session, asked: &Asked) -> Result<TableAnswer, SourceError> {
    let mut table = Table::describe(session, &asked.names)?;
    let extra = table.read_extra(session, &asked.extra);
    Ok(TableAnswer {
        facts: TableFacts::ask(session, &table),
        outside: Outside::ask(session, &table),
        leaves: asked.leaves.as_ref().map(|leaves| leaves.run(&table, session)),
        table,
        extra,
    })
}
