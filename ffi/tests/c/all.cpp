// Every function of the C++ header, compiled and not run.
#include <mirrordna.hpp>

#include <iostream>

namespace {

void vaults(mdna::Vault &vault) {
    vault.flush();
    mdna::Vault other = vault.as_actor("somebody");
    other = vault.with_durability(MDNA_DURABILITY_SYNC);
    const mdna_prune_options prune = MDNA_PRUNE_OPTIONS_INIT;
    std::cout << vault.id() << vault.path() << vault.actor() << vault.state().sequence << vault.overview() << vault.health()
              << vault.prune(prune) << vault.verify() << vault.verify([](auto, auto, auto) { return true; });
    for (const std::string &entry : vault.log()) {
        std::cout << entry;
    }
    mdna::Watch watch = vault.watch([](mdna_status, const mdna_change *change) { std::cout << change->id; });
    mdna::Mount mount = vault.mount("mnt");
    std::cout << mount.path();
    mount.stop();
    mount.wait();
    mdna::umount("mnt");
    std::cout << mdna::verify("vault") << mdna::repair("vault") << mdna::health("vault");
    std::cout << mdna::version() << mdna::abi_version() << mdna::build_info();
}

void records(mdna::Vault &vault) {
    std::cout << vault.record_create("entries", "{}") << vault.record_put("entries", "{}") << vault.record_get("entries", "x")
              << vault.record_describe("entries", "x").sequence;
    vault.record_delete("entries", "x");
    mdna::Cursor cursor = vault.record_list("entries");
    cursor = vault.record_history("entries", "x");
    std::cout << cursor.next().value_or("") << cursor.position();
    std::cout << vault.identity_create("agent") << vault.identity_get("x") << vault.identity_sign("x", "y", "z")
              << vault.identity_verify("x", "y", "z");
    std::cout << vault.session_start("a", "b") << vault.session_start_with("a", "b", std::nullopt, "{}") << vault.session_end("x")
              << vault.session_get("x") << vault.session_lineage("x") << vault.session_context("x");
    cursor = vault.session_list("{}");
    std::cout << vault.memory_add("{}") << vault.memory_get("x") << vault.memory_update("x", "{}") << vault.memory_promote("x", "y")
              << vault.memory_archive("x") << vault.memory_count_access("x");
    cursor = vault.memory_list();
    cursor = vault.memory_search("x", "{}");
    vault.memory_delete("x");
    std::cout << vault.dna_create("{}") << vault.dna_latest("a") << vault.dna_constraints("a");
    cursor = vault.dna_versions("a");
    std::cout << vault.reflection_add("{}") << vault.reflection_decision("a", "b", "c")
              << vault.reflection_capability("a", "b", "c", true) << vault.reflection_state("a", "{}")
              << vault.reflection_meta("a", "[]", "b") << vault.reflection_introspect("a");
    cursor = vault.reflection_list();
    std::cout << vault.timeline_append("custom", "a") << vault.timeline_summary() << vault.timeline_days();
    cursor = vault.timeline_query();
    std::cout << vault.citation_chain("x") << vault.glyph_chain("x");
}

void batches(mdna::Vault &vault) {
    mdna::Batch batch = vault.batch();
    std::cout << batch.create("entries", "{}") << batch.put("entries", "{}") << batch.get("entries", "x") << batch.memory_add("{}")
              << batch.memory_update("x", "{}") << batch.memory_promote("x", "y") << batch.memory_archive("x")
              << batch.memory_count_access("x") << batch.session_start("a", "b") << batch.session_end("x");
    batch.remove("entries", "x");
    std::cout << batch.commit();
}

void history(mdna::Vault &vault) {
    std::cout << vault.snapshot_create() << vault.snapshot_create_with("x", true, std::nullopt) << vault.snapshot_get("x")
              << vault.snapshot_render("x", MDNA_FORMAT_YAML) << vault.snapshot_restore("x") << mdna::snapshot_load("file");
    mdna::Cursor cursor = vault.snapshot_list();
    vault.snapshot_delete("x");
    mdna::View view = vault.snapshot_view("x");
    const mdna::View now = vault.at(view.sequence());
    std::cout << view.get("memories", "x") << view.describe("memories", "x").sequence << view.timeline_summary() << view.export_store("dir");
    cursor = view.list("memories");
    cursor = view.timeline();
    cursor = view.diff(now);
    std::cout << view.file_open("x").stat().size << view.files_stat("x").size << view.files_readlink("x");
    cursor = view.files_list("/");
    std::cout << vault.import_store("dir") << vault.import_timeline("file") << vault.import_backup("file") << vault.export_store("dir")
              << vault.export_timeline("file");
}

void artifacts(mdna::Vault &vault) {
    mdna::File file = vault.file_open("x", MDNA_OPEN_READ | MDNA_OPEN_WRITE);
    char buffer[8];
    std::cout << file.read(buffer, sizeof buffer) << file.read_at(1, buffer, sizeof buffer) << file.seek(0, MDNA_SEEK_END)
              << file.stat().size << vault.files_stat("x").size << vault.files_readlink("x");
    file.write("x");
    file.write(buffer, sizeof buffer);
    file.write_at(1, "x");
    file.write_at(1, buffer, sizeof buffer);
    file.truncate(0);
    file.chmod(0600);
    file.chown(MDNA_KEEP_ID, 1);
    file.utimes(MDNA_TIME_NOW, MDNA_TIME_KEEP);
    file.sync();
    mdna::Cursor cursor = vault.files_list("/");
    vault.files_mkdir("x", true);
    vault.files_remove("x");
    vault.files_rmdir("x");
    vault.files_rename("x", "y", MDNA_RENAME_EXCHANGE);
    vault.files_symlink("x", "y");
    vault.files_link("x", "y");
    vault.files_chmod("x", 0600);
    vault.files_chown("x", 1, 1);
    vault.files_utimes("x", 1, 1);
    vault.files_sync();
}

void backups(mdna::Vault &vault) {
    const std::string content = mdna::KeyFile::make();
    const mdna::KeyFile key(content);
    mdna::Repository repository = mdna::Repository::init("path", key);
    repository = mdna::Repository::open("path", nullptr);
    mdna::S3Settings settings(false);
    settings.set("AWS_REGION", "x");
    settings.limit(MDNA_S3_LIMITS_INIT);
    settings.cancel();
    repository = mdna::Repository::init("path", settings, nullptr);
    repository = mdna::Repository::open("path", settings, nullptr);
    std::cout << mdna::Repository::kinds("path", settings);
    const mdna_retention retention = MDNA_RETENTION_INIT;
    std::cout << mdna::Repository::kinds("path") << repository.describe() << repository.create(vault) << repository.list()
              << repository.restore("latest", "to") << repository.extract("latest", "memories", "to") << repository.remove("[]")
              << repository.forget(retention) << repository.prune() << repository.verify() << repository.repair()
              << repository.export_file("latest", "file", key) << repository.import_file("file", key) << repository.keys()
              << repository.key_add(key) << repository.key_remove("x") << repository.key_change(key);
}

void documents() {
    std::cout << mdna::document_read("{}", MDNA_FORMAT_YAML) << mdna::document_write("{}", MDNA_FORMAT_JSON)
              << mdna::document_checksum("{}") << mdna::document_seal("{}") << mdna::document_verify("{}", true)
              << mdna::path_checksum("file") << mdna::citation_read("{}", MDNA_FORMAT_JSON) << mdna::citation_template(true)
              << mdna::vault_config_read("{}", MDNA_FORMAT_JSON) << mdna::vault_config_template("path")
              << mdna::config_seal("{}", "sha256", "1.0.0") << mdna::timeline_file_summary("{}");
    mdna::config_verify("name", "{}", "{}");
    mdna::Cursor cursor = mdna::timeline_file_query("{}");
    std::cout << mdna::id_new("memories") << mdna::id_new("identities", "agent") << mdna::id_event(std::nullopt, 1)
              << mdna::id_reflection("a", std::nullopt, 1) << mdna::id_dna("a", "1.0.0");
    mdna::id_check("memories", "x");
}

void without_a_vault() {
    std::cout << mdna::claim_sign("k", "x", "y") << mdna::claim_verify("k", "x", "y", "z") << mdna::key_public("k") << mdna::key_new();
    std::cout << mdna::json_canonical("{}") << mdna::json_checksum("{}") << mdna::bytes_checksum("x") << mdna::schema_text("memories");
    mdna::record_check("memories", "{}");
    mdna::log_set("off", nullptr);
    std::string key = mdna::key_new();
    mdna::wipe(key);
}

} // namespace

int main() {
    try {
        mdna::Vault vault = mdna::Vault::open("vault");
        vaults(vault);
        records(vault);
        batches(vault);
        history(vault);
        artifacts(vault);
        backups(vault);
        documents();
        without_a_vault();
    } catch (const mdna::Error &error) {
        std::cerr << error.name() << error.what() << error.hint() << error.subject() << error.status();
        return 1;
    }
    return 0;
}
