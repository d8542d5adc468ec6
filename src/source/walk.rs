//! The reader: walks a stretch of the source page by page and hands over raw rows, ahead of the load
//! but never by more than the memory budget.

use super::budget::{Budget, Doing};
use super::connect::Session;
use super::error::SourceError;
use super::key_progress::KeyProgress;
use super::page_reader::{HandOver, PageReader};
use super::walk_request::{StreamItem, WalkRange, WalkRequest};
use super::window::WindowWidth;
use super::{heap_walk, key_walk, wanted};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a worker keeps its session between two slices.
pub type Parking = Arc<Mutex<Option<Session>>>;

/// Whether there is one that still stands.
pub fn has_session(parking: &Parking) -> bool {
    let parked = parking.lock().unwrap_or_else(PoisonError::into_inner);
    parked.as_ref().is_some_and(|session| !session.is_closed())
}

/// Walks `request.range` to its end, giving each item to `hand_over`, which returns false when
/// nobody takes them any more. The session comes from `parking` where one is there, and goes back
/// when the walk came to its end.
///
/// # Errors
/// [`SourceError`] as met; everything handed over before the last [`StreamItem::BatchEnd`] is whole.
pub fn walk(
    request: &WalkRequest,
    budget: &Arc<Budget>,
    parking: &Parking,
    hand_over: HandOver<'_>,
) -> Result<(), SourceError> {
    let parked = parking.lock().unwrap_or_else(PoisonError::into_inner).take();
    let session = match parked.filter(|session| !session.is_closed()) {
        Some(session) => session,
        None => Session::open(&request.connect, &request.application_name)?,
    };
    budget.hold_canceller(Some(session.canceller()));
    budget.check_stop()?;
    budget.now(Doing::Reading);
    let mut reader = PageReader::new(request, budget, session, &mut *hand_over);
    let end = match &request.range {
        WalkRange::Keys { interval, estimated_rows } => {
            let progress = KeyProgress::new(interval, *estimated_rows);
            key_walk::walk(&mut reader, *interval, Some(progress), None)?
        }
        WalkRange::Windows { interval, estimated_rows } => {
            let windows = WindowWidth::new(interval, *estimated_rows);
            key_walk::walk(&mut reader, *interval, None, Some(windows))?
        }
        WalkRange::Heap { scan, blocks, new_versions } => {
            heap_walk::walk(&mut reader, scan, *blocks, *new_versions)?
        }
        WalkRange::Wanted(wanted) => Some(wanted::walk(&mut reader, wanted)?),
    };
    let mut session = reader.session;
    if let Some(end) = end {
        request.table.check_still_holds(&mut session, &request.partition)?;
        // Before the last item: the puller that gets it may start the next walk at once.
        budget.hold_canceller(None);
        *parking.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        hand_over(StreamItem::BatchEnd(end));
    }
    Ok(())
}
