//! Empty pages for the rows of a flush: the target's heap is extended by many blocks in one step. An INSERT alone
//! extends it block by block, with a write, a look at the file's end and a request to the checkpointer for each.
//!
//! Much as COPY does it from 16 on (`src/backend/access/heap/hio.c`): blocks of zeros, entered into the free space map,
//! where the INSERT finds them. What is left of them when a run ends, later rows fill.

#![allow(unsafe_code)]

use pgrx::pg_sys;

/// Below so many blocks, the server's own way is as good.
const LEAST: usize = 16;

/// After so many flushes for which the heap was extended, one goes without: where room has become free meanwhile, the
/// heap does not grow by it.
const LOOK_AFTER: u32 = 16;

/// How the heap of one target is extended, flush by flush.
pub struct BulkExtension {
    target: pg_sys::Oid,
    /// For how many flushes the heap may be extended before the next look. The last flush that went without made it
    /// grow by what it held: its rows do come to lie there, and there was no other room for them.
    flushes_left: u32,
    /// Blocks that were added and may be empty yet, in their order.
    added: Vec<pg_sys::BlockNumber>,
}

impl BulkExtension {
    pub fn new(target: u32) -> BulkExtension {
        BulkExtension { target: pg_sys::Oid::from(target), flushes_left: 0, added: Vec::new() }
    }

    /// Runs `insert`, which inserts rows that take so many `blocks` of the heap.
    ///
    /// Errors are thrown as the server throws them.
    pub fn around<T>(&mut self, blocks: usize, insert: impl FnOnce() -> T) -> T {
        if blocks < LEAST {
            return insert();
        }
        let Some(heap) = Heap::open(self.target) else { return insert() };
        let outcome = if self.flushes_left > 0 {
            self.flushes_left -= 1;
            // Used from the first to the last, so the last are those that are left.
            let used = self.added.iter().rposition(|block| !heap.is_empty(*block));
            self.added.drain(..used.map_or(0, |last| last + 1));
            let more = blocks.saturating_sub(self.added.len());
            if more >= LEAST {
                heap.extend(more, &mut self.added);
            }
            insert()
        } else {
            let before = heap.blocks();
            let outcome = insert();
            let grown = heap.blocks().saturating_sub(before) as usize;
            if grown >= blocks / 2 {
                self.flushes_left = LOOK_AFTER;
            }
            outcome
        };
        heap.close();
        outcome
    }
}

/// How many blocks rows take, as a heap has them one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeapEstimate {
    blocks: usize,
    /// What the last of them has left.
    free: usize,
}

impl HeapEstimate {
    /// Adds a row with `bytes` of values. Values that the server fills in, such as defaults, are not known here.
    pub fn add(&mut self, bytes: usize) {
        /// A row's header and its line pointer (`src/include/access/htup_details.h`).
        const BESIDES_VALUES: usize = 24 + 4;
        /// What exceeds this goes out of line (`TOAST_TUPLE_THRESHOLD`, `src/include/access/heaptoast.h`).
        const LARGEST: usize = 2032;
        let row = (bytes + BESIDES_VALUES).min(LARGEST).next_multiple_of(8);
        if self.free < row {
            self.blocks += 1;
            self.free = FREE_IN_EMPTY;
        }
        self.free -= row;
    }

    pub fn blocks(self) -> usize {
        self.blocks
    }
}

/// The heap of a table that is not temporary, open and locked as an INSERT locks it, until the transaction ends. An
/// error that passes leaves it to the transaction to close it.
struct Heap(pg_sys::Relation);

impl Heap {
    /// `None` where the target is no such table, or is gone: the INSERT says so.
    fn open(target: pg_sys::Oid) -> Option<Heap> {
        if cfg!(any(feature = "pg13", feature = "pg14", feature = "pg15")) {
            return None;
        }
        // SAFETY: a lock that the INSERT takes too; a relation that is open has its row of pg_class.
        unsafe {
            let relation =
                pg_sys::try_relation_open(target, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
            if relation.is_null() {
                return None;
            }
            let heap = Heap(relation);
            let class = &*(*relation).rd_rel;
            let is_heap = class.relkind as u8 == pg_sys::RELKIND_RELATION
                && class.relam == pg_sys::HEAP_TABLE_AM_OID
                && class.relpersistence as u8 != pg_sys::RELPERSISTENCE_TEMP;
            if is_heap {
                return Some(heap);
            }
            heap.close();
            None
        }
    }

    fn close(self) {
        // SAFETY: it is open; the lock stays.
        unsafe { pg_sys::relation_close(self.0, pg_sys::NoLock as pg_sys::LOCKMODE) }
    }

    fn blocks(&self) -> pg_sys::BlockNumber {
        // SAFETY: the relation is open.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.0, pg_sys::ForkNumber::MAIN_FORKNUM) }
    }

    /// Whether the free space map knows the block as one without rows.
    fn is_empty(&self, block: pg_sys::BlockNumber) -> bool {
        // The map counts in steps, and rounds down.
        const STEP: usize = pg_sys::BLCKSZ as usize / 256;
        // SAFETY: the relation is open.
        unsafe { pg_sys::GetRecordedFreeSpace(self.0, block) + STEP >= FREE_IN_EMPTY }
    }

    /// Extends the heap by up to `blocks`, which are noted in `added`.
    #[cfg(not(any(feature = "pg13", feature = "pg14", feature = "pg15")))]
    fn extend(&self, blocks: usize, added: &mut Vec<pg_sys::BlockNumber>) {
        /// So many buffers are pinned at a time, as the server does.
        const AT_ONCE: usize = 64;
        let mut buffers: [pg_sys::Buffer; AT_ONCE] = [0; AT_ONCE];
        let first_of_all = added.len();
        let mut left = blocks;
        while left > 0 {
            let heap = pg_sys::BufferManagerRelation { rel: self.0, ..Default::default() };
            let mut extended = 0;
            // SAFETY: the relation is open and locked; there is room for as many buffers as are asked for, and
            // each is released. The server takes the lock for extension itself.
            unsafe {
                let first = pg_sys::ExtendBufferedRelBy(
                    heap,
                    pg_sys::ForkNumber::MAIN_FORKNUM,
                    std::ptr::null_mut(),
                    0,
                    left.min(AT_ONCE) as u32,
                    buffers.as_mut_ptr(),
                    &mut extended,
                );
                for (buffer, block) in buffers.iter().take(extended as usize).zip(first..) {
                    pg_sys::ReleaseBuffer(*buffer);
                    pg_sys::RecordPageWithFreeSpace(self.0, block, FREE_IN_EMPTY);
                    added.push(block);
                }
            }
            left -= (extended as usize).clamp(1, left);
        }
        if let [first, .., last] = added[first_of_all..] {
            // SAFETY: as above. The upper pages of the map lead to the new ones then.
            unsafe { pg_sys::FreeSpaceMapVacuumRange(self.0, first, last + 1) }
        }
    }

    #[cfg(any(feature = "pg13", feature = "pg14", feature = "pg15"))]
    fn extend(&self, _blocks: usize, _added: &mut Vec<pg_sys::BlockNumber>) {}
}

/// The free space of an empty page: all but its header.
const FREE_IN_EMPTY: usize = pg_sys::BLCKSZ as usize - size_of::<PageHeader>();

/// `PageHeaderData` (`src/include/storage/bufpage.h`), without the line pointers.
type PageHeader = [u64; 3];
