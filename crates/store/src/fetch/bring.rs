//! Asks the source for what is missing.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chunked::plan::{FetchPlan, plan_in};
use chunked::{Abilities, Class};
use crossbeam_channel::bounded;

use super::Fetch;
use super::board::Board;
use super::decode::Decode;
use super::failure::Failure;
use super::halt::Halt;
use super::pool::Pool;
use super::report::Fetched;
use super::transfer::Transfer;

/// Rounds of requests without anything new before a source is given up.
const FRUITLESS_ROUNDS: usize = 6;

impl Fetch<'_> {
    /// Asks for what is missing until nothing is. A source that turns out to do less than thought is asked in another way.
    pub(super) fn bring(
        &self,
        board: &Board,
        pool: &Arc<Pool>,
        fetched: &mut Fetched,
    ) -> Result<(), Failure> {
        let mut fruitless = 0;
        loop {
            let missing = self.needs.missing_count();
            if missing == 0 {
                return Ok(());
            }
            let abilities = self.source.abilities();
            let parallelism = abilities.parallelism.div_ceil(self.others.at_once.max(1));
            let abilities = Abilities { parallelism, ..abilities };
            let plan = plan_in(self.options.way, &self.needs.missing(), self.needs.payload(), &abilities);
            fetched.planned(&plan);
            self.meter.plan(plan.fetched());
            let ended = self.requests(&plan, board, pool);
            fruitless = if self.needs.missing_count() < missing { 0 } else { fruitless + 1 };
            match ended {
                Err(error) if error.class() == Class::Unsupported && fruitless < FRUITLESS_ROUNDS => {
                    fetched.replanned(&error);
                }
                // A plan covers everything, so this takes a defect; it must not keep us here for ever.
                Ok(()) if fruitless > 0 => return Err(Failure::WorkerLost),
                ended => ended?,
            }
        }
    }

    /// Carries out a plan, over as many connections as it says.
    fn requests(&self, plan: &FetchPlan, board: &Board, pool: &Arc<Pool>) -> Result<(), Failure> {
        let jobs = self.options.jobs.get();
        let halt = Halt::new(self.others.stop);
        let requests = Mutex::new(plan.requests.iter());
        let next = || requests.lock().unwrap_or_else(PoisonError::into_inner).next();
        let (batches, decodable) = bounded(jobs);
        thread::scope(|scope| {
            for _ in 0..jobs {
                let (decodable, halt) = (decodable.clone(), &halt);
                scope.spawn(move || {
                    let mut decoder = Decode::new(self, board, pool);
                    decodable.into_iter().for_each(|batch| halt.keep(decoder.batch(batch)));
                });
            }
            for _ in 0..plan.connections {
                let transfer = Transfer { fetch: self, board, pool, batches: batches.clone(), halt: &halt };
                let (halt, next) = (&halt, &next);
                scope.spawn(move || {
                    while !halt.is_closed()
                        && let Some(request) = next()
                    {
                        halt.keep(transfer.run(request));
                    }
                });
            }
            drop((batches, decodable));
        });
        halt.into_result()
    }
}
