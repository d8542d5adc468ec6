//! What a session hears: notices, and refusals with all their words.

use std::sync::{Arc, Mutex};

use postgres::error::DbError;
use postgres::{Client, Config, Error, NoTls};

/// The notices that one session has received.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    /// Connects by `config` and keeps what the server remarks on the way.
    pub fn heard_by(config: &Config) -> (Client, Notices) {
        let notices = Notices::default();
        let ears = notices.clone();
        let mut config = config.clone();
        config.notice_callback(move |notice| ears.0.lock().unwrap().push(whole_text(&notice)));
        (config.connect(NoTls).expect("a session"), notices)
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// The server's refusal in `result`; panics if there was none, or no server to give it.
pub fn refusal<T>(result: Result<T, Error>) -> DbError {
    match result {
        Ok(_) => panic!("this should have been refused"),
        Err(error) => match error.as_db_error() {
            Some(refusal) => refusal.clone(),
            None => panic!("not refused but broken: {error}"),
        },
    }
}

/// Everything that a message shows to its reader.
pub fn whole_text(message: &DbError) -> String {
    let parts = [Some(message.message()), message.detail(), message.hint(), message.where_()];
    let said: Vec<&str> = parts.into_iter().flatten().collect();
    format!("{}: {} [{}]", message.severity(), said.join(" | "), message.code().code())
}
