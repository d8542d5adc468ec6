//! Interrupts that arrive where the server looks for them.

#![allow(unsafe_code)]

#[pgrx::pg_schema]
mod tests {
    use crate::backend::transaction::Subtransaction;
    use crate::error;
    use pgrx::prelude::*;
    use std::cell::Cell;
    use std::rc::Rc;

    struct Dropped(Rc<Cell<bool>>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }

    #[pg_test]
    fn a_cancel_during_a_notice_drops_what_the_call_holds() {
        for tell in [error::notice, error::warning] {
            let dropped = Rc::new(Cell::new(false));
            let held = dropped.clone();
            let outcome = Subtransaction::run(move || {
                let _held = Dropped(held);
                // SAFETY: what the handler of SIGINT does.
                unsafe {
                    pg_sys::QueryCancelPending = 1;
                    pg_sys::InterruptPending = 1;
                }
                tell("this is heard, and then the cancel");
            });
            assert_eq!(outcome.err().map(|failure| failure.sqlstate).as_deref(), Some("57014"));
            assert!(dropped.get());
        }
    }
}
