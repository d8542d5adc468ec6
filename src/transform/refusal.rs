//! Why a row cannot go to the target: one shape from the transform through the load to the ledger.

use crate::source::Damage;

/// What was refused, and in which words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The target column; empty where the row as a whole is refused.
    pub column: String,
    pub sqlstate: String,
    pub message: String,
}

impl Refusal {
    /// Of a row that the source could not send.
    pub fn of(damage: &Damage) -> Refusal {
        Refusal {
            column: String::new(),
            sqlstate: damage.sqlstate.clone(),
            message: damage.message.clone(),
        }
    }
}
