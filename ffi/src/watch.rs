//! Watches: callbacks for changes, made here, in other processes or through a mount.

use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use mirrordna::Vault;
use mirrordna::record::{Kind, checksum};
use mirrordna::storage::{Changed, LogEntry, Subscriber};
use mirrordna::threads::without_signals;

use crate::error::{Failure, c_text, remember};
use crate::guard::{call_on, guarded};
use crate::handle::{Handle, Shared, State, borrow, free_shared, is_ending, shared};
use crate::output::out;
use crate::status::mdna_status;
use crate::vault::{UserData, mdna_vault};

/// A change of a vault. The texts are the library's and stay as long as the callback runs.
#[repr(C)]
pub struct mdna_change {
    /// The log entry of the change.
    pub sequence: u64,
    /// When it was made, in microseconds since 1970, UTC.
    pub time_us: i64,
    /// `"create"`, `"update"`, `"delete"`, `"prune"` or `"epoch"`.
    pub operation: *const c_char,
    /// The collection of the record, `"artifacts"` for files; NULL when no record was changed.
    pub collection: *const c_char,
    /// The id of the record; empty when no record was changed.
    pub id: *const c_char,
    /// Who made the change.
    pub actor: *const c_char,
    /// Whether it is the last entry of its commit.
    pub end_of_commit: bool,
    /// The whole log entry as JSON. See `mdna_vault_log()`.
    pub json: *const c_char,
}

/// Is told of one change after the other, in order of the log, with the `user_data` of its watch, on a thread of the
/// library. `status` is `MDNA_OK`; any other one says that the watch has ended because the log could not be read: then
/// `change` is NULL and `mdna_last_error()` says why. It may take its time and use the vault in any way: nobody waits
/// for it. It may free its own watch. It must not leave by `longjmp()` or a C++ exception.
pub type mdna_watch_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, status: mdna_status, change: *const mdna_change)>;

/// Calls a function for every change of a vault. It keeps the vault open, and is ended with `mdna_watch_free()`.
pub struct mdna_watch {
    state: State,
    signal: Arc<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle for mdna_watch {
    type Ownership = Shared;

    fn state(&self) -> &State {
        &self.state
    }
}

/// What wakes the thread of a watch.
struct Signal {
    news: Mutex<News>,
    woken: Condvar,
}

#[derive(Clone, Copy)]
struct News {
    /// The newest sequence that is known.
    newest: u64,
    /// Whoever started the watch has its handle.
    begun: bool,
    ended: bool,
}

impl Signal {
    fn change(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.woken.notify_all();
    }

    /// Waits until there is an entry `next`, or the end.
    fn wait(&self, next: u64) -> News {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        while !news.ended && (!news.begun || news.newest < next) {
            news = self.woken.wait(news).unwrap_or_else(PoisonError::into_inner);
        }
        *news
    }
}

impl Subscriber for Signal {
    // Other commits wait for this, so it only says that there is something to read.
    fn changed(&self, changes: &[Changed]) {
        if let Some(last) = changes.last() {
            self.change(|news| news.newest = news.newest.max(last.entry.sequence));
        }
    }
}

/// Calls `callback` for every change of a vault from the log entry `from` on, or from now on when `from` is 0. A
/// program that keeps the sequence of the last change that it has acted on misses none when it begins at the next one.
/// `user_data` may be NULL; it is used on a thread of the library. End the watch with `mdna_watch_free()`.
///
/// Fails with `MDNA_NULL_POINTER` when `callback` is NULL, and with `MDNA_LOCKED` when the process that owns the vault does
/// not answer. When it stops answering later, changes come once it does; a watch that has to read the log meanwhile
/// ends with `MDNA_LOCKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_watch_start(
    vault: *mut mdna_vault,
    from: u64,
    callback: mdna_watch_fn,
    user_data: *mut c_void,
    out: *mut *mut mdna_watch,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let (callback, out) = (callback.ok_or_else(|| crate::handle::null("callback"))?, out?);
        let vault = vault.vault.clone();
        let news = Mutex::new(News { newest: 0, begun: false, ended: false });
        let signal = Arc::new(Signal { news, woken: Condvar::new() });
        let subscriber: Arc<dyn Subscriber> = Arc::clone(&signal) as _;
        // Subscribed before it is asked where the log stands, so that no change falls between.
        vault.subscribe(&subscriber)?;
        let newest = vault.state_now()?.sequence;
        signal.change(|news| news.newest = news.newest.max(newest));
        let next = if from == 0 { newest + 1 } else { from };
        let watching = Watching {
            vault,
            signal: Arc::clone(&signal),
            _subscriber: subscriber,
            callback,
            user_data: UserData(user_data),
        };
        let named = thread::Builder::new().name("mdna-watch".to_owned());
        let watch = move || {
            watching.run(next);
            if is_ending() {
                // It is too late to close the vault, should this be the last one that has it.
                std::mem::forget(watching);
            }
        };
        let thread = without_signals(|| named.spawn(watch)).map_err(|error| {
            Failure::new(mdna_status::MDNA_IO, format!("no thread can be started for the watch: {error}"))
        })?;
        let watch = Arc::new(mdna_watch { state: State::new(), signal, thread: Mutex::new(Some(thread)) });
        out.write(shared(&watch));
        watch.signal.change(|news| news.begun = true);
        Ok(())
    })
}

/// Ends a watch. When this returns, its callback does not run and will not be called again; inside the callback itself
/// it returns at once, and the call that is running is the last one. `watch` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_watch_free(watch: *mut mdna_watch) {
    // SAFETY: the caller keeps what the header says of freeing handles.
    unsafe {
        free_shared(watch, |watch: &mdna_watch| {
            watch.signal.change(|news| news.ended = true);
            let thread = watch.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
                let _ = thread.join();
            }
        });
    }
}

/// What the thread of a watch works with.
struct Watching {
    vault: Vault,
    signal: Arc<Signal>,
    /// The vault tells it of changes for as long as it is there.
    _subscriber: Arc<dyn Subscriber>,
    callback: unsafe extern "C" fn(*mut c_void, mdna_status, *const mdna_change),
    user_data: UserData,
}

/// The texts of a change.
struct Texts {
    operation: CString,
    collection: Option<CString>,
    id: CString,
    actor: CString,
    json: CString,
}

impl Texts {
    fn of(entry: &LogEntry) -> Self {
        Self {
            operation: c_text(entry.operation.name()),
            collection: entry.kind.map(Kind::collection).map(c_text),
            id: c_text(&entry.id),
            actor: c_text(&entry.actor),
            json: CString::new(checksum::canonical(&entry.to_value())).unwrap_or_default(),
        }
    }
}

/// Log entries that are read at once.
const PAGE: usize = 256;

impl Watching {
    fn run(&self, mut next: u64) {
        while !self.signal.wait(next).ended {
            let page = match guarded(|| Ok(self.vault.log(next, PAGE)?)) {
                Ok(page) => page,
                Err(failure) => return self.end(&failure),
            };
            for entry in &page {
                if self.signal.wait(0).ended {
                    return;
                }
                match guarded(|| Ok(Texts::of(entry))) {
                    Ok(texts) => self.tell(entry, &texts),
                    Err(failure) => return self.end(&failure),
                }
                next = entry.sequence + 1;
            }
        }
    }

    /// Tells that there is nothing more to come, and why.
    fn end(&self, failure: &Failure) {
        let status = remember(failure);
        // SAFETY: as in `tell`.
        unsafe { (self.callback)(self.user_data.0, status, std::ptr::null()) };
    }

    fn tell(&self, entry: &LogEntry, texts: &Texts) {
        let change = mdna_change {
            sequence: entry.sequence,
            time_us: entry.time.as_micros(),
            operation: texts.operation.as_ptr(),
            collection: texts.collection.as_ref().map_or(std::ptr::null(), |name| name.as_ptr()),
            id: texts.id.as_ptr(),
            actor: texts.actor.as_ptr(),
            end_of_commit: entry.end_of_commit,
            json: texts.json.as_ptr(),
        };
        // SAFETY: the header asks for a function that can be called with its `user_data`, on this thread, until the
        // watch is freed; all texts outlive the call.
        unsafe { (self.callback)(self.user_data.0, mdna_status::MDNA_OK, &raw const change) };
    }
}
