//! What writers do over and over in a mount that may die at any moment, each with a ledger of what was acknowledged.
//!
//! Each subject goes from step to step. A step that was begun may have been made or not; one that was acknowledged must
//! have been made. So what is found after a crash is the state of one step between the two.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::random::{Random, pattern};
use crate::system::close;
use crate::texts::memory_text;

/// What happened to the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Its process was killed: what was committed is there.
    Kill,
    /// The power was cut: what was synced is there.
    Cut,
}

/// Something that is written over and over.
pub(crate) trait Subject: Send {
    /// Goes one step on, and returns whether that was acknowledged as durable.
    fn step(&mut self, random: &mut Random) -> io::Result<bool>;

    /// Compares what is there after a crash with what was acknowledged, and goes on from there.
    fn hold(&mut self, crash: Crash) -> Result<(), String>;
}

/// All subjects of one writer, in directories of its own, which are made.
pub(crate) fn all(point: &Path, writer: u64, seed: u64) -> io::Result<Vec<Box<dyn Subject>>> {
    let home = point.join(format!("artifacts/writer {writer}"));
    for name in ["appended", "names", "a", "b"] {
        fs::create_dir_all(home.join(name))?;
        sync_dir(&home.join(name))?;
    }
    let seed = seed ^ writer << 40;
    let subjects: Vec<Box<dyn Subject>> = vec![
        Box::new(Appended::begin(home.join("appended"), seed)?),
        Box::new(Pages { path: home.join("pages"), seed: seed ^ 1, steps: [Steps::default(); PAGES] }),
        Box::new(Replaced { dir: home.clone(), seed: seed ^ 2, steps: Steps::default() }),
        Box::new(Linked { dir: home.join("names"), seed: seed ^ 3, steps: Steps::default() }),
        Box::new(Moved::begin(&home)?),
        Box::new(Memory::new(point, &format!("mem_{writer:012}"), "episodic")),
        Box::new(Memory::new(point, &format!("mem_{:012}", writer + 1_000), "long_term")),
    ];
    Ok(subjects)
}

/// How far something is.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    /// The last step that was acknowledged as durable.
    synced: u64,
    /// The last step that was acknowledged.
    done: u64,
    /// The last step that was begun.
    begun: u64,
}

impl Steps {
    fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    fn synced(&mut self) {
        (self.done, self.synced) = (self.begun, self.begun);
    }

    /// The steps of which one must be found.
    fn possible(self, crash: Crash, closing_commits: bool) -> std::ops::RangeInclusive<u64> {
        let low = if crash == Crash::Kill && closing_commits { self.done } else { self.synced };
        low..=self.begun
    }

    fn go_on_from(&mut self, step: u64) {
        *self = Self { synced: step, done: step, begun: step };
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The content of a file; none when it is not there.
fn content(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// A file that grows. Its bytes up to the last sync are there; behind them, what was written, or holes.
struct Appended {
    dir: PathBuf,
    seed: u64,
    /// The number of the file, with which a new one begins when the last one is long enough.
    number: u64,
    file: Option<File>,
    written: usize,
    synced: usize,
    begun: usize,
}

impl Appended {
    const LONG_ENOUGH: usize = 4 << 20;

    fn begin(dir: PathBuf, seed: u64) -> io::Result<Self> {
        let mut appended = Self { dir, seed, number: 0, file: None, written: 0, synced: 0, begun: 0 };
        appended.next_file()?;
        Ok(appended)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(self.number.to_string())
    }

    fn next_file(&mut self) -> io::Result<()> {
        let old = self.path();
        let file = File::create(self.dir.join((self.number + 1).to_string()))?;
        file.sync_all()?;
        self.number += 1;
        (self.file, self.written, self.synced, self.begun) = (Some(file), 0, 0, 0);
        match fs::remove_file(old) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn bytes(&self, from: usize, to: usize) -> Vec<u8> {
        pattern(self.seed + (self.number << 20), from, to - from)
    }
}

impl Subject for Appended {
    fn step(&mut self, random: &mut Random) -> io::Result<bool> {
        if self.written > Self::LONG_ENOUGH {
            self.next_file()?;
        }
        if self.file.is_none() {
            self.file = Some(OpenOptions::new().write(true).open(self.path())?);
        }
        let most = if random.below(4) == 0 { 200_000 } else { 5_000 };
        let to = self.written + 1 + random.below(most);
        self.begun = self.begun.max(to);
        let (bytes, file) = (self.bytes(self.written, to), self.file.as_ref().unwrap());
        file.write_all_at(&bytes, self.written as u64)?;
        self.written = to;
        let sync = random.below(3) == 0;
        if sync {
            if random.below(2) == 0 {
                file.sync_all()?;
            } else {
                file.sync_data()?;
            }
            self.synced = to;
        }
        Ok(sync)
    }

    fn hold(&mut self, _: Crash) -> Result<(), String> {
        self.file = None;
        let path = self.path();
        let found = content(&path)?.ok_or_else(|| format!("{} was synced and is gone", path.display()))?;
        let (synced, begun) = (self.synced, self.begun);
        if found.len() < synced || found.len() > begun {
            return Err(format!("{} has {} bytes, {synced} to {begun} expected", path.display(), found.len()));
        }
        let expected = self.bytes(0, found.len());
        let is_right = |at: usize| found[at] == expected[at] || (at >= synced && found[at] == 0);
        if let Some(wrong) = (0..found.len()).find(|at| !is_right(*at)) {
            return Err(format!("{} is wrong at byte {wrong} ({synced} were synced)", path.display()));
        }
        self.written = synced;
        Ok(())
    }
}

const PAGES: usize = 64;
const PAGE: usize = 4_096;

/// A file whose pages are written over in any order.
struct Pages {
    path: PathBuf,
    seed: u64,
    steps: [Steps; PAGES],
}

impl Pages {
    /// A page at a step, which it begins with.
    fn page(&self, number: usize, step: u64) -> Vec<u8> {
        let mut bytes = step.to_le_bytes().to_vec();
        bytes.extend(pattern(self.seed ^ (number as u64) << 50 ^ step << 10, 0, PAGE - 8));
        bytes
    }
}

impl Subject for Pages {
    fn step(&mut self, random: &mut Random) -> io::Result<bool> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
        for _ in 0..=random.below(4) {
            let number = random.below(PAGES);
            let step = self.steps[number].begin();
            file.write_all_at(&self.page(number, step), (number * PAGE) as u64)?;
        }
        let sync = random.below(3) == 0;
        if sync {
            file.sync_all()?;
            self.steps.iter_mut().for_each(Steps::synced);
        }
        Ok(sync)
    }

    fn hold(&mut self, crash: Crash) -> Result<(), String> {
        let mut found = content(&self.path)?.unwrap_or_default();
        found.resize(PAGES * PAGE, 0);
        for (number, page) in found.chunks(PAGE).enumerate() {
            let step = u64::from_le_bytes(page[..8].try_into().unwrap());
            let possible = self.steps[number].possible(crash, false);
            let whole = if step == 0 { page.iter().all(|byte| *byte == 0) } else { *page == self.page(number, step) };
            if !whole || !possible.contains(&step) {
                let is = if whole { "whole" } else { "torn" };
                return Err(format!(
                    "page {number} of {} is {is} at {step}, {possible:?} expected",
                    self.path.display()
                ));
            }
            self.steps[number].go_on_from(step);
        }
        Ok(())
    }
}

/// A file that is replaced as editors do it: written beside, synced, renamed.
struct Replaced {
    dir: PathBuf,
    seed: u64,
    steps: Steps,
}

impl Replaced {
    fn text(&self, step: u64) -> Vec<u8> {
        let mut bytes = step.to_le_bytes().to_vec();
        bytes.extend(pattern(self.seed + step * 7_919, 0, usize::try_from(step * 977 % 30_000).unwrap()));
        bytes
    }
}

impl Subject for Replaced {
    fn step(&mut self, random: &mut Random) -> io::Result<bool> {
        let step = self.steps.begin();
        let (coming, path) = (self.dir.join("replaced.tmp"), self.dir.join("replaced"));
        let mut file = File::create(&coming)?;
        file.write_all(&self.text(step))?;
        file.sync_all()?;
        fs::rename(coming, path)?;
        let sync = random.below(2) == 0;
        if sync {
            sync_dir(&self.dir)?;
            self.steps.synced();
        }
        Ok(sync)
    }

    fn hold(&mut self, crash: Crash) -> Result<(), String> {
        let path = self.dir.join("replaced");
        let found = content(&path)?;
        let step = match found.as_deref().map(|bytes| bytes.first_chunk::<8>()) {
            None => 0,
            Some(None) => return Err(format!("{} has {} bytes", path.display(), found.unwrap_or_default().len())),
            Some(Some(step)) => u64::from_le_bytes(*step),
        };
        let possible = self.steps.possible(crash, false);
        if !possible.contains(&step) || found.is_some_and(|found| found != self.text(step)) {
            return Err(format!("{} is not whole, or at {step}; {possible:?} expected", path.display()));
        }
        self.steps.go_on_from(step);
        Ok(())
    }
}

/// A file that is made, given a second name, loses the first one and then the second.
struct Linked {
    dir: PathBuf,
    seed: u64,
    steps: Steps,
}

impl Linked {
    /// The names that there are at a step, and the step that made the file.
    fn state(step: u64) -> ([bool; 2], u64) {
        let made = (step / 4) * 4 + 1;
        match step % 4 {
            0 => ([false, false], 0),
            1 => ([true, false], made),
            2 => ([true, true], made),
            _ => ([false, true], made),
        }
    }

    fn text(&self, made: u64) -> Vec<u8> {
        pattern(self.seed + made * 104_729, 0, 1 + usize::try_from(made * 313 % 9_000).unwrap())
    }
}

impl Subject for Linked {
    fn step(&mut self, random: &mut Random) -> io::Result<bool> {
        let step = self.steps.begin();
        let [first, second] = ["first", "second"].map(|name| self.dir.join(name));
        match step % 4 {
            1 => {
                let mut file = File::create(&first)?;
                file.write_all(&self.text(step))?;
                // Its name is durable with it, as on ext4.
                file.sync_all()?;
                self.steps.synced();
                return Ok(true);
            }
            2 => fs::hard_link(&first, &second)?,
            3 => fs::remove_file(&first)?,
            _ => fs::remove_file(&second)?,
        }
        let sync = random.below(2) == 0;
        if sync {
            sync_dir(&self.dir)?;
            self.steps.synced();
        }
        Ok(sync)
    }

    fn hold(&mut self, crash: Crash) -> Result<(), String> {
        let mut found = [None, None];
        for (place, name) in found.iter_mut().zip(["first", "second"]) {
            *place = content(&self.dir.join(name))?;
        }
        let names = found.each_ref().map(Option::is_some);
        let possible = self.steps.possible(crash, false);
        let synced = self.steps.synced;
        // The same names come back every four steps, so that they alone do not tell which step it is. Of a file that was not
        // synced yet the name may be there before the content.
        let fits = |step: &u64| {
            let (shown, made) = Self::state(*step);
            shown == names && (made > synced || found.iter().flatten().all(|bytes| *bytes == self.text(made)))
        };
        let Some(step) = possible.clone().find(fits) else {
            let is = |bytes: &Vec<u8>| {
                let older = (1..=*possible.end()).rev().find(|older| *bytes == self.text(*older));
                format!("{} bytes, the content of step {older:?}", bytes.len())
            };
            let is = found.each_ref().map(|found| found.as_ref().map(is));
            return Err(format!("{} holds {is:?} at one of the steps {possible:?}", self.dir.display()));
        };
        let (_, made) = Self::state(step);
        if made > synced {
            // Not to be gone on with: a new file takes its place.
            for name in ["first", "second"] {
                let _ = fs::remove_file(self.dir.join(name));
            }
            sync_dir(&self.dir).map_err(|error| error.to_string())?;
            self.steps.go_on_from((step / 4 + 1) * 4);
            return Ok(());
        }
        self.steps.go_on_from(step);
        Ok(())
    }
}

/// A file that is moved between two directories, and always is in exactly one of them.
struct Moved {
    places: [PathBuf; 2],
    steps: Steps,
}

impl Moved {
    const TEXT: &'static [u8] = b"here or there";

    fn begin(home: &Path) -> io::Result<Self> {
        let places = ["a", "b"].map(|name| home.join(name).join("moved"));
        let mut file = File::create(&places[0])?;
        file.write_all(Self::TEXT)?;
        file.sync_all()?;
        Ok(Self { places, steps: Steps::default() })
    }
}

impl Subject for Moved {
    fn step(&mut self, random: &mut Random) -> io::Result<bool> {
        let step = self.steps.begin();
        let [from, to] = if step % 2 == 1 { [0, 1] } else { [1, 0] };
        fs::rename(&self.places[from], &self.places[to])?;
        let sync = random.below(2) == 0;
        if sync {
            sync_dir(self.places[to].parent().unwrap())?;
            self.steps.synced();
        }
        Ok(sync)
    }

    fn hold(&mut self, crash: Crash) -> Result<(), String> {
        let found = [content(&self.places[0])?, content(&self.places[1])?];
        let place = match &found {
            [Some(text), None] if text == Self::TEXT => 0,
            [None, Some(text)] if text == Self::TEXT => 1,
            _ => return Err(format!("{} is there and there, or nowhere: {found:?}", self.places[0].display())),
        };
        let possible = self.steps.possible(crash, false);
        let Some(step) = possible.clone().find(|step| step % 2 == place) else {
            return Err(format!("{} is at the wrong place for {possible:?}", self.places[0].display()));
        };
        self.steps.go_on_from(step);
        Ok(())
    }
}

/// A record that is written, written over and deleted as a file. Closing commits it.
struct Memory {
    path: PathBuf,
    id: String,
    steps: Steps,
}

impl Memory {
    fn new(point: &Path, id: &str, tier: &str) -> Self {
        let path = point.join(format!("memories/{tier}/{id}.json"));
        Self { path, id: id.to_owned(), steps: Steps::default() }
    }

    fn is_there(step: u64) -> bool {
        !step.is_multiple_of(7)
    }

    fn content(step: u64) -> String {
        format!("step {step} {}", "x".repeat(usize::try_from(step * 61 % 3_000).unwrap()))
    }
}

impl Subject for Memory {
    fn step(&mut self, random: &mut Random) -> io::Result<bool> {
        let step = self.steps.begin();
        let sync = random.below(3) == 0;
        if Self::is_there(step) {
            let mut file = File::create(&self.path)?;
            file.write_all(memory_text(&self.id, &Self::content(step)).as_bytes())?;
            if sync {
                file.sync_all()?;
                self.steps.synced();
            }
            close(file)?;
        } else {
            fs::remove_file(&self.path)?;
            if sync {
                sync_dir(self.path.parent().unwrap())?;
                self.steps.synced();
            }
        }
        self.steps.done = step;
        Ok(sync)
    }

    fn hold(&mut self, crash: Crash) -> Result<(), String> {
        let possible = self.steps.possible(crash, true);
        let found = content(&self.path)?;
        let step = match &found {
            None => possible.clone().find(|step| !Self::is_there(*step)),
            Some(text) => {
                let record: serde_json::Value =
                    serde_json::from_slice(text).map_err(|error| format!("{}: {error}", self.path.display()))?;
                let text = record["content"].as_str().unwrap_or_default().to_owned();
                possible.clone().find(|step| Self::is_there(*step) && text == Self::content(*step))
            }
        };
        let Some(step) = step else {
            let is = found.map_or_else(|| "gone".to_owned(), |text| String::from_utf8_lossy(&text).into_owned());
            return Err(format!("{} is {is:.300}; the steps {possible:?} are expected", self.path.display()));
        };
        self.steps.go_on_from(step);
        Ok(())
    }
}
