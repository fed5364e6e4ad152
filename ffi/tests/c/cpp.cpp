// What the C++ header adds to the C one: exceptions, handles that move, iterators, callbacks that throw. This one is run.
#include <mirrordna.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>
#if __cplusplus >= 202002L
#include <ranges>
#endif

namespace {

[[noreturn]] void failed(int line, const char *what) {
    std::fprintf(stderr, "%s:%d: %s\n", __FILE__, line, what);
    std::abort();
}

#define CHECK(condition)                                                                                                    \
    do {                                                                                                                    \
        if (!(condition)) {                                                                                                 \
            failed(__LINE__, #condition);                                                                                   \
        }                                                                                                                   \
    } while (0)

/// The error of a call that fails with a status.
template <typename Call> mdna::Error error_of(int line, mdna_status status, Call &&call) {
    try {
        call();
    } catch (const mdna::Error &error) {
        if (error.status() != status) {
            failed(line, error.what());
        }
        CHECK(*error.what() != '\0' && *error.hint() != '\0' && std::string(error.name()) == mdna_status_name(status));
        return error;
    }
    failed(line, "it succeeds");
}

#define FAILS(status, call) error_of(__LINE__, status, [&] { static_cast<void>(call); })

const std::string MEMORY = R"({"tier":"short_term","content":"The kettle is red","source":{)"
                           R"("session_id":"sess_20261122_185200_0a1b2c3d","agent_id":"mdna_agt_0123456789abcdef",)"
                           R"("user_id":"mdna_usr_0123456789abcdef"}})";

bool holds(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

mdna::Vault new_vault(const std::string &path) {
    mdna_create_options options = MDNA_CREATE_OPTIONS_INIT;
    options.durability = MDNA_DURABILITY_BUFFERED;
    return mdna::Vault::create(path, &options);
}

/// What a callback throws. It is no exception of the standard library: everything comes out as it is.
struct Thrown {
    int number;
};

/// A callback that throws each time that it is called.
struct Throws {
    int called = 0;
    mdna::Progress progress() {
        return [this](std::string_view, std::uint64_t, std::uint64_t) -> bool { throw Thrown{++called}; };
    }
};

/// Work whose callback throws ends with the first exception, after one call of the callback.
template <typename Work> void comes_out(int line, Work &&work) {
    Throws throws;
    try {
        work(throws.progress());
    } catch (const Thrown &thrown) {
        if (thrown.number != 1 || throws.called != 1) {
            failed(line, "another exception than the first one");
        }
        return;
    }
    failed(line, "no exception came out");
}

#define COMES_OUT(call) comes_out(__LINE__, [&](const mdna::Progress &progress) { static_cast<void>(call); })

void exceptions_of_callbacks(const std::string &dir) {
    const std::string path = dir + "/vault";
    mdna::Vault vault = new_vault(path);
    const std::string id = vault.memory_add(MEMORY);
    mdna::Batch batch = vault.batch();
    for (int i = 0; i < 2500; i++) {
        batch.memory_add(MEMORY);
    }
    batch.commit();
    // Work that cannot be stopped is done all the same, and tells of itself more than once.
    int told = 0;
    CHECK(holds(vault.verify([&](auto, auto, auto) { return ++told < 0; }), R"("clean":true)") && told > 1);
    COMES_OUT(vault.verify(progress));
    const std::string before = vault.snapshot_create();
    vault.memory_promote(id, "long_term");
    const std::uint64_t sequence = vault.state().sequence;
    COMES_OUT(vault.snapshot_restore(before, progress));
    CHECK(holds(vault.memory_get(id), R"("tier":"short_term")") && vault.state().sequence > sequence);
    CHECK(holds(vault.snapshot_restore(before, [](auto, auto, auto) { return false; }), R"("put_back":0)"));

    // Work that can be stopped is stopped, by an exception as by false.
    COMES_OUT(vault.export_store(dir + "/store", progress));
    FAILS(MDNA_CANCELLED, vault.export_store(dir + "/store", [](auto, auto, auto) { return false; }));
    COMES_OUT(vault.export_timeline(dir + "/timeline.json", std::nullopt, progress));
    COMES_OUT(vault.at(sequence).export_store(dir + "/store", progress));
    CHECK(holds(vault.export_store(dir + "/store"), R"("collections")"));
    mdna::Vault other = new_vault(dir + "/other");
    COMES_OUT(other.import_store(dir + "/store", false, progress));
    CHECK(other.memory_list().next() == std::nullopt);

    mdna::Repository repository = mdna::Repository::init(dir + "/repository", nullptr);
    COMES_OUT(repository.create(vault, "label", progress));
    CHECK(!holds(repository.list(), "label"));
    CHECK(holds(repository.create(vault, "label"), R"("name")"));
    COMES_OUT(repository.restore("label", dir + "/restored", progress));
    COMES_OUT(repository.extract("label", "memories", dir + "/extracted", progress));
    COMES_OUT(repository.verify(0, std::nullopt, progress));
    COMES_OUT(repository.repair(progress));
    COMES_OUT(repository.export_file("label", dir + "/sealed", nullptr, nullptr, progress));
    CHECK(holds(repository.export_file("label", dir + "/sealed", nullptr), "label"));
    mdna::Repository second = mdna::Repository::init(dir + "/second", nullptr);
    COMES_OUT(second.import_file(dir + "/sealed", nullptr, progress));

    // So does work that fails for another reason after it.
    COMES_OUT(mdna::detail::followed(progress, [](mdna_progress_fn callback, void *data, mdna_string *) {
        CHECK(callback(data, "working", 0, 2) != 0 && callback(data, "working", 1, 2) != 0);
        return mdna_status(MDNA_NO_SPACE);
    }));
}

/// Functions of a handle that was moved from, and functions that are given one, fail; none takes it for what is not given.
void moved_from(const std::string &dir) {
    mdna::Vault vault = new_vault(dir + "/vault");
    mdna::Vault other = std::move(vault);
    CHECK(vault.get() == nullptr && other.get() != nullptr && !other.id().empty());
    other.memory_add(MEMORY);
    FAILS(MDNA_NULL_POINTER, vault.flush());
    FAILS(MDNA_NULL_POINTER, vault.id());
    FAILS(MDNA_NULL_POINTER, vault.batch());
    FAILS(MDNA_NULL_POINTER, vault.watch([](mdna_status, const mdna_change *) {}));
    FAILS(MDNA_NULL_POINTER, vault.verify([](auto, auto, auto) { return true; }));

    mdna::View view = other.at(other.state().sequence);
    mdna::View first = std::move(view);
    FAILS(MDNA_NULL_POINTER, view.sequence());
    FAILS(MDNA_NULL_POINTER, first.diff(view));
    mdna::Cursor cursor = other.log();
    mdna::Cursor entries = std::move(cursor);
    FAILS(MDNA_NULL_POINTER, cursor.next());
    FAILS(MDNA_NULL_POINTER, cursor.begin());
    CHECK(entries.next().has_value());
    mdna::Batch batch = other.batch();
    mdna::Batch changes = std::move(batch);
    FAILS(MDNA_NULL_POINTER, batch.commit());
    mdna::File file = other.file_open("file", MDNA_OPEN_WRITE | MDNA_OPEN_CREATE);
    mdna::File open = std::move(file);
    FAILS(MDNA_NULL_POINTER, file.sync());
    open.write("x");

    mdna::S3Settings settings(false);
    const mdna::S3Settings kept = std::move(settings);
    const std::string place = dir + "/repository";
    FAILS(MDNA_NULL_POINTER, settings.cancel());
    FAILS(MDNA_NULL_POINTER, settings.set("AWS_REGION", "x"));
    FAILS(MDNA_NULL_POINTER, mdna::Repository::init(place, settings, nullptr));
    mdna::Repository repository = mdna::Repository::init(place, kept, nullptr);
    FAILS(MDNA_NULL_POINTER, mdna::Repository::open(place, settings, nullptr));
    FAILS(MDNA_NULL_POINTER, mdna::Repository::kinds(place, settings));
    CHECK(mdna::Repository::kinds(place, kept) == R"(["open"])");
    FAILS(MDNA_NULL_POINTER, repository.create(vault));
    mdna::Repository second = std::move(repository);
    FAILS(MDNA_NULL_POINTER, repository.list());

    // Moving onto a handle frees what it was; onto itself changes nothing.
    other = new_vault(dir + "/another");
    CHECK(other.path() == dir + "/another");
    mdna::Vault &same = other;
    other = std::move(same);
    CHECK(other.path() == dir + "/another");
}

/// Whether a text stands somewhere in memory.
[[gnu::noinline]] bool stands_in(const volatile unsigned char *bytes, std::size_t len, std::string_view text) {
    for (std::size_t at = 0; at + text.size() <= len; at++) {
        std::size_t same = 0;
        while (same < text.size() && bytes[at + same] == static_cast<unsigned char>(text[same])) {
            same++;
        }
        if (same == text.size()) {
            return true;
        }
    }
    return false;
}

void secrets() {
    // A short text stands in the object itself, where it can be looked for when the object is gone.
    const std::string_view secret = "secret";
    alignas(mdna::detail::Text) unsigned char place[sizeof(mdna::detail::Text)] = {};
    const auto *text = new (place) mdna::detail::Text(secret);
    CHECK(stands_in(place, sizeof place, secret));
    text->~Text();
    CHECK(!stands_in(place, sizeof place, secret));

    std::string key = mdna::key_new();
    CHECK(key.size() == 44 && mdna::key_public(key).size() == 44);
    const char *bytes = key.data();
    mdna::wipe(key);
    CHECK(key.empty() && key.data() == bytes && *bytes == '\0');
    mdna::wipe(key);
    const std::string content = mdna::KeyFile::make();
    CHECK(!content.empty());
    FAILS(MDNA_INVALID_ARGUMENT, mdna::key_public(std::string_view("a\0b", 3)));
    FAILS(MDNA_PRIVATE_KEY, mdna::key_public("no key"));
}

static_assert(std::is_nothrow_copy_constructible_v<mdna::Error> && std::is_nothrow_copy_assignable_v<mdna::Error>);

template <typename Handle>
constexpr bool moves = std::is_nothrow_move_constructible_v<Handle> && std::is_nothrow_move_assignable_v<Handle> &&
                       !std::is_copy_constructible_v<Handle> && !std::is_copy_assignable_v<Handle>;
static_assert(moves<mdna::Vault> && moves<mdna::View> && moves<mdna::Cursor> && moves<mdna::Batch> && moves<mdna::File>);
static_assert(moves<mdna::Watch> && moves<mdna::Mount> && moves<mdna::Repository> && moves<mdna::S3Settings>);

void errors(const std::string &dir) {
    FAILS(MDNA_NOT_A_VAULT, mdna::Vault::open(dir));
    mdna::Vault vault = new_vault(dir + "/vault");
    const std::string id = "mem_20261122_185200_00000000";
    mdna::Error error = FAILS(MDNA_NOT_FOUND, vault.memory_get(id));
    CHECK(error.subject() == id && holds(error.what(), id) && std::string(error.name()) == "MDNA_NOT_FOUND");
    const mdna::Error copied = error;
    // Moving is copying: both can be read.
    const mdna::Error moved = std::move(error);
    CHECK(error.subject() == id && copied.subject() == id && moved.subject() == id && holds(error.what(), id));
    error = FAILS(MDNA_INVALID_ARGUMENT, vault.memory_list(R"({"limit":-1})"));
    CHECK(error.subject().empty());
    CHECK(copied.subject() == id && copied.status() == MDNA_NOT_FOUND);
    FAILS(MDNA_OCCUPIED, mdna::Vault::create(dir + "/vault"));
    // It is caught as what it is derived from.
    try {
        vault.memory_delete(id);
        CHECK(false);
    } catch (const std::exception &caught) {
        CHECK(holds(caught.what(), id));
    }
    // The error of another thread is not taken for that of this one.
    std::thread([&] { FAILS(MDNA_NOT_FOUND, vault.session_get("sess_none")); }).join();
    CHECK(FAILS(MDNA_NOT_FOUND, vault.snapshot_get("snap_none")).subject() == "snap_none");
}

void iterators(const std::string &dir) {
    mdna::Vault vault = new_vault(dir + "/vault");
    for (int i = 0; i < 5; i++) {
        vault.memory_add(MEMORY);
    }
    // A cursor keeps the vault open.
    mdna::Cursor cursor = vault.memory_list();
    mdna::Cursor second = vault.memory_list(std::optional<std::string>(R"({"limit":3})"));
    mdna::Cursor none = vault.memory_list(R"({"limit":0})");
    mdna::Cursor others = vault.memory_list(std::optional<std::string>());
    vault = new_vault(dir + "/other");

    auto it = cursor.begin();
    const auto end = cursor.end();
    CHECK(it == it && end == end && it != end && !(it == end) && mdna::Cursor::iterator() == end);
    const std::string first = *it++;
    CHECK(holds(first, "kettle") && first != *it && it->size() == first.size());
    auto other = others.begin();
    CHECK(it != other);
    CHECK(*other == first && *other++ == first && *++other != *it);
    CHECK(std::distance(it, end) == 4);
    const std::vector<std::string> three(second.begin(), second.end());
    CHECK(three.size() == 3 && three.front() == first);
    CHECK(none.begin() == none.end());
    int count = 0;
    for (const std::string &json : others) {
        CHECK(holds(json, "kettle"));
        count++;
    }
    CHECK(count == 2 && others.next() == std::nullopt);
#if __cplusplus >= 202002L
    static_assert(std::input_iterator<mdna::Cursor::iterator>);
    static_assert(std::ranges::input_range<mdna::Cursor>);
#endif
}

void files(const std::string &dir) {
    mdna::Vault vault = new_vault(dir + "/vault");
    mdna::File file = vault.file_open("file", MDNA_OPEN_READ | MDNA_OPEN_WRITE | MDNA_OPEN_CREATE);
    const unsigned char bytes[] = {1, 0, 2};
    file.write(bytes, sizeof bytes);
    file.write(std::string_view("a\0b", 3));
    file.write_at(1, bytes, 1);
    file.write_at(5, "c");
    file.write(nullptr, 0);
    file.write(std::string_view());
    FAILS(MDNA_NULL_POINTER, file.write(nullptr, 1));
    char read[8] = {};
    CHECK(file.read(read, sizeof read) == 0 && file.seek(0) == 0);
    CHECK(file.read(read, sizeof read) == 6 && std::string(read, 6) == std::string("\1\1\2a\0c", 6));
    CHECK(file.stat().size == 6 && file.read_at(3, read, 1) == 1 && *read == 'a');
}

/// What a watch is told, and how long it is waited for.
struct Told {
    std::mutex mutex;
    std::condition_variable changed;
    int creations = 0;

    void create() {
        const std::lock_guard<std::mutex> lock(mutex);
        creations++;
        changed.notify_all();
    }
    void wait_for(int wanted) {
        std::unique_lock<std::mutex> lock(mutex);
        CHECK(changed.wait_for(lock, std::chrono::minutes(5), [&] { return creations >= wanted; }));
    }
};

void watches(const std::string &dir) {
    mdna::Vault vault = new_vault(dir + "/vault");
    vault.memory_add(MEMORY);
    Told told;
    const mdna::Watch::Callback count = [&](mdna_status status, const mdna_change *change) {
        CHECK(status == MDNA_OK && std::string(change->operation) == "create");
        told.create();
    };
    // From the first entry of the log on, and it goes on when it is moved.
    mdna::Watch watch = vault.watch(count, 1);
    told.wait_for(1);
    mdna::Watch kept = std::move(watch);
    vault.memory_add(MEMORY);
    told.wait_for(2);
    // What it was ends when another one takes its place.
    std::optional<mdna::Watch> own;
    std::mutex assigned;
    int calls = 0;
    {
        // The callback may run before there is a watch to end.
        const std::lock_guard<std::mutex> lock(assigned);
        own = vault.watch(
            [&](mdna_status, const mdna_change *) {
                const std::lock_guard<std::mutex> held(assigned);
                calls++;
                own.reset();
                told.create();
            },
            1);
    }
    told.wait_for(3);
    vault.memory_add(MEMORY);
    told.wait_for(4);
    kept = vault.watch([](mdna_status, const mdna_change *) {});
    vault.memory_add(MEMORY);
    const std::lock_guard<std::mutex> lock(told.mutex);
    CHECK(told.creations == 4 && calls == 1);
    FAILS(MDNA_NULL_POINTER, vault.watch(nullptr));
}

/// How a program keeps the result of work although its callback failed, as it stands at Progress.
void kept_results(const std::string &dir) {
    mdna::Vault vault = new_vault(dir + "/vault");
    vault.memory_add(MEMORY);
    std::exception_ptr thrown;
    const std::string report = vault.verify([&](auto, auto, auto) {
        try {
            throw Thrown{7};
        } catch (...) {
            thrown = std::current_exception();
            return false;
        }
    });
    CHECK(holds(report, R"("clean":true)") && thrown != nullptr);
    const std::string path = dir + "/vault";
    COMES_OUT(mdna::verify(path, progress));
    vault = new_vault(dir + "/other");
    COMES_OUT(mdna::repair(path, progress));
    CHECK(holds(mdna::repair(path, [](auto, auto, auto) { return false; }), R"("clean":true)"));
}

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2);
    const std::string dir = argv[1];
    exceptions_of_callbacks(dir + "/exceptions");
    kept_results(dir + "/kept");
    moved_from(dir + "/moved");
    secrets();
    errors(dir + "/errors");
    iterators(dir + "/iterators");
    files(dir + "/files");
    watches(dir + "/watches");
    return 0;
}
