//! What a panic leaves behind. In the work of any function that is called on a handle it poisons that handle, which can be freed;
//! others on the same vault go on, and the vault is whole. Where something is freed, or a callback told, it does no harm.
//!
//! Functions are called with valid handles and zeros for all other arguments: the panic comes before it is looked at those.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use mirrordna_ffi::mdna_status::{MDNA_INTERNAL, MDNA_OK, MDNA_POISONED};
use mirrordna_ffi::*;

use crate::panics::{enter, fallible};
use crate::programs::Place;

const MEMORY: &CStr = c"{\"tier\":\"episodic\",\"content\":\"a thought\",\"source\":{\
    \"session_id\":\"sess_20261122_185200_0a1b2c3d\",\"agent_id\":\"mdna_agt_0123456789abcdef\",\
    \"user_id\":\"mdna_usr_0123456789abcdef\"}}";

/// A handle of any type.
type Pointer = *mut c_void;

/// What handles are made of: one vault, with a memory and a file.
struct World {
    place: Place,
    vault: *mut mdna_vault,
    repository: CString,
    mounts: AtomicUsize,
}

fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

/// What a call gives that must succeed.
fn made<T>(call: impl FnOnce(*mut *mut T) -> mdna_status) -> *mut T {
    let mut out = ptr::null_mut();
    let status = call(&raw mut out);
    assert!(status == MDNA_OK && !out.is_null(), "{status:?}: {}", last_message());
    out
}

fn text(call: impl FnOnce(*mut mdna_string) -> mdna_status) -> String {
    let mut out = mdna_string { data: ptr::null_mut(), len: 0 };
    assert_eq!(call(&raw mut out), MDNA_OK, "{}", last_message());
    // SAFETY: a text that comes out ends in NUL, and is freed once.
    unsafe {
        let text = CStr::from_ptr(out.data).to_str().unwrap().to_owned();
        mdna_string_free(&raw mut out);
        text
    }
}

fn last_status() -> mdna_status {
    // SAFETY: a call of this thread has failed, and nothing else fails meanwhile.
    unsafe { (*mdna_last_error()).status }
}

fn last_message() -> String {
    // SAFETY: as above, and a message ends in NUL.
    let message = unsafe { mdna_last_error().as_ref().map(|error| CStr::from_ptr(error.message)) };
    message.map(|message| message.to_string_lossy().into_owned()).unwrap_or_default()
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        let (path, repository) = (c_path(&place.path().join("vault")), c_path(&place.path().join("repository")));
        // SAFETY: texts, structures, handles and outputs are as the header asks for, here and wherever a function is called below.
        unsafe {
            let options = mdna_create_options {
                version: MDNA_CREATE_OPTIONS_VERSION,
                durability: mdna_durability::MDNA_DURABILITY_BUFFERED as u32,
                actor: ptr::null(),
            };
            let vault = made(|out| mdna_vault_create(path.as_ptr(), &raw const options, out));
            let world = Self { place, vault, repository, mounts: AtomicUsize::new(0) };
            world.add_memory();
            world.add_memory();
            let flags = MDNA_OPEN_WRITE | MDNA_OPEN_CREATE_NEW;
            mdna_file_close(made(|out| mdna_file_open(vault, c"file".as_ptr(), flags, 0o600, out)));
            let init =
                |out| mdna_repository_init(world.repository.as_ptr(), ptr::null(), ptr::null(), ptr::null(), out);
            mdna_repository_close(made(init));
            world
        }
    }

    fn add_memory(&self) -> CString {
        // SAFETY: as in `new`.
        CString::new(text(|out| unsafe { mdna_memory_add(self.vault, MEMORY.as_ptr(), out) })).unwrap()
    }

    /// An empty folder to mount on.
    fn mountpoint(&self) -> PathBuf {
        let dir = self.place.path().join(format!("mnt-{}", self.mounts.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&dir).unwrap();
        dir
    }

    fn is_clean(&self) -> bool {
        // SAFETY: as in `new`.
        text(|out| unsafe { mdna_vault_verify(self.vault, out) }).contains("\"clean\":true")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: it was made in `new`, and nobody uses it afterwards.
        unsafe { mdna_vault_close(self.vault) };
    }
}

/// A type of handles.
struct Type {
    make: fn(&World) -> Pointer,
    /// A function on such a handle that succeeds, unless it is poisoned.
    probe: fn(Pointer) -> mdna_status,
    free: fn(Pointer),
}

extern "C" fn ignore(_: *mut c_void, _: mdna_status, _: *const mdna_change) {}

/// All types of handles, by the type of an argument. Without FUSE there are no mounts.
fn types() -> BTreeMap<&'static str, Type> {
    /// A type of handles, of how one is made, used and freed.
    macro_rules! handles {
        ($name:ident, |$world:ident, $out:ident| $make:expr, |$handle:ident| $probe:expr, $free:ident) => {
            (
                concat!(stringify!($name), " *"),
                Type {
                    make: |$world| {
                        // SAFETY: as in `World::new`.
                        made(|$out: *mut *mut $name| unsafe { $make }).cast()
                    },
                    probe: |handle| {
                        let $handle: *mut $name = handle.cast();
                        // SAFETY: as in `World::new`: `make` gave it.
                        unsafe { $probe }
                    },
                    free: |handle| {
                        // SAFETY: as above.
                        unsafe { $free(handle.cast()) }
                    },
                },
            )
        };
    }
    let mut all = BTreeMap::from([
        handles!(
            mdna_vault,
            |world, out| mdna_vault_as_actor(world.vault, c"another".as_ptr(), out),
            |vault| mdna_vault_flush(vault),
            mdna_vault_close
        ),
        handles!(
            mdna_view,
            |world, out| mdna_vault_at(world.vault, 1, out),
            |view| mdna_view_sequence(view, &mut 0),
            mdna_view_free
        ),
        handles!(
            mdna_batch,
            |world, out| mdna_batch_begin(world.vault, out),
            |batch| mdna_batch_memory_add(batch, MEMORY.as_ptr(), ptr::null_mut()),
            mdna_batch_free
        ),
        handles!(
            mdna_cursor,
            |world, out| mdna_memory_list(world.vault, ptr::null(), out),
            |cursor| probe_text(|out| mdna_cursor_position(cursor, out)),
            mdna_cursor_free
        ),
        handles!(
            mdna_repository,
            |world, out| mdna_repository_open(world.repository.as_ptr(), ptr::null(), out),
            |repository| probe_text(|out| mdna_repository_describe(repository, out)),
            mdna_repository_close
        ),
        handles!(
            mdna_s3_settings,
            |_world, out| mdna_s3_settings_new(false, out),
            |settings| mdna_s3_settings_set(settings, c"AWS_REGION".as_ptr(), c"here".as_ptr()),
            mdna_s3_settings_free
        ),
        handles!(
            mdna_file,
            |world, out| mdna_file_open(world.vault, c"file".as_ptr(), MDNA_OPEN_READ | MDNA_OPEN_WRITE, 0, out),
            |file| mdna_file_sync(file, false),
            mdna_file_close
        ),
    ]);
    // Nothing is called on a watch but what frees it.
    let watch = Type {
        make: |world| {
            // SAFETY: as in `World::new`.
            made(|out| unsafe { mdna_watch_start(world.vault, 0, Some(ignore), ptr::null_mut(), out) }).cast()
        },
        probe: |_| MDNA_OK,
        free: |watch| {
            // SAFETY: as in `World::new`: `make` gave it.
            unsafe { mdna_watch_free(watch.cast()) }
        },
    };
    all.insert("mdna_watch *", watch);
    if Path::new("/dev/fuse").exists() {
        let (name, mounts) = handles!(
            mdna_mount,
            |world, out| mdna_mount_start(world.vault, c_path(&world.mountpoint()).as_ptr(), ptr::null(), out),
            |mount| probe_text(|out| mdna_mount_path(mount, out)),
            mdna_mount_free
        );
        all.insert(name, mounts);
    } else {
        eprintln!("there is no /dev/fuse: mounts are not tested");
    }
    all
}

/// The status of a function that gives a text.
fn probe_text(call: impl FnOnce(*mut mdna_string) -> mdna_status) -> mdna_status {
    let mut out = mdna_string { data: ptr::null_mut(), len: 0 };
    let status = call(&raw mut out);
    // SAFETY: it holds no text, or one that the library made.
    unsafe { mdna_string_free(&raw mut out) };
    status
}

/// Does something in which the library panics at a place.
fn panicking<T>(place: Injected, call: impl FnOnce() -> T) -> T {
    inject_panic(Some(place));
    let result = call();
    inject_panic(None);
    result
}

#[test]
fn a_panic_in_the_work_poisons_the_handle_it_was_done_on_and_no_other() {
    let (world, types) = (World::new(), types());
    let others: BTreeMap<_, _> = types.iter().map(|(name, of)| (*name, (of.make)(&world))).collect();
    let addresses: BTreeMap<_, _> = fallible().into_iter().collect();
    let mut tried = 0;
    for function in crate::prototypes::all().iter().filter(|function| function.is_fallible()) {
        let kinds: Vec<_> =
            function.parameters.iter().map(|parameter| types.get_key_value(parameter.kind.as_str())).collect();
        if kinds.iter().all(Option::is_none) {
            continue;
        }
        for place in [Injected::Entry, Injected::Work] {
            let mut arguments = [0; 8];
            let mut handles = Vec::new();
            for (at, of) in kinds.iter().enumerate() {
                if let Some((name, of)) = of {
                    let handle = (of.make)(&world);
                    arguments[at] = handle as usize;
                    handles.push((at, *name, *of, handle));
                }
            }
            let name = &function.name;
            // SAFETY: handles are valid, and it panics before it looks at any other argument.
            let call = || unsafe { enter(addresses[name.as_str()], arguments) };
            assert_eq!(panicking(place, call), MDNA_INTERNAL as i32, "{name}");
            assert!(last_status() == MDNA_INTERNAL && last_message().contains("injected by a test"), "{name}");
            for (at, kind, of, handle) in handles {
                // What a function is called on comes first; others it reads.
                if at == 0 {
                    assert_eq!(call(), MDNA_POISONED as i32, "{name}");
                    assert_eq!((of.probe)(handle), MDNA_POISONED, "{name}");
                    assert_eq!(last_status(), MDNA_POISONED);
                } else {
                    assert_eq!((of.probe)(handle), MDNA_OK, "{name}: {kind}");
                }
                assert_eq!((of.probe)(others[kind]), MDNA_OK, "{name}: another {kind}");
                (of.free)(handle);
            }
            tried += 1;
        }
    }
    assert!(tried > 200, "only {tried} calls");
    // All but one mount are gone.
    let device = |path: &Path| path.metadata().unwrap().dev();
    let here = device(world.place.path());
    let dirs = (0..world.mounts.load(Ordering::Relaxed)).map(|number| world.place.path().join(format!("mnt-{number}")));
    assert_eq!(dirs.filter(|dir| device(dir) != here).count(), usize::from(types.contains_key("mdna_mount *")));
    for (name, handle) in others {
        (types[name].free)(handle);
    }
    assert!(world.is_clean());
}

#[test]
fn a_panic_where_a_handle_is_freed_does_no_harm() {
    let (world, types) = (World::new(), types());
    let freeing = crate::prototypes::all().into_iter().filter(|function| function.returns == "void");
    // Each has one argument; a text is no handle.
    let kinds: Vec<_> = freeing.map(|function| function.parameters[0].kind.clone()).collect();
    assert!(
        kinds.iter().all(|kind| kind == "mdna_string *" || kind == "mdna_mount *" || types.contains_key(kind.as_str()))
    );
    assert_eq!(kinds.len(), if types.contains_key("mdna_mount *") { types.len() + 1 } else { types.len() + 2 });
    for (name, of) in &types {
        let handle = (of.make)(&world);
        panicking(Injected::Entry, || (of.free)(handle));
        assert_eq!(last_status(), MDNA_INTERNAL, "{name}");
        // It had not begun.
        assert_eq!((of.probe)(handle), MDNA_OK, "{name}");
        panicking(Injected::Work, || (of.free)(handle));
        assert!(last_message().contains("injected by a test"), "{name}");
        let another = (of.make)(&world);
        assert_eq!((of.probe)(another), MDNA_OK, "{name}");
        (of.free)(another);
    }
    let mut id = mdna_string { data: ptr::null_mut(), len: 0 };
    // SAFETY: as in `World::new`.
    unsafe {
        assert_eq!(mdna_vault_id(world.vault, &raw mut id), MDNA_OK);
        panicking(Injected::Entry, || mdna_string_free(&raw mut id));
        assert!(CStr::from_ptr(id.data).to_str().unwrap().starts_with("vault_"));
        panicking(Injected::Work, || mdna_string_free(&raw mut id));
        // Freeing it once more does what it always does: nothing.
        assert!(id.data.is_null() && id.len == 0);
        mdna_string_free(&raw mut id);
    }
    assert!(world.is_clean());
}

#[test]
fn a_panic_while_arguments_are_read_concerns_no_handle() {
    let world = World::new();
    // SAFETY: as in `World::new`.
    let add = || unsafe { mdna_memory_add(world.vault, MEMORY.as_ptr(), ptr::null_mut()) };
    assert_eq!(panicking(Injected::Beside, add), MDNA_INTERNAL);
    assert_eq!(add(), MDNA_OK);
    assert!(world.is_clean());
}

/// What a watch tells: a sequence, or with which status it ends.
type Told = Result<u64, mdna_status>;

/// Hands on what it is told, and then has the library panic on the thread of the watch.
extern "C" fn hand_on(user_data: *mut c_void, status: mdna_status, change: *const mdna_change) {
    // SAFETY: the test gives this, and ends the watch before it goes.
    let told = unsafe { &*user_data.cast::<Sender<Told>>() };
    // SAFETY: a change that there is stays as long as this runs.
    let change = unsafe { change.as_ref() };
    assert!(change.is_some() || last_status() == status);
    inject_panic(Some(Injected::Beside));
    told.send(change.map(|change| change.sequence).ok_or(status)).unwrap();
}

#[test]
fn a_panic_of_a_watch_ends_it_and_it_says_so() {
    let world = World::new();
    let newest = || {
        let mut state = std::mem::MaybeUninit::<mdna_log_state>::uninit();
        // SAFETY: as in `World::new`; the state is there when the call succeeds.
        unsafe {
            assert_eq!(mdna_vault_state(world.vault, state.as_mut_ptr()), MDNA_OK);
            state.assume_init().sequence
        }
    };
    // With another entry to tell it fails at the texts of that, with none at reading what comes.
    for others in [1, 0] {
        let from = newest() - others;
        let (sender, told) = channel::<Told>();
        let user_data = (&raw const sender).cast_mut().cast();
        // SAFETY: as in `World::new`.
        let watch = made(|out| unsafe { mdna_watch_start(world.vault, from, Some(hand_on), user_data, out) });
        assert_eq!(told.recv().unwrap(), Ok(from));
        world.add_memory();
        assert_eq!(told.recv().unwrap(), Err(MDNA_INTERNAL));
        world.add_memory();
        // SAFETY: it was just made.
        unsafe { mdna_watch_free(watch) };
        assert!(told.try_recv().is_err());
    }
    assert!(world.is_clean());
}

thread_local! {
    /// Messages about changes that were made on this thread.
    static HEARD: Cell<usize> = const { Cell::new(0) };
}

extern "C" fn hear(_: *mut c_void, _: u32, target: *const c_char, _: *const c_char, _: *const c_char) {
    // SAFETY: the texts of a message stay as long as this runs.
    if unsafe { CStr::from_ptr(target) } == c"mirrordna::audit" {
        HEARD.set(HEARD.get() + 1);
    }
}

#[test]
fn a_panic_while_a_message_is_logged_loses_the_message() {
    let world = World::new();
    let (first, second) = (world.add_memory(), world.add_memory());
    // SAFETY: as in `World::new`.
    unsafe {
        assert_eq!(mdna_log_set(c"off,mirrordna::audit=info".as_ptr(), Some(hear), ptr::null_mut()), MDNA_OK);
        assert_eq!(panicking(Injected::Beside, || mdna_memory_delete(world.vault, first.as_ptr())), MDNA_OK);
        assert_eq!(HEARD.get(), 0);
        assert_eq!(mdna_memory_delete(world.vault, second.as_ptr()), MDNA_OK);
        assert_eq!(HEARD.get(), 1);
        assert_eq!(mdna_log_set(c"off".as_ptr(), None, ptr::null_mut()), MDNA_OK);
    }
    assert!(world.is_clean());
}
