//! Three processes at once on one vault: the mount, the command in a loop, and this one, which uses the library.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::counts;
use crate::place::{LONG, Place, memory};
use crate::random::Random;
use crate::surfaces::{Command, Library, Mount, Surface};

/// A memory that all of them write.
const SHARED: &str = "mem_shared_by_all";
/// So many memories each of them has at most.
const OWN: usize = 200;

/// What is expected of memories: the newest content, and how many versions there are, deletions included.
type Expected = BTreeMap<String, (Option<String>, u64)>;

/// Reads what all write. Who reads a file while another one writes it over may see a part, or parts of both, as on every file
/// system; and then, a moment later, all of one.
fn read_shared(surface: &dyn Surface) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match surface.read(SHARED) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => return Err("what all write is gone".to_owned()),
            Err(error) if surface.name() == "mount" && is_no_whole_text(&error) && begun.elapsed() < LONG => {}
            Err(error) => return Err(error),
        }
    }
}

/// An error of reading JSON, and not of reading the file.
fn is_no_whole_text(error: &str) -> bool {
    error.starts_with("line ")
}

/// Writes through one surface, and looks through all of them, until the time is over.
fn work(surfaces: &[&dyn Surface], writer: usize, until: Instant, shared: &AtomicU64) -> Result<Expected, String> {
    let mine = surfaces[writer];
    let mut random = Random::new(counts::seed() + writer as u64);
    let mut expected = Expected::new();
    for step in 0_u64.. {
        if Instant::now() > until {
            break;
        }
        let failed = |what: &str, who: &dyn Surface, error: String| {
            format!("step {step} of the {}: {what} through the {}: {error}", mine.name(), who.name())
        };
        let id = format!("mem_by_{}_{:06}", mine.name(), random.below(OWN));
        let (content, versions) = expected.get(&id).cloned().unwrap_or_default();
        if versions == 0 {
            // That it is not there is remembered by the kernel, until it is.
            for surface in surfaces {
                if let Some(found) = surface.read(&id).map_err(|error| failed("reading", *surface, error))? {
                    return Err(failed("reading", *surface, format!("{id} is {found:?} before it is written")));
                }
            }
        }
        let content = if content.is_some() && random.below(4) == 0 {
            mine.delete(&id).map_err(|error| failed("deleting", mine, error))?;
            None
        } else {
            let content = format!("step {step} of the {} {}", mine.name(), "x".repeat(random.below(500)));
            mine.write(&id, &content).map_err(|error| failed("writing", mine, error))?;
            Some(content)
        };
        expected.insert(id.clone(), (content.clone(), versions + 1));
        for surface in surfaces {
            let found = surface.read(&id).map_err(|error| failed("reading", *surface, error))?;
            if found != content {
                return Err(failed("reading", *surface, format!("{id} is {found:?} and not {content:?}")));
            }
        }
        mine.write(SHARED, &format!("{} {step}", mine.name())).map_err(|error| failed("writing", mine, error))?;
        shared.fetch_add(1, Ordering::SeqCst);
        for surface in surfaces {
            read_shared(*surface).map_err(|error| failed("reading", *surface, error))?;
        }
    }
    Ok(expected)
}

/// The mount, the command and a program of the library work on one vault at once. None meets an error; each sees what the
/// others wrote as soon as their call has returned; in the end there is each record that was written, as often as it was
/// written.
#[test]
fn three_processes_see_each_other_at_once_and_lose_nothing() {
    let place = Place::with_vault();
    let served = place.mount();
    let library = Library::open(&place);
    let surfaces: [&dyn Surface; 3] = [&Mount(&place), &Command(&place), &library];
    // A file that is new to the mount is not written over what others made of it meanwhile: so it is there before.
    library.write(SHARED, "first").unwrap();
    let (until, shared) = (Instant::now() + counts::work(), AtomicU64::new(1));
    let mut expected = Expected::new();
    thread::scope(|scope| {
        let (surfaces, shared) = (&surfaces, &shared);
        let workers = [0, 1, 2].map(|writer| scope.spawn(move || work(surfaces, writer, until, shared)));
        for worker in workers {
            expected.extend(worker.join().unwrap().unwrap_or_else(|error| panic!("{error}")));
        }
    });
    let writes = expected.values().map(|(_, versions)| versions).sum::<u64>() + shared.load(Ordering::SeqCst);
    for (id, (_, versions)) in &expected {
        assert_eq!(library.versions(id), *versions, "{id}");
    }
    assert_eq!(library.versions(SHARED), shared.load(Ordering::SeqCst));
    let living = expected.into_iter().filter(|(_, (content, _))| content.is_some()).map(|(id, _)| id);
    let mut living: std::collections::BTreeSet<String> = living.collect();
    living.insert(SHARED.to_owned());
    for surface in surfaces {
        assert_eq!(surface.list().unwrap(), living, "{}", surface.name());
    }
    served.unmount();
    drop(library);
    println!("{writes} changes by three processes; {}", memory());
    assert!(writes > 20);
    place.assert_clean();
    place.assert_no_errors();
}

/// How long nobody could write when the owner of the vault was killed.
#[derive(Default)]
struct Pauses {
    library: Vec<Duration>,
    command: Vec<Duration>,
}

/// A program that writes on and on, and when it was last told that it had.
struct Writing<'a> {
    surface: &'a dyn Surface,
    last: Mutex<(u64, Instant)>,
}

impl<'a> Writing<'a> {
    fn new(surface: &'a dyn Surface) -> Self {
        Self { surface, last: Mutex::new((0, Instant::now())) }
    }

    fn last(&self) -> MutexGuard<'_, (u64, Instant)> {
        self.last.lock().unwrap()
    }

    fn id(&self) -> String {
        format!("mem_{}_written_on", self.surface.name())
    }

    /// Returns how often it wrote.
    fn run(&self, stop: &AtomicBool) -> u64 {
        for number in 1.. {
            if stop.load(Ordering::SeqCst) {
                return number - 1;
            }
            let written = self.surface.write(&self.id(), &number.to_string());
            written.unwrap_or_else(|error| panic!("write {number} through the {}: {error}", self.surface.name()));
            *self.last() = (number, Instant::now());
        }
        0
    }

    /// Waits until something was written that was begun after this was called, and says how long that took.
    fn goes_on(&self) -> Duration {
        let (begun, number) = (Instant::now(), self.last().0);
        loop {
            let (now, at) = *self.last();
            if now > number + 1 {
                return at - begun;
            }
            assert!(begun.elapsed() < LONG, "the {} does not go on", self.surface.name());
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Ends the writers, also when something fails that they do not know of.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// When the process of the mount is killed, which owned the vault, another one takes over: the program and the command go on
/// within a second and meet no error; the next mount has the vault again.
#[test]
fn another_takes_over_when_the_owner_is_killed() {
    let rounds = (counts::kills() / 5).max(2);
    let place = Place::with_vault();
    let library = Library::open(&place);
    let mut pauses = Pauses::default();
    let (program, command) = (Writing::new(&library), Command(&place));
    let command = Writing::new(&command);
    let stop = AtomicBool::new(false);
    let (by_program, by_command) = thread::scope(|scope| {
        let ending = Ending(&stop);
        let writers = [&program, &command].map(|writing| scope.spawn(|| writing.run(&stop)));
        for _ in 0..rounds {
            let served = place.mount();
            let owner = std::fs::read_to_string(place.vault.join("LOCK")).unwrap();
            let is_owner = owner.starts_with(&format!("process {} ", served.id()));
            let by_mount = Mount(&place).write("mem_mount_written_on", "x");
            thread::sleep(Duration::from_millis(200));
            served.kill();
            assert!(is_owner && by_mount.is_ok(), "the mount wrote {by_mount:?}; the owner is {owner}");
            let [by_program, by_command] = [&program, &command].map(Writing::goes_on);
            pauses.library.push(by_program);
            pauses.command.push(by_command);
        }
        drop(ending);
        let [by_program, by_command] = writers.map(|writer| writer.join().unwrap());
        (by_program, by_command)
    });
    let of = |mut all: Vec<Duration>| {
        all.sort();
        (all[all.len() / 2], all[all.len() - 1])
    };
    let ((median, longest), (of_command, longest_of_command)) = (of(pauses.library), of(pauses.command));
    println!(
        "{rounds} owners killed; until a program had written on: median {median:?}, longest {longest:?}; until the command \
         had: {of_command:?}, {longest_of_command:?}"
    );
    if let Some(bound) = counts::take_over() {
        assert!(median <= bound, "taking over takes too long");
    }
    // Nothing was lost or made twice on the way.
    assert_eq!(library.versions(&program.id()), by_program);
    assert_eq!(library.versions(&command.id()), by_command);
    drop(library);
    place.assert_clean();
    place.assert_no_errors();
}
