//! Every function given NULL for every pointer, text that is not UTF-8, no length and a huge one: the status that the
//! header promises, no crash, and no output that is written by a call that fails. The calls are generated from the header; what a call needs to get as far as the
//! argument that is wrong is below.

use std::fmt::Write as _;

use crate::programs::Place;
use crate::prototypes::{Parameter, Prototype, all};
use crate::support::{build, program, root, run};

/// Something of the right type and, where it matters, of a value that does no harm.
fn valid(function: &Prototype, parameter: &Parameter) -> String {
    match parameter.kind.as_str() {
        "mdna_vault *" => "vault".to_owned(),
        "mdna_view *" => "view".to_owned(),
        "mdna_batch *" => "batch".to_owned(),
        "mdna_cursor *" => "cursor".to_owned(),
        "mdna_repository *" => "repository".to_owned(),
        "mdna_s3_settings *" => "settings".to_owned(),
        "mdna_s3_settings **" => "&new_settings".to_owned(),
        "const mdna_s3_limits *" => "&limits".to_owned(),
        "mdna_file *" => "file".to_owned(),
        // Nothing but NULL is tried for what is asked of it alone: the mount is neither stopped nor waited for.
        "mdna_mount *" => "mount".to_owned(),
        // The only function on a watch frees it.
        "mdna_watch *" | "void *" => "NULL".to_owned(),
        "mdna_string *" => "&text".to_owned(),
        "const mdna_open_options *" => "&open".to_owned(),
        "const mdna_create_options *" => "&create".to_owned(),
        "const mdna_prune_options *" => "&prune".to_owned(),
        "const mdna_mount_options *" => "&mounting".to_owned(),
        "const mdna_retention *" => "&retention".to_owned(),
        "const mdna_secret *" => "&secret".to_owned(),
        "const mdna_key_cost *" => "&cost".to_owned(),
        "mdna_progress_fn" => "progress".to_owned(),
        "mdna_watch_fn" => "on_change".to_owned(),
        "mdna_log_fn" => "on_log".to_owned(),
        "mdna_vault **" => "&new_vault".to_owned(),
        "mdna_view **" => "&new_view".to_owned(),
        "mdna_batch **" => "&new_batch".to_owned(),
        "mdna_cursor **" => "&new_cursor".to_owned(),
        "mdna_repository **" => "&new_repository".to_owned(),
        "mdna_file **" => "&new_file".to_owned(),
        "mdna_file_info *" => "&file_info".to_owned(),
        "size_t *" => "&size".to_owned(),
        "uint8_t *" => "buffer".to_owned(),
        "mdna_watch **" => "&new_watch".to_owned(),
        "mdna_mount **" => "&new_mount".to_owned(),
        "mdna_log_state *" => "&state".to_owned(),
        "mdna_record_info *" => "&info".to_owned(),
        "uint64_t *" => "&number".to_owned(),
        "bool *" => "&truth".to_owned(),
        "bool" => "true".to_owned(),
        "uint64_t" | "uint32_t" | "int32_t" | "int64_t" => "0".to_owned(),
        // What goes into `const uint8_t *` and the one text with a length.
        "size_t" => "2".to_owned(),
        "const uint8_t *" => "(const uint8_t *)\"{}\"".to_owned(),
        "const char *" => text_for(function, &parameter.name).to_owned(),
        other => panic!("{}: nothing is known of {other}", function.name),
    }
}

/// A text for an argument of this name.
fn text_for(function: &Prototype, name: &str) -> &'static str {
    match name {
        "path" | "location" | "dir" | "file" | "from" | "to" | "target" | "mountpoint" | "vault_path" => {
            "\"/nonexistent/place\""
        }
        "collection" => "\"memories\"",
        "constraints_json" | "observations_json" | "backups_json" | "reflection_ids_json" => "\"[]\"",
        "level" => "\"off\"",
        "algorithm" => "\"sha256\"",
        "name" if function.name == "mdna_s3_settings_set" => "\"AWS_REGION\"",
        "identity_type" => "\"agent\"",
        "event_type" => "\"custom\"",
        "reflection_type" => "\"state\"",
        "timestamp" => "\"2025-03-01T08:00:00Z\"",
        "private_key" => "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"",
        name if name.ends_with("_json") || name == "json" || name == "text" => "\"{}\"",
        "tier" => "\"episodic\"",
        _ => "\"x\"",
    }
}

/// Functions that give back a handle or begin something when nothing is wrong, and what is done about it.
const CLEAN_UP: &str = "\
    mdna_string_free(&text);
    mdna_cursor_free(new_cursor); new_cursor = NULL;
    mdna_view_free(new_view); new_view = NULL;
    mdna_batch_free(new_batch); new_batch = NULL;
    mdna_watch_free(new_watch); new_watch = NULL;
    mdna_vault_close(new_vault); new_vault = NULL;
    mdna_repository_close(new_repository); new_repository = NULL;
    mdna_s3_settings_free(new_settings); new_settings = NULL;
    mdna_file_close(new_file); new_file = NULL;
    mdna_mount_free(new_mount); new_mount = NULL;
";

/// A call with something else for one argument.
fn call(function: &Prototype, at: usize, wrong: &str) -> String {
    let arguments = (0..)
        .zip(&function.parameters)
        .map(|(n, parameter)| if n == at { wrong.to_owned() } else { valid(function, parameter) });
    format!("{}({})", function.name, arguments.collect::<Vec<_>>().join(", "))
}

/// `Some(status)` when the call must end with it, `None` when any will do. A call that fails changes no output.
fn check(source: &mut String, call: &str, wanted: Option<&str>) {
    writeln!(source, "    mark_outputs();\n    status = {call};\n    look_at_outputs({call:?});").unwrap();
    if let Some(wanted) = wanted {
        writeln!(source, "    expect({wanted}, status, {call:?}, __FILE__, __LINE__);").unwrap();
    }
    source.push_str(CLEAN_UP);
}

fn is_free(function: &Prototype) -> bool {
    function.returns == "void"
}

fn generate() -> String {
    let mut cases = String::new();
    let mut calls = 0;
    let mut body = String::new();
    for function in all() {
        writeln!(cases, "static void {}_(void) {{", function.name).unwrap();
        writeln!(body, "    {}_();", function.name).unwrap();
        for (at, parameter) in function.parameters.iter().enumerate() {
            // The callback's own pointer is for the callback.
            if parameter.kind == "void *" {
                continue;
            }
            if parameter.is_pointer() {
                if is_free(&function) {
                    writeln!(cases, "    {}(NULL);", function.name).unwrap();
                    calls += 1;
                    continue;
                }
                let optional = function.may_be_null(&parameter.name)
                    || matches!(parameter.kind.as_str(), "mdna_progress_fn")
                    || (function.name.starts_with("mdna_json_") && parameter.name == "json")
                    || parameter.kind == "const uint8_t *";
                let with_len = function.parameters.get(at + 1).is_some_and(|next| next.kind == "size_t");
                let wanted = (!optional || with_len).then_some("MDNA_NULL_POINTER");
                check(&mut cases, &call(&function, at, "NULL"), wanted);
                calls += 1;
            }
            let with_len = function.parameters.get(at + 1).is_some_and(|next| next.kind == "size_t");
            if parameter.kind == "const char *" && !with_len {
                let is_path = text_for(&function, &parameter.name).starts_with("\"/");
                let wanted = (!is_path).then_some("MDNA_INVALID_UTF8");
                check(&mut cases, &call(&function, at, "\"\\xff\\xfe\""), wanted);
                check(&mut cases, &call(&function, at, "\"\""), None);
                check(&mut cases, &call(&function, at, "huge"), None);
                calls += 3;
            }
            match parameter.kind.as_str() {
                "size_t" => {
                    check(&mut cases, &call(&function, at, "SIZE_MAX"), Some("MDNA_INVALID_ARGUMENT"));
                    check(&mut cases, &call(&function, at, "0"), None);
                    calls += 2;
                }
                "uint64_t" | "uint32_t" | "int32_t" if function.is_fallible() => {
                    let most = if parameter.kind == "uint64_t" { "UINT64_MAX" } else { "UINT32_MAX" };
                    check(&mut cases, &call(&function, at, most), None);
                    calls += 1;
                }
                "const mdna_secret *" => {
                    check(&mut cases, &call(&function, at, "&huge_secret"), Some("MDNA_INVALID_ARGUMENT"));
                    check(&mut cases, &call(&function, at, "&null_secret"), Some("MDNA_NULL_POINTER"));
                    calls += 2;
                }
                _ => {}
            }
        }
        cases.push_str("}\n");
    }
    assert!(calls > 400, "only {calls} calls");
    PROLOGUE.to_owned() + &cases + "static void every_case(void) {\n" + &body + "}\n" + EPILOGUE
}

const PROLOGUE: &str = r#"
#define new_vault make_vault
#include "check.h"
#undef new_vault

static mdna_vault *vault, *new_vault;
static mdna_view *view, *new_view;
static mdna_batch *batch, *new_batch;
static mdna_cursor *cursor, *new_cursor;
static mdna_repository *repository, *new_repository;
static mdna_s3_settings *settings, *new_settings;
static mdna_s3_limits limits = MDNA_S3_LIMITS_INIT;
static mdna_file *file, *new_file;
static mdna_file_info file_info;
static size_t size;
static uint8_t buffer[64];
static mdna_watch *new_watch;
static mdna_mount *mount, *new_mount;
static mdna_string text = MDNA_STRING_INIT;
static mdna_open_options open = MDNA_OPEN_OPTIONS_INIT;
static mdna_create_options create = MDNA_CREATE_OPTIONS_INIT;
static mdna_prune_options prune = MDNA_PRUNE_OPTIONS_INIT;
static mdna_mount_options mounting = MDNA_MOUNT_OPTIONS_INIT;
static mdna_retention retention = MDNA_RETENTION_INIT;
static mdna_secret secret = {MDNA_SECRET_PASSPHRASE, (const uint8_t *)"right", 5};
static mdna_secret huge_secret = {MDNA_SECRET_PASSPHRASE, (const uint8_t *)"right", SIZE_MAX};
static mdna_secret null_secret = {MDNA_SECRET_PASSPHRASE, NULL, 5};
static mdna_key_cost cost = {8, 1, 1};
static mdna_log_state state;
static mdna_record_info info;
static uint64_t number;
static bool truth;
static char huge[1 << 20];

static int progress(void *user_data, const char *phase, uint64_t done, uint64_t total) {
    (void)user_data;
    (void)phase;
    (void)done;
    (void)total;
    return 0;
}

/* How the last call ended. */
static mdna_status status;

#define EVERY_OUTPUT(DO)                                                                                                    \
    DO(text) DO(new_vault) DO(new_view) DO(new_batch) DO(new_cursor) DO(new_repository) DO(new_settings) DO(new_file)       \
    DO(new_watch) DO(new_mount) DO(file_info) DO(size) DO(buffer) DO(state) DO(info) DO(number) DO(truth)

/* Bytes that no call writes. */
#define MARK 0x5a

static void mark_outputs(void) {
#define FILL(output) memset(&output, MARK, sizeof output);
    EVERY_OUTPUT(FILL)
}

static bool is_marked(const void *output, size_t len) {
    const unsigned char *bytes = output;
    while (len > 0 && bytes[len - 1] == MARK) {
        len--;
    }
    return len == 0;
}

static void look_at(const char *name, void *output, size_t len, const char *call) {
    if (is_marked(output, len)) {
        memset(output, 0, len);
    } else if (status != MDNA_OK) {
        fprintf(stderr, "%s fails and writes %s\n", call, name);
        abort();
    }
}

/* Outputs that were not written are as if there were none. */
static void look_at_outputs(const char *call) {
#define LOOK(output) look_at(#output, &output, sizeof output, call);
    EVERY_OUTPUT(LOOK)
}

static void on_change(void *user_data, mdna_status status, const mdna_change *change) {
    (void)user_data;
    (void)status;
    (void)change;
}

static void on_log(void *user_data, uint32_t level, const char *target, const char *message, const char *fields) {
    (void)user_data;
    (void)level;
    (void)target;
    (void)message;
    (void)fields;
}

"#;

const EPILOGUE: &str = r#"
int main(int argc, char **argv) {
    CHECK(argc == 2);
    memset(huge, 'x', sizeof huge - 1);
    prune.keep = 1;
    prune.dry_run = 1;
    retention.last = 1;
    vault = make_vault(below(argv[1], "vault"));
    OK(mdna_memory_add(vault, MEMORY, NULL));
    OK(mdna_vault_at(vault, 1, &view));
    OK(mdna_batch_begin(vault, &batch));
    OK(mdna_memory_list(vault, NULL, &cursor));
    OK(mdna_repository_init(below(argv[1], "repository"), &secret, NULL, &cost, &repository));
    OK(mdna_s3_settings_new(false, &settings));
    OK(mdna_file_open(vault, "file", MDNA_OPEN_READ | MDNA_OPEN_WRITE | MDNA_OPEN_CREATE, 0600, &file));
    OK(mdna_mount_start(vault, below(argv[1], "mnt"), NULL, &mount));
    every_case();
    OK(mdna_mount_path(mount, &text));
    CHECK(holds(&text, "mnt"));
    mdna_mount_free(mount);
    /* The handles can still be used, and nothing is damaged. */
    OK(mdna_vault_verify(vault, &text));
    CHECK(holds(&text, "\"clean\":true"));
    OK(mdna_record_list(vault, "identities", NULL, &new_cursor));
    drain(new_cursor);
    mdna_cursor_free(cursor);
    mdna_batch_free(batch);
    mdna_view_free(view);
    mdna_file_close(file);
    mdna_repository_close(repository);
    mdna_s3_settings_free(settings);
    mdna_vault_close(vault);
    return 0;
}
"#;

#[test]
fn wrong_arguments_are_refused_as_the_header_says() {
    let source = generate();
    let dir = Place::new();
    let path = dir.path().join("arguments.c");
    std::fs::write(&path, source).unwrap();
    std::fs::copy(root().join("ffi/tests/c/check.h"), dir.path().join("check.h")).unwrap();
    let binary = dir.path().join("arguments");
    build("gcc", "c11", &path, &binary);
    let work = dir.work();
    std::fs::create_dir(work.join("mnt")).unwrap();
    // Some of the texts are paths that can be made.
    run(program(&binary).arg(&work).current_dir(&work));
}
