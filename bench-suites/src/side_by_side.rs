//! Measurements side by side, each on one thread.

use secateur_theory::TheoryError;
use secateur_theory::game::Coalition;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `measure` for each job on so many threads, or on every core for 0; after a fault no job begins any more.
///
/// What is parallel inside a job stays on its thread: others are busy with their own.
///
/// # Errors
/// That of a job; a thread cannot start.
pub(crate) fn side_by_side<T: Sync>(
    threads: usize,
    jobs: &[T],
    measure: impl Fn(&T) -> Result<(), TheoryError> + Sync,
) -> Result<(), TheoryError> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores() } else { threads };
    let next = AtomicUsize::new(0);
    let worker = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.map_err(|error| TheoryError::Oracle { coalition: Coalition::EMPTY, source: error.into() })?;
        pool.install(|| {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = measure(job) {
                    next.store(jobs.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
            Ok(())
        })
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(jobs.len())).map(|_| scope.spawn(worker)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        // All are joined before the first error counts.
        workers.into_iter().map(join).collect::<Vec<_>>().into_iter().collect()
    })
}
