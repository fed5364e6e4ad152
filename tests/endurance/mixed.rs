//! Many threads at once in one mount, each of which knows what it must find.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use crate::counts;
use crate::model::Model;
use crate::place::{Place, memory};
use crate::watchdog::Progress;

const THREADS: usize = 32;

/// 32 threads create, write, append, map, read, cut, punch, copy, rename, link, list, sync and remove files and
/// directories, and write, read, list and delete records, each against a model of its own. Nothing hangs, nothing else is
/// found than what was written, also in the next mount; and what the mount held in memory it holds no more.
#[test]
fn many_threads_find_what_they_wrote() {
    let place = Place::with_vault();
    let served = place.mount();
    let first = place.tables();
    let begin = |number| Model::begin(&place.point, number, counts::seed()).unwrap();
    let mut models: Vec<Model> = (0..THREADS).map(begin).collect();
    let progress = Progress::new(THREADS);
    let process = served.id();
    let (until, failures) = (Instant::now() + counts::work(), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let watching = scope.spawn(|| progress.watch(process));
        let workers: Vec<_> = models
            .iter_mut()
            .enumerate()
            .map(|(number, model)| {
                let (progress, failures) = (&progress, &failures);
                scope.spawn(move || {
                    let mut work = || {
                        while Instant::now() < until && failures.lock().unwrap().is_empty() {
                            model.step()?;
                            progress.step(number);
                        }
                        model.check_everything()
                    };
                    if let Err(error) = work() {
                        failures.lock().unwrap().push(error);
                    }
                    progress.end(number);
                })
            })
            .collect();
        for worker in workers {
            let _ = worker.join();
        }
        progress.ended.store(true, Ordering::SeqCst);
        if let Err(hangs) = watching.join().unwrap() {
            panic!("{hangs}");
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{failures:#?}");
    place.assert_nothing_leaked(&first);
    served.unmount();
    place.assert_clean();
    let served = place.mount();
    for model in &models {
        model.check_everything().unwrap();
        model.remove_everything().unwrap();
    }
    place.assert_nothing_leaked(&first);
    served.unmount();
    place.assert_clean();
    place.assert_no_errors();
    println!("{} operations of {THREADS} threads; {}", progress.total(), memory());
}
