//! What ranges of the source come to, asked for in questions that it answers within its time limits.

use super::bisection::Sums;
use super::sides::Sides;
use crate::error::Failure;
use crate::source::{Checksum, RangeSize, Session, Side, SourceError, TimeRange, range_sums};

/// Who asks both sides.
pub trait Inquiry {
    /// Asks until there is an answer. `None`: it took longer than the source's statement_timeout, and the
    /// question is `divisible`.
    ///
    /// # Errors
    /// [`Failure`] as the source said it, when another attempt would not help.
    fn ask<T: Send + 'static>(
        &mut self,
        divisible: bool,
        question: impl Fn(&mut Session) -> Result<T, SourceError> + Clone + Send + 'static,
    ) -> Result<Option<T>, Failure>;

    /// Asks the stage, inside a transaction.
    ///
    /// # Errors
    /// That of `question`, or what the server threw.
    fn on_stage<T>(&mut self, question: impl Fn() -> Result<T, Failure>) -> Result<T, Failure>;
}

/// What ranges come to on both sides, which ascend and do not overlap.
///
/// # Errors
/// As [`Inquiry::ask`] and [`Sides::stage_sums`].
pub fn sums_of_both(
    sides: &Sides,
    source: &mut SourceSums,
    inquiry: &mut impl Inquiry,
    ranges: &[TimeRange],
    hashed: bool,
) -> Result<Vec<Sums>, Failure> {
    // The stage first: what it refuses needs no work of the source.
    let stage = inquiry.on_stage(|| sides.stage_sums(ranges, hashed))?;
    let both = source.of(inquiry, ranges, hashed)?.into_iter().zip(stage);
    Ok(both.map(|(source, (target, rejected))| Sums { source, target, rejected }).collect())
}

/// The sums of a source, in as large questions as it manages.
pub struct SourceSums {
    side: Side,
    /// Ranges of one question.
    at_once: usize,
    /// How much time a question spans that is of one range.
    range_size: RangeSize,
}

impl SourceSums {
    pub fn new(side: &Side) -> SourceSums {
        SourceSums { side: side.clone(), at_once: usize::MAX, range_size: RangeSize::default() }
    }

    /// What each of `ranges` comes to, which ascend and do not overlap.
    ///
    /// # Errors
    /// As [`Inquiry::ask`].
    pub fn of(
        &mut self,
        inquiry: &mut impl Inquiry,
        ranges: &[TimeRange],
        hashed: bool,
    ) -> Result<Vec<Checksum>, Failure> {
        let mut sums = Vec::with_capacity(ranges.len());
        while let Some(rest) = ranges.get(sums.len()..).filter(|rest| !rest.is_empty()) {
            let some = &rest[..self.at_once.min(rest.len())];
            if let [one] = some {
                sums.push(self.of_one(inquiry, *one, hashed)?);
                continue;
            }
            match self.ask(inquiry, some, hashed, true)? {
                Some(of_some) => {
                    sums.extend(of_some);
                    self.at_once = self.at_once.saturating_add(self.at_once / 4 + 1);
                }
                None => self.at_once = some.len() / 2,
            }
        }
        Ok(sums)
    }

    /// At once where the source manages that, else in parts, down to a microsecond.
    fn of_one(
        &mut self,
        inquiry: &mut impl Inquiry,
        range: TimeRange,
        hashed: bool,
    ) -> Result<Checksum, Failure> {
        let mut sum = Checksum::default();
        let mut from = range.from;
        while from < range.to {
            let part = TimeRange { from, to: self.range_size.end(from, range.to) };
            let mut halved = self.range_size;
            let divisible = halved.halve(part.from, part.to);
            match self.ask(inquiry, &[part], hashed, divisible)? {
                Some(of_part) => {
                    of_part.into_iter().for_each(|part| sum += part);
                    from = part.to;
                    self.range_size.passed();
                }
                None => self.range_size = halved,
            }
        }
        Ok(sum)
    }

    fn ask(
        &self,
        inquiry: &mut impl Inquiry,
        ranges: &[TimeRange],
        hashed: bool,
        divisible: bool,
    ) -> Result<Option<Vec<Checksum>>, Failure> {
        let (side, ranges) = (self.side.clone(), ranges.to_vec());
        inquiry.ask(divisible, move |session| range_sums(session, &side, &ranges, hashed))
    }
}
