// The MirrorDNA vault from C++17: handles that free themselves, exceptions that carry the status, cursors in a
// range-for. Header only, over mirrordna.h, which says what each function does, which JSON it takes and gives, and how
// it fails.
//
// Handles can be moved and not copied. One that was moved from is empty, and its functions, and those that are given it,
// throw Error with MDNA_NULL_POINTER. Any number of threads may use a handle at once, but for moving and destroying it.
// Text goes in as std::string_view and comes out as std::string, both UTF-8. The copies that these
// classes make of texts are wiped. A secret that comes out as std::string is the program's to wipe, with wipe().
#ifndef MIRRORDNA_HPP
#define MIRRORDNA_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "mirrordna.h"

namespace mdna {

/// A call that failed. Copying it does not throw.
class Error : public std::runtime_error {
public:
    /// The last error of this thread.
    static Error last(mdna_status status) {
        const mdna_error *error = mdna_last_error();
        if (error == nullptr || error->status != status) {
            return Error(status, mdna_status_name(status), std::string());
        }
        return Error(status, error->message, error->subject != nullptr ? error->subject : "");
    }

    Error(mdna_status status, const std::string &message, std::string subject)
        : std::runtime_error(message), status_(status), subject_(std::make_shared<const std::string>(std::move(subject))) {}
    // Without moving: an error that was moved from would have no subject to refer to.
    Error(const Error &) noexcept = default;
    Error &operator=(const Error &) noexcept = default;
    ~Error() override = default;

    [[nodiscard]] mdna_status status() const noexcept { return status_; }
    /// Name of the status, as "MDNA_NOT_FOUND".
    [[nodiscard]] const char *name() const noexcept { return mdna_status_name(status_); }
    /// What can be done about it.
    [[nodiscard]] const char *hint() const noexcept { return mdna_status_hint(status_); }
    /// The id or path it is about; empty when there is none.
    [[nodiscard]] const std::string &subject() const noexcept { return *subject_; }

private:
    mdna_status status_;
    std::shared_ptr<const std::string> subject_;
};

/// Follows work that takes a while: phase, steps done, steps in all, on the thread that does the work. Returning false
/// stops the work, which then throws Error with MDNA_CANCELLED.
///
/// An exception stops the work as well. The first one comes out of the function that does the work, and the callback is not
/// called again after it. It also comes out when the work fails for another reason (mdna_last_error() has that), and when
/// the work is done all the same: it may be too late to stop it.
///
/// These cannot be stopped: Vault::snapshot_restore(), Vault::verify(), and verify() and repair() of a directory. Returning
/// false makes no difference to them, and an exception comes out when they are done.
///
/// When an exception comes out of work that was done, its result is lost. A callback whose caller needs the result in any
/// case stores its exception (std::current_exception()) and returns false instead.
using Progress = std::function<bool(std::string_view, std::uint64_t, std::uint64_t)>;

/// Text that may be missing: nothing, or NULL, is none. It is for arguments: the text that it was made of must outlive it.
class OptionalText {
public:
    OptionalText() noexcept = default;
    OptionalText(std::nullopt_t) noexcept {}
    OptionalText(std::nullptr_t) noexcept {}
    OptionalText(const char *text) : text_(text == nullptr ? std::optional<std::string_view>() : std::string_view(text)) {}
    OptionalText(std::string_view text) noexcept : text_(text) {}
    OptionalText(const std::string &text) noexcept : text_(text) {}
    OptionalText(const std::optional<std::string_view> &text) noexcept : text_(text) {}
    OptionalText(const std::optional<std::string> &text) noexcept {
        if (text) {
            text_ = *text;
        }
    }

    [[nodiscard]] bool has_value() const noexcept { return text_.has_value(); }
    [[nodiscard]] std::string_view value_or(std::string_view other) const noexcept { return text_.value_or(other); }

private:
    std::optional<std::string_view> text_;
};

/// Overwrites a secret and leaves the text empty. Copies of it are not reached, nor is what a text left behind when it grew.
inline void wipe(std::string &secret) noexcept {
    // The compiler keeps writes to what is volatile.
    volatile char *bytes = secret.data();
    for (std::size_t i = 0; i < secret.size(); i++) {
        bytes[i] = 0;
    }
    secret.clear();
}

namespace detail {

inline void check(mdna_status status) {
    if (status != MDNA_OK) {
        throw Error::last(status);
    }
}

/// A text with a NUL behind it. It may be a secret, so it is wiped.
class Text {
public:
    Text(std::string_view text) : text_(without_nul(text)), given_(true) {}
    Text(const OptionalText &text) : text_(without_nul(text.value_or(std::string_view()))), given_(text.has_value()) {}
    Text(const Text &) = delete;
    Text &operator=(const Text &) = delete;
    ~Text() { wipe(text_); }
    operator const char *() const noexcept { return given_ ? text_.c_str() : nullptr; }

private:
    static std::string_view without_nul(std::string_view text) {
        if (text.find('\0') != std::string_view::npos) {
            throw Error(MDNA_INVALID_ARGUMENT, "a text has a NUL in it", std::string());
        }
        return text;
    }

    std::string text_;
    bool given_;
};

/// The text that a call gives.
template <typename Call> std::string text(Call &&call) {
    struct Owned {
        mdna_string string = MDNA_STRING_INIT;
        Owned() = default;
        Owned(const Owned &) = delete;
        Owned &operator=(const Owned &) = delete;
        ~Owned() { mdna_string_free(&string); }
    } owned;
    check(call(&owned.string));
    return owned.string.data != nullptr ? std::string(owned.string.data, owned.string.len) : std::string();
}

/// A callback of C++ for a call of C.
class Followed {
public:
    explicit Followed(const Progress &progress) : progress_(progress) {}
    mdna_progress_fn callback() const noexcept { return progress_ ? &Followed::tell : nullptr; }
    /// Throws what the callback threw, whatever the call says, or else what the call says.
    void check(mdna_status status) const {
        if (thrown_) {
            std::rethrow_exception(thrown_);
        }
        detail::check(status);
    }

private:
    static int tell(void *self, const char *phase, std::uint64_t done, std::uint64_t total) noexcept {
        auto &followed = *static_cast<Followed *>(self);
        if (followed.thrown_) {
            // Work that cannot be stopped goes on; the first exception is the one that comes out.
            return 1;
        }
        try {
            return followed.progress_(phase, done, total) ? 0 : 1;
        } catch (...) {
            followed.thrown_ = std::current_exception();
            return 1;
        }
    }

    const Progress &progress_;
    std::exception_ptr thrown_;
};

/// The text that followed work gives: `call` gets callback, user data and the place for the text.
template <typename Call> std::string followed(const Progress &progress, Call &&call) {
    Followed followed(progress);
    return text([&](mdna_string *out) {
        const mdna_status status = call(followed.callback(), static_cast<void *>(&followed), out);
        followed.check(status);
        return status;
    });
}

template <typename T, void (*Free)(T *)> struct Freed {
    void operator()(T *handle) const noexcept { Free(handle); }
};

template <typename T, void (*Free)(T *)> using Handle = std::unique_ptr<T, Freed<T, Free>>;

/// The handle that a call gives.
template <typename T, typename Call> T *made(Call &&call) {
    T *handle = nullptr;
    check(call(&handle));
    return handle;
}

} // namespace detail

/// The version of the library that is loaded.
[[nodiscard]] inline std::string_view version() noexcept { return mdna_version(); }
[[nodiscard]] inline std::uint32_t abi_version() noexcept { return mdna_abi_version(); }
[[nodiscard]] inline std::string_view build_info() noexcept { return mdna_build_info(); }

/// Results that are read one by one: `for (const std::string &json : cursor)`.
class [[nodiscard]] Cursor {
public:
    explicit Cursor(mdna_cursor *cursor) noexcept : handle_(cursor) {}
    [[nodiscard]] mdna_cursor *get() const noexcept { return handle_.get(); }

    /// The next result; none at the end.
    [[nodiscard]] std::optional<std::string> next() {
        bool ended = false;
        std::string json = detail::text([&](mdna_string *out) {
            const mdna_status status = mdna_cursor_next(get(), out);
            ended = status == MDNA_END;
            return ended ? MDNA_OK : status;
        });
        return ended ? std::nullopt : std::optional<std::string>(std::move(json));
    }

    /// Where a listing of records stands, for the member `after` of a filter.
    [[nodiscard]] std::string position() const {
        return detail::text([&](mdna_string *out) { return mdna_cursor_position(get(), out); });
    }

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = std::string;
        using difference_type = std::ptrdiff_t;
        using pointer = const std::string *;
        using reference = const std::string &;

        iterator() = default;
        explicit iterator(Cursor *cursor) : cursor_(cursor), item_(cursor->next()) {}
        reference operator*() const { return *item_; }
        pointer operator->() const { return &*item_; }
        iterator &operator++() {
            item_ = cursor_->next();
            return *this;
        }
        /// What `*it++` reads.
        class Taken {
        public:
            const std::string &operator*() const noexcept { return item_; }

        private:
            friend class iterator;
            explicit Taken(std::string item) noexcept : item_(std::move(item)) {}

            std::string item_;
        };
        Taken operator++(int) {
            std::optional<std::string> next = cursor_->next();
            Taken taken(std::move(*item_));
            item_ = std::move(next);
            return taken;
        }
        /// All ends are equal, and so are iterators over one cursor that are not at the end: they go on together.
        bool operator==(const iterator &other) const noexcept {
            return item_ && other.item_ ? cursor_ == other.cursor_ : !item_ && !other.item_;
        }
        bool operator!=(const iterator &other) const noexcept { return !(*this == other); }

    private:
        Cursor *cursor_ = nullptr;
        std::optional<std::string> item_;
    };

    iterator begin() { return iterator(this); }
    iterator end() { return iterator(); }

private:
    detail::Handle<mdna_cursor, mdna_cursor_free> handle_;
};

/// An open file of the artifacts, with a position of its own.
class [[nodiscard]] File {
public:
    explicit File(mdna_file *file) noexcept : handle_(file) {}
    [[nodiscard]] mdna_file *get() const noexcept { return handle_.get(); }

    /// Reads at the position into `buffer`: how many bytes, 0 at the end.
    [[nodiscard]] std::size_t read(void *buffer, std::size_t len) {
        std::size_t count = 0;
        detail::check(mdna_file_read(get(), static_cast<std::uint8_t *>(buffer), len, &count));
        return count;
    }
    [[nodiscard]] std::size_t read_at(std::uint64_t offset, void *buffer, std::size_t len) const {
        std::size_t count = 0;
        detail::check(mdna_file_read_at(get(), offset, static_cast<std::uint8_t *>(buffer), len, &count));
        return count;
    }
    void write(std::string_view data) { write(data.data(), data.size()); }
    /// Writes all `len` bytes at the position.
    void write(const void *data, std::size_t len) {
        detail::check(mdna_file_write(get(), static_cast<const std::uint8_t *>(data), len));
    }
    void write_at(std::uint64_t offset, std::string_view data) { write_at(offset, data.data(), data.size()); }
    void write_at(std::uint64_t offset, const void *data, std::size_t len) {
        detail::check(mdna_file_write_at(get(), offset, static_cast<const std::uint8_t *>(data), len));
    }
    std::uint64_t seek(std::int64_t offset, mdna_whence whence = MDNA_SEEK_SET) {
        std::uint64_t position = 0;
        detail::check(mdna_file_seek(get(), offset, whence, &position));
        return position;
    }
    [[nodiscard]] mdna_file_info stat() const {
        mdna_file_info info;
        detail::check(mdna_file_stat(get(), &info));
        return info;
    }
    void truncate(std::uint64_t size) { detail::check(mdna_file_truncate(get(), size)); }
    void chmod(std::uint32_t mode) { detail::check(mdna_file_chmod(get(), mode)); }
    void chown(std::uint32_t uid, std::uint32_t gid) { detail::check(mdna_file_chown(get(), uid, gid)); }
    void utimes(std::int64_t atime_ns, std::int64_t mtime_ns) { detail::check(mdna_file_utimes(get(), atime_ns, mtime_ns)); }
    void sync(bool data_only = false) { detail::check(mdna_file_sync(get(), data_only)); }

private:
    detail::Handle<mdna_file, mdna_file_close> handle_;
};

/// The vault as it was.
class [[nodiscard]] View {
public:
    explicit View(mdna_view *view) noexcept : handle_(view) {}
    [[nodiscard]] mdna_view *raw() const noexcept { return handle_.get(); }

    [[nodiscard]] std::uint64_t sequence() const {
        std::uint64_t sequence = 0;
        detail::check(mdna_view_sequence(raw(), &sequence));
        return sequence;
    }
    [[nodiscard]] std::string get(std::string_view collection, std::string_view id) const {
        return detail::text([&](mdna_string *out) { return mdna_view_get(raw(), detail::Text(collection), detail::Text(id), out); });
    }
    [[nodiscard]] mdna_record_info describe(std::string_view collection, std::string_view id) const {
        mdna_record_info info;
        detail::check(mdna_view_describe(raw(), detail::Text(collection), detail::Text(id), &info));
        return info;
    }
    Cursor list(std::string_view collection) const {
        return Cursor(detail::made<mdna_cursor>([&](mdna_cursor **out) { return mdna_view_list(raw(), detail::Text(collection), out); }));
    }
    Cursor timeline(const OptionalText &query_json = std::nullopt) const {
        return Cursor(detail::made<mdna_cursor>([&](mdna_cursor **out) { return mdna_view_timeline(raw(), detail::Text(query_json), out); }));
    }
    [[nodiscard]] std::string timeline_summary(const OptionalText &timeline_id = std::nullopt) const {
        return detail::text([&](mdna_string *out) { return mdna_view_timeline_summary(raw(), detail::Text(timeline_id), out); });
    }
    Cursor diff(const View &other) const {
        return Cursor(detail::made<mdna_cursor>([&](mdna_cursor **out) { return mdna_view_diff(raw(), other.raw(), out); }));
    }
    std::string export_store(std::string_view dir, const Progress &progress = nullptr) const {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_view_export(raw(), detail::Text(dir), f, data, out);
        });
    }
    /// A file as it was, for reading.
    File file_open(std::string_view path) const {
        return File(detail::made<mdna_file>([&](mdna_file **out) { return mdna_view_file_open(raw(), detail::Text(path), out); }));
    }
    [[nodiscard]] mdna_file_info files_stat(std::string_view path, bool follow = true) const {
        mdna_file_info info;
        detail::check(mdna_view_files_stat(raw(), detail::Text(path), follow, &info));
        return info;
    }
    Cursor files_list(std::string_view path) const {
        return Cursor(detail::made<mdna_cursor>([&](mdna_cursor **out) { return mdna_view_files_list(raw(), detail::Text(path), out); }));
    }
    [[nodiscard]] std::string files_readlink(std::string_view path) const {
        return detail::text([&](mdna_string *out) { return mdna_view_files_readlink(raw(), detail::Text(path), out); });
    }

private:
    detail::Handle<mdna_view, mdna_view_free> handle_;
};

/// Calls a function for every change of a vault, on a thread of the library, until it is destroyed. The function gets a
/// status and, when that is MDNA_OK, a change. It can be called before the constructor, or Vault::watch(), has returned: a
/// variable that the watch is assigned to may not hold it yet. An exception that leaves it ends the program.
class [[nodiscard]] Watch {
public:
    using Callback = std::function<void(mdna_status, const mdna_change *)>;

    Watch(mdna_vault *vault, std::uint64_t from, Callback callback)
        : callback_(std::make_unique<Shared>(std::make_shared<Callback>(std::move(callback)))),
          handle_(detail::made<mdna_watch>(
              [&](mdna_watch **out) {
                  // A function that is empty is none, which is refused.
                  const mdna_watch_fn tell = **callback_ ? &Watch::tell : nullptr;
                  return mdna_watch_start(vault, from, tell, callback_.get(), out);
              })) {}
    Watch(Watch &&) noexcept = default;
    Watch &operator=(Watch &&other) noexcept {
        if (this != &other) {
            // The watch that was there ends before its callback goes.
            handle_ = std::move(other.handle_);
            callback_ = std::move(other.callback_);
        }
        return *this;
    }
    Watch(const Watch &) = delete;
    Watch &operator=(const Watch &) = delete;
    ~Watch() = default;

private:
    using Shared = std::shared_ptr<Callback>;

    static void tell(void *callback, mdna_status status, const mdna_change *change) noexcept {
        // It may destroy its own watch, and stays until it returns.
        const Shared running = *static_cast<Shared *>(callback);
        (*running)(status, change);
    }

    // The watch, declared last, ends before the callback goes.
    std::unique_ptr<Shared> callback_;
    detail::Handle<mdna_watch, mdna_watch_free> handle_;
};

/// A mounted vault. Its destructor unmounts it, even when somebody uses it.
class [[nodiscard]] Mount {
public:
    explicit Mount(mdna_mount *mount) noexcept : handle_(mount) {}
    [[nodiscard]] mdna_mount *get() const noexcept { return handle_.get(); }
    [[nodiscard]] std::string path() const {
        return detail::text([&](mdna_string *out) { return mdna_mount_path(get(), out); });
    }
    void stop() { detail::check(mdna_mount_stop(get())); }
    void wait() { detail::check(mdna_mount_wait(get())); }

private:
    detail::Handle<mdna_mount, mdna_mount_free> handle_;
};

/// Changes that are made together, by `commit()`, or not at all.
class [[nodiscard]] Batch {
public:
    explicit Batch(mdna_batch *batch) noexcept : handle_(batch) {}
    [[nodiscard]] mdna_batch *raw() const noexcept { return handle_.get(); }

    std::string create(std::string_view collection, std::string_view json) { return text(mdna_batch_create, collection, json); }
    std::string put(std::string_view collection, std::string_view json) { return text(mdna_batch_put, collection, json); }
    /// A record as it is after the changes of the batch, which relies on it from then on.
    std::string get(std::string_view collection, std::string_view id) const { return text(mdna_batch_get, collection, id); }
    void remove(std::string_view collection, std::string_view id) {
        detail::check(mdna_batch_delete(raw(), detail::Text(collection), detail::Text(id)));
    }
    std::string memory_add(std::string_view json) { return text(mdna_batch_memory_add, json); }
    std::string memory_update(std::string_view id, std::string_view update_json) {
        return text(mdna_batch_memory_update, id, update_json);
    }
    std::string memory_promote(std::string_view id, std::string_view tier) { return text(mdna_batch_memory_promote, id, tier); }
    std::string memory_archive(std::string_view id) { return text(mdna_batch_memory_archive, id); }
    std::string memory_count_access(std::string_view id) { return text(mdna_batch_memory_count_access, id); }
    std::string session_start(std::string_view agent, std::string_view user, const OptionalText &parent = std::nullopt,
                              const OptionalText &context_json = std::nullopt) {
        return text(mdna_batch_session_start, agent, user, parent, context_json);
    }
    std::string session_end(std::string_view id, const OptionalText &final_state_json = std::nullopt) {
        return text(mdna_batch_session_end, id, final_state_json);
    }
    /// Makes all changes; the sequence of the last one. Throws, and changes nothing, when somebody was faster.
    std::uint64_t commit() {
        std::uint64_t sequence = 0;
        detail::check(mdna_batch_commit(raw(), &sequence));
        return sequence;
    }

private:
    /// The text that a function of C gives for texts.
    template <typename Function, typename... Texts> std::string text(Function function, const Texts &...texts) const {
        return detail::text([&](mdna_string *out) { return function(raw(), detail::Text(texts)..., out); });
    }

    detail::Handle<mdna_batch, mdna_batch_free> handle_;
};

/// An open vault.
class [[nodiscard]] Vault {
public:
    explicit Vault(mdna_vault *vault) noexcept : handle_(vault) {}
    [[nodiscard]] mdna_vault *get() const noexcept { return handle_.get(); }

    static Vault open(std::string_view path, const mdna_open_options *options = nullptr) {
        return Vault(detail::made<mdna_vault>([&](mdna_vault **out) { return mdna_vault_open(detail::Text(path), options, out); }));
    }
    static Vault create(std::string_view path, const mdna_create_options *options = nullptr) {
        return Vault(detail::made<mdna_vault>([&](mdna_vault **out) { return mdna_vault_create(detail::Text(path), options, out); }));
    }

    void flush() { detail::check(mdna_vault_flush(get())); }
    Vault as_actor(std::string_view actor) const {
        return Vault(detail::made<mdna_vault>([&](mdna_vault **out) { return mdna_vault_as_actor(get(), detail::Text(actor), out); }));
    }
    Vault with_durability(mdna_durability durability) const {
        return Vault(detail::made<mdna_vault>([&](mdna_vault **out) { return mdna_vault_with_durability(get(), durability, out); }));
    }
    [[nodiscard]] std::string id() const { return text(mdna_vault_id); }
    [[nodiscard]] std::string path() const { return text(mdna_vault_path); }
    [[nodiscard]] std::string actor() const { return text(mdna_vault_actor); }
    [[nodiscard]] mdna_log_state state() const {
        mdna_log_state state;
        detail::check(mdna_vault_state(get(), &state));
        return state;
    }
    [[nodiscard]] std::string overview() const { return text(mdna_vault_overview); }
    [[nodiscard]] std::string health() const { return text(mdna_vault_health); }
    std::string prune(const mdna_prune_options &options) {
        return detail::text([&](mdna_string *out) { return mdna_vault_prune(get(), &options, out); });
    }
    Cursor log(std::uint64_t from = 1, std::uint64_t limit = 0) const {
        return cursor([&](mdna_cursor **out) { return mdna_vault_log(get(), from, limit, out); });
    }
    /// Begins changes that are made together or not at all.
    Batch batch() const {
        return Batch(detail::made<mdna_batch>([&](mdna_batch **out) { return mdna_batch_begin(get(), out); }));
    }
    View at(std::uint64_t sequence) const {
        return View(detail::made<mdna_view>([&](mdna_view **out) { return mdna_vault_at(get(), sequence, out); }));
    }
    /// Calls `callback` for every change from the log entry `from` on, or from now on for 0.
    Watch watch(Watch::Callback callback, std::uint64_t from = 0) const { return Watch(get(), from, std::move(callback)); }
    Mount mount(std::string_view mountpoint, const mdna_mount_options *options = nullptr) const {
        return Mount(detail::made<mdna_mount>(
            [&](mdna_mount **out) { return mdna_mount_start(get(), detail::Text(mountpoint), options, out); }));
    }
    /// Checks everything that is stored: the report says what is damaged.
    [[nodiscard]] std::string verify() const { return text(mdna_vault_verify); }
    /// It cannot be stopped: an exception of `progress` comes out when it is done.
    [[nodiscard]] std::string verify(const Progress &progress) const {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_vault_verify_with(get(), f, data, out);
        });
    }

    std::string record_create(std::string_view collection, std::string_view json) { return text(mdna_record_create, collection, json); }
    std::string record_put(std::string_view collection, std::string_view json) { return text(mdna_record_put, collection, json); }
    [[nodiscard]] std::string record_get(std::string_view collection, std::string_view id) const {
        return text(mdna_record_get, collection, id);
    }
    [[nodiscard]] mdna_record_info record_describe(std::string_view collection, std::string_view id) const {
        mdna_record_info info;
        detail::check(mdna_record_describe(get(), detail::Text(collection), detail::Text(id), &info));
        return info;
    }
    Cursor record_list(std::string_view collection, const OptionalText &filter_json = std::nullopt) const {
        return cursor(mdna_record_list, collection, filter_json);
    }
    void record_delete(std::string_view collection, std::string_view id) {
        detail::check(mdna_record_delete(get(), detail::Text(collection), detail::Text(id)));
    }
    Cursor record_history(std::string_view collection, std::string_view id, std::uint64_t limit = 0) const {
        return cursor([&](mdna_cursor **out) {
            return mdna_record_history(get(), detail::Text(collection), detail::Text(id), limit, out);
        });
    }

    /// The identity, and in it, as "_private_key", the only copy of its private key: wipe() it after use.
    [[nodiscard]] std::string identity_create(std::string_view type, const OptionalText &metadata_json = std::nullopt) {
        return text(mdna_identity_create, type, metadata_json);
    }
    [[nodiscard]] std::string identity_get(std::string_view id) const { return text(mdna_identity_get, id); }
    [[nodiscard]] std::string identity_sign(std::string_view id, std::string_view claim, std::string_view private_key) const {
        return text(mdna_identity_sign, id, claim, private_key);
    }
    [[nodiscard]] bool identity_verify(std::string_view id, std::string_view claim, std::string_view signature) const {
        bool valid = false;
        detail::check(
            mdna_identity_verify(get(), detail::Text(id), detail::Text(claim), detail::Text(signature), &valid));
        return valid;
    }

    std::string session_start(std::string_view agent, std::string_view user, const OptionalText &parent = std::nullopt) {
        return text(mdna_session_start, agent, user, parent);
    }
    std::string session_start_with(std::string_view agent, std::string_view user, const OptionalText &parent,
                                   const OptionalText &context_json) {
        return text(mdna_session_start_with, agent, user, parent, context_json);
    }
    std::string session_end(std::string_view id, const OptionalText &final_state_json = std::nullopt) {
        return text(mdna_session_end, id, final_state_json);
    }
    [[nodiscard]] std::string session_get(std::string_view id) const { return text(mdna_session_get, id); }
    Cursor session_list(const OptionalText &filter_json = std::nullopt) const { return cursor(mdna_session_list, filter_json); }
    [[nodiscard]] std::string session_lineage(std::string_view id) const { return text(mdna_session_lineage, id); }
    [[nodiscard]] std::string session_context(std::string_view id) const { return text(mdna_session_context, id); }

    std::string memory_add(std::string_view json) { return text(mdna_memory_add, json); }
    [[nodiscard]] std::string memory_get(std::string_view id) const { return text(mdna_memory_get, id); }
    Cursor memory_list(const OptionalText &filter_json = std::nullopt) const { return cursor(mdna_memory_list, filter_json); }
    Cursor memory_search(std::string_view query, const OptionalText &filter_json = std::nullopt) const {
        return cursor(mdna_memory_search, query, filter_json);
    }
    std::string memory_update(std::string_view id, std::string_view update_json) { return text(mdna_memory_update, id, update_json); }
    std::string memory_promote(std::string_view id, std::string_view tier) { return text(mdna_memory_promote, id, tier); }
    std::string memory_archive(std::string_view id) { return text(mdna_memory_archive, id); }
    std::string memory_count_access(std::string_view id) { return text(mdna_memory_count_access, id); }
    void memory_delete(std::string_view id) { detail::check(mdna_memory_delete(get(), detail::Text(id))); }

    std::string dna_create(std::string_view json) { return text(mdna_dna_create, json); }
    Cursor dna_versions(std::string_view agent) const { return cursor(mdna_dna_versions, agent); }
    [[nodiscard]] std::string dna_latest(std::string_view agent) const { return text(mdna_dna_latest, agent); }
    [[nodiscard]] std::string dna_constraints(std::string_view agent) const { return text(mdna_dna_constraints, agent); }

    std::string reflection_add(std::string_view json) { return text(mdna_reflection_add, json); }
    std::string reflection_decision(std::string_view agent, std::string_view decision, std::string_view rationale,
                                    const OptionalText &constraints_json = std::nullopt,
                                    const OptionalText &context_json = std::nullopt) {
        return text(mdna_reflection_decision, agent, decision, rationale, constraints_json, context_json);
    }
    std::string reflection_capability(std::string_view agent, std::string_view capability, std::string_view usage_context,
                                      bool success, const OptionalText &notes = std::nullopt) {
        return detail::text([&](mdna_string *out) {
            return mdna_reflection_capability(get(), detail::Text(agent), detail::Text(capability), detail::Text(usage_context),
                                              success, detail::Text(notes), out);
        });
    }
    std::string reflection_state(std::string_view agent, std::string_view state_json,
                                 const OptionalText &observations_json = std::nullopt) {
        return text(mdna_reflection_state, agent, state_json, observations_json);
    }
    std::string reflection_meta(std::string_view agent, std::string_view reflection_ids_json, std::string_view synthesis) {
        return text(mdna_reflection_meta, agent, reflection_ids_json, synthesis);
    }
    Cursor reflection_list(const OptionalText &agent = std::nullopt, const OptionalText &type = std::nullopt) const {
        return cursor(mdna_reflection_list, agent, type);
    }
    [[nodiscard]] std::string reflection_introspect(std::string_view agent) const { return text(mdna_reflection_introspect, agent); }

    std::string timeline_append(std::string_view type, std::string_view actor, const OptionalText &payload_json = std::nullopt,
                                const OptionalText &session = std::nullopt, const OptionalText &timestamp = std::nullopt) {
        return text(mdna_timeline_append, type, actor, payload_json, session, timestamp);
    }
    Cursor timeline_query(const OptionalText &query_json = std::nullopt) const { return cursor(mdna_timeline_query, query_json); }
    [[nodiscard]] std::string timeline_summary(const OptionalText &timeline_id = std::nullopt) const {
        return text(mdna_timeline_summary, timeline_id);
    }
    [[nodiscard]] std::string timeline_days() const { return text(mdna_timeline_days); }

    [[nodiscard]] std::string citation_chain(std::string_view id) const { return text(mdna_citation_chain, id); }
    [[nodiscard]] std::string glyph_chain(std::string_view id) const { return text(mdna_glyph_chain, id); }

    std::string snapshot_create(const OptionalText &id = std::nullopt) { return text(mdna_snapshot_create, id); }
    std::string snapshot_create_with(const OptionalText &id, bool full, const OptionalText &metadata_json) {
        return detail::text([&](mdna_string *out) {
            return mdna_snapshot_create_with(get(), detail::Text(id), full, detail::Text(metadata_json), out);
        });
    }
    [[nodiscard]] std::string snapshot_get(std::string_view id) const { return text(mdna_snapshot_get, id); }
    Cursor snapshot_list() const { return cursor(mdna_snapshot_list); }
    void snapshot_delete(std::string_view id) { detail::check(mdna_snapshot_delete(get(), detail::Text(id))); }
    View snapshot_view(std::string_view id) const {
        return View(detail::made<mdna_view>([&](mdna_view **out) { return mdna_snapshot_view(get(), detail::Text(id), out); }));
    }
    [[nodiscard]] std::string snapshot_render(std::string_view id, mdna_format format = MDNA_FORMAT_JSON) const {
        return detail::text([&](mdna_string *out) { return mdna_snapshot_render(get(), detail::Text(id), format, out); });
    }
    /// Brings the present to a snapshot. It cannot be stopped: an exception of `progress` comes out when the restore is done,
    /// and the present is that of the snapshot then.
    std::string snapshot_restore(std::string_view id, const Progress &progress = nullptr) {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_snapshot_restore(get(), detail::Text(id), f, data, out);
        });
    }

    File file_open(std::string_view path, std::uint32_t flags = MDNA_OPEN_READ, std::uint32_t mode = 0600) const {
        return File(detail::made<mdna_file>(
            [&](mdna_file **out) { return mdna_file_open(get(), detail::Text(path), flags, mode, out); }));
    }
    [[nodiscard]] mdna_file_info files_stat(std::string_view path, bool follow = true) const {
        mdna_file_info info;
        detail::check(mdna_files_stat(get(), detail::Text(path), follow, &info));
        return info;
    }
    Cursor files_list(std::string_view path) const { return cursor(mdna_files_list, path); }
    void files_mkdir(std::string_view path, bool parents = false) {
        detail::check(mdna_files_mkdir(get(), detail::Text(path), parents));
    }
    void files_remove(std::string_view path) { detail::check(mdna_files_remove(get(), detail::Text(path))); }
    void files_rmdir(std::string_view path) { detail::check(mdna_files_rmdir(get(), detail::Text(path))); }
    void files_rename(std::string_view from, std::string_view to, std::uint32_t flags = 0) {
        detail::check(mdna_files_rename(get(), detail::Text(from), detail::Text(to), flags));
    }
    void files_symlink(std::string_view target, std::string_view path) {
        detail::check(mdna_files_symlink(get(), detail::Text(target), detail::Text(path)));
    }
    [[nodiscard]] std::string files_readlink(std::string_view path) const { return text(mdna_files_readlink, path); }
    void files_link(std::string_view from, std::string_view to) {
        detail::check(mdna_files_link(get(), detail::Text(from), detail::Text(to)));
    }
    void files_chmod(std::string_view path, std::uint32_t mode) {
        detail::check(mdna_files_chmod(get(), detail::Text(path), mode));
    }
    void files_chown(std::string_view path, std::uint32_t uid, std::uint32_t gid) {
        detail::check(mdna_files_chown(get(), detail::Text(path), uid, gid));
    }
    void files_utimes(std::string_view path, std::int64_t atime_ns, std::int64_t mtime_ns) {
        detail::check(mdna_files_utimes(get(), detail::Text(path), atime_ns, mtime_ns));
    }
    void files_sync() { detail::check(mdna_files_sync(get())); }

    std::string import_store(std::string_view dir, bool lenient = false, const Progress &progress = nullptr) {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_import_store(get(), detail::Text(dir), lenient, f, data, out);
        });
    }
    std::string import_timeline(std::string_view file, bool lenient = false, const Progress &progress = nullptr) {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_import_timeline(get(), detail::Text(file), lenient, f, data, out);
        });
    }
    std::string import_backup(std::string_view file, const OptionalText &passphrase = std::nullopt, bool lenient = false,
                              const Progress &progress = nullptr) {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_import_backup(get(), detail::Text(file), detail::Text(passphrase), lenient, f, data, out);
        });
    }
    std::string export_store(std::string_view dir, const Progress &progress = nullptr) const {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_export_store(get(), detail::Text(dir), f, data, out);
        });
    }
    std::uint64_t export_timeline(std::string_view file, const OptionalText &query_json = std::nullopt,
                                  const Progress &progress = nullptr) const {
        std::uint64_t count = 0;
        detail::Followed followed(progress);
        followed.check(
            mdna_export_timeline(get(), detail::Text(query_json), detail::Text(file), followed.callback(), &followed, &count));
        return count;
    }

private:
    /// The text that a function of C gives for texts.
    template <typename Function, typename... Texts> std::string text(Function function, const Texts &...texts) const {
        return detail::text([&](mdna_string *out) { return function(get(), detail::Text(texts)..., out); });
    }
    template <typename Call> Cursor cursor(Call &&call) const {
        if constexpr (std::is_invocable_v<Call, mdna_cursor **>) {
            return Cursor(detail::made<mdna_cursor>(std::forward<Call>(call)));
        } else {
            return Cursor(detail::made<mdna_cursor>([&](mdna_cursor **out) { return call(get(), out); }));
        }
    }
    template <typename Function, typename First, typename... Texts>
    Cursor cursor(Function function, const First &first, const Texts &...texts) const {
        return Cursor(detail::made<mdna_cursor>(
            [&](mdna_cursor **out) { return function(get(), detail::Text(first), detail::Text(texts)..., out); }));
    }

    detail::Handle<mdna_vault, mdna_vault_close> handle_;
};

/// What opens a repository.
class Secret {
public:
    operator const mdna_secret *() const noexcept { return &secret_; }

protected:
    Secret(mdna_secret_kind kind, std::string_view content)
        : secret_{kind, reinterpret_cast<const std::uint8_t *>(content.data()), content.size()} {}

private:
    mdna_secret secret_;
};

/// A passphrase in UTF-8. The text must outlive it.
class [[nodiscard]] Passphrase : public Secret {
public:
    explicit Passphrase(std::string_view text) : Secret(MDNA_SECRET_PASSPHRASE, text) {}
};

/// The content of a key file. It must outlive this.
class [[nodiscard]] KeyFile : public Secret {
public:
    explicit KeyFile(std::string_view content) : Secret(MDNA_SECRET_KEY_FILE, content) {}
    /// The content of a new one: wipe() it after use.
    [[nodiscard]] static std::string make() { return detail::text(mdna_key_file_new); }
};

/// How buckets are reached, for `Repository`.
class [[nodiscard]] S3Settings {
public:
    explicit S3Settings(bool from_environment = true)
        : handle_(detail::made<mdna_s3_settings>(
              [&](mdna_s3_settings **out) { return mdna_s3_settings_new(from_environment, out); })) {}
    [[nodiscard]] mdna_s3_settings *get() const noexcept { return handle_.get(); }

    void set(std::string_view name, const OptionalText &value) {
        detail::check(mdna_s3_settings_set(get(), detail::Text(name), detail::Text(value)));
    }
    void limit(const mdna_s3_limits &limits) { detail::check(mdna_s3_settings_limit(get(), &limits)); }
    /// Stops what is under way, from any thread.
    void cancel() const { detail::check(mdna_s3_settings_cancel(get())); }

private:
    friend class Repository;

    /// The handle, which must be there: NULL would mean the variables of the process.
    [[nodiscard]] mdna_s3_settings *given() const {
        if (get() == nullptr) {
            throw Error(MDNA_NULL_POINTER, "settings were moved from and cannot be used", std::string());
        }
        return get();
    }

    detail::Handle<mdna_s3_settings, mdna_s3_settings_free> handle_;
};

/// An open backup repository, in a folder or at "s3://BUCKET/PREFIX". A missing secret (nullptr) is for one that hides nothing.
class [[nodiscard]] Repository {
public:
    explicit Repository(mdna_repository *repository) noexcept : handle_(repository) {}
    [[nodiscard]] mdna_repository *get() const noexcept { return handle_.get(); }

    static Repository init(std::string_view location, const mdna_secret *secret, const OptionalText &label = std::nullopt,
                           const mdna_key_cost *cost = nullptr) {
        return Repository(detail::made<mdna_repository>([&](mdna_repository **out) {
            return mdna_repository_init(detail::Text(location), secret, detail::Text(label), cost, out);
        }));
    }
    static Repository open(std::string_view location, const mdna_secret *secret) {
        return Repository(detail::made<mdna_repository>(
            [&](mdna_repository **out) { return mdna_repository_open(detail::Text(location), secret, out); }));
    }
    static Repository init(std::string_view location, const S3Settings &settings, const mdna_secret *secret,
                           const OptionalText &label = std::nullopt, const mdna_key_cost *cost = nullptr) {
        return Repository(detail::made<mdna_repository>([&](mdna_repository **out) {
            return mdna_repository_init_with(detail::Text(location), settings.given(), secret, detail::Text(label), cost, out);
        }));
    }
    static Repository open(std::string_view location, const S3Settings &settings, const mdna_secret *secret) {
        return Repository(detail::made<mdna_repository>([&](mdna_repository **out) {
            return mdna_repository_open_with(detail::Text(location), settings.given(), secret, out);
        }));
    }
    [[nodiscard]] static std::string kinds(std::string_view location, const S3Settings &settings) {
        return detail::text(
            [&](mdna_string *out) { return mdna_key_kinds_with(detail::Text(location), settings.given(), out); });
    }
    /// Which kinds of secrets open the repository at a location.
    [[nodiscard]] static std::string kinds(std::string_view location) {
        return detail::text([&](mdna_string *out) { return mdna_key_kinds(detail::Text(location), out); });
    }

    [[nodiscard]] std::string describe() const {
        return detail::text([&](mdna_string *out) { return mdna_repository_describe(get(), out); });
    }
    std::string create(const Vault &vault, const OptionalText &label = std::nullopt, const Progress &progress = nullptr,
                       bool dry_run = false, bool accept_older = false) {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_backup_create(get(), vault.get(), detail::Text(label), dry_run, accept_older, f, data, out);
        });
    }
    [[nodiscard]] std::string list() const {
        return detail::text([&](mdna_string *out) { return mdna_backup_list(get(), out); });
    }
    std::string restore(std::string_view backup, std::string_view to, const Progress &progress = nullptr) const {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_backup_restore(get(), detail::Text(backup), detail::Text(to), f, data, out);
        });
    }
    std::string extract(std::string_view backup, std::string_view part, std::string_view to, const Progress &progress = nullptr) const {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_backup_extract(get(), detail::Text(backup), detail::Text(part), detail::Text(to), f, data, out);
        });
    }
    std::string remove(std::string_view backups_json, bool dry_run = false) {
        return detail::text([&](mdna_string *out) { return mdna_backup_delete(get(), detail::Text(backups_json), dry_run, out); });
    }
    std::string forget(const mdna_retention &retention, bool dry_run = false) {
        return detail::text([&](mdna_string *out) { return mdna_backup_forget(get(), &retention, dry_run, out); });
    }
    std::string prune(bool dry_run = false, std::uint64_t grace_s = 86400, const Progress &progress = nullptr) {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_repository_prune(get(), dry_run, grace_s, f, data, out);
        });
    }
    [[nodiscard]] std::string verify(std::uint32_t sample_percent = 0, const OptionalText &vault_path = std::nullopt,
                       const Progress &progress = nullptr) const {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_repository_verify(get(), sample_percent, detail::Text(vault_path), f, data, out);
        });
    }
    std::string repair(const Progress &progress = nullptr) {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_repository_repair(get(), f, data, out);
        });
    }
    std::string export_file(std::string_view backup, std::string_view file, const mdna_secret *secret,
                            const mdna_key_cost *cost = nullptr, const Progress &progress = nullptr) const {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_backup_export(get(), detail::Text(backup), detail::Text(file), secret, cost, f, data, out);
        });
    }
    std::string import_file(std::string_view file, const mdna_secret *secret, const Progress &progress = nullptr) {
        return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
            return mdna_backup_import(get(), detail::Text(file), secret, f, data, out);
        });
    }
    [[nodiscard]] std::string keys() const {
        return detail::text([&](mdna_string *out) { return mdna_key_list(get(), out); });
    }
    std::string key_add(const mdna_secret *secret, const OptionalText &label = std::nullopt, const mdna_key_cost *cost = nullptr) {
        return detail::text([&](mdna_string *out) { return mdna_key_add(get(), secret, detail::Text(label), cost, out); });
    }
    std::string key_remove(std::string_view slot) {
        return detail::text([&](mdna_string *out) { return mdna_key_remove(get(), detail::Text(slot), out); });
    }
    std::string key_change(const mdna_secret *secret, const mdna_key_cost *cost = nullptr) {
        return detail::text([&](mdna_string *out) { return mdna_key_change(get(), secret, cost, out); });
    }

private:
    detail::Handle<mdna_repository, mdna_repository_close> handle_;
};

/// Unmounts the vault that is mounted on a directory, by this process or another one.
inline void umount(std::string_view mountpoint) { detail::check(mdna_umount(detail::Text(mountpoint))); }

/// Verifies the vault in a directory, also one that is too damaged to be opened. It cannot be stopped: an exception of
/// `progress` comes out when it is done.
[[nodiscard]] inline std::string verify(std::string_view path, const Progress &progress = nullptr,
                                        const mdna_open_options *options = nullptr) {
    return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
        return mdna_verify_path(detail::Text(path), options, f, data, out);
    });
}
/// Makes what is derived again, and verifies the vault in a directory, which nobody may have open. It cannot be stopped: an
/// exception of `progress` comes out when the repair is done.
[[nodiscard]] inline std::string repair(std::string_view path, const Progress &progress = nullptr,
                                        const mdna_open_options *options = nullptr) {
    return detail::followed(progress, [&](mdna_progress_fn f, void *data, mdna_string *out) {
        return mdna_repair_path(detail::Text(path), options, f, data, out);
    });
}
[[nodiscard]] inline std::string health(std::string_view path, const mdna_open_options *options = nullptr) {
    return detail::text([&](mdna_string *out) { return mdna_health_check(detail::Text(path), options, out); });
}

[[nodiscard]] inline std::string claim_sign(std::string_view private_key, std::string_view identity, std::string_view claim) {
    return detail::text([&](mdna_string *out) {
        return mdna_claim_sign(detail::Text(private_key), detail::Text(identity), detail::Text(claim), out);
    });
}
[[nodiscard]] inline bool claim_verify(std::string_view public_key, std::string_view identity, std::string_view claim,
                                       std::string_view signature) {
    bool valid = false;
    detail::check(mdna_claim_verify(detail::Text(public_key), detail::Text(identity), detail::Text(claim), detail::Text(signature), &valid));
    return valid;
}
[[nodiscard]] inline std::string key_public(std::string_view private_key) {
    return detail::text([&](mdna_string *out) { return mdna_key_public(detail::Text(private_key), out); });
}

/// A new private key, the only copy: wipe() it after use.
[[nodiscard]] inline std::string key_new() {
    return detail::text([](mdna_string *out) { return mdna_key_new(out); });
}

[[nodiscard]] inline std::string json_canonical(std::string_view json) {
    return detail::text([&](mdna_string *out) { return mdna_json_canonical(json.data(), json.size(), out); });
}
[[nodiscard]] inline std::string json_checksum(std::string_view json) {
    return detail::text([&](mdna_string *out) { return mdna_json_checksum(json.data(), json.size(), out); });
}
[[nodiscard]] inline std::string bytes_checksum(std::string_view bytes) {
    return detail::text([&](mdna_string *out) {
        return mdna_bytes_checksum(reinterpret_cast<const std::uint8_t *>(bytes.data()), bytes.size(), out);
    });
}
/// The SHA-256 of a file.
[[nodiscard]] inline std::string path_checksum(std::string_view path) {
    return detail::text([&](mdna_string *out) { return mdna_path_checksum(detail::Text(path), out); });
}

/// A document as the functions take records: JSON.
[[nodiscard]] inline std::string document_read(std::string_view text, mdna_format format) {
    return detail::text([&](mdna_string *out) { return mdna_document_read(text.data(), text.size(), format, out); });
}
[[nodiscard]] inline std::string document_write(std::string_view json, mdna_format format) {
    return detail::text([&](mdna_string *out) { return mdna_document_write(json.data(), json.size(), format, out); });
}
[[nodiscard]] inline std::string document_checksum(std::string_view json) {
    return detail::text([&](mdna_string *out) { return mdna_document_checksum(json.data(), json.size(), out); });
}
[[nodiscard]] inline std::string document_seal(std::string_view json) {
    return detail::text([&](mdna_string *out) { return mdna_document_seal(json.data(), json.size(), out); });
}
/// The checksum that was proven; empty for a document without one.
inline std::string document_verify(std::string_view json, bool allow_unverified = false) {
    return detail::text(
        [&](mdna_string *out) { return mdna_document_verify(json.data(), json.size(), allow_unverified, out); });
}
[[nodiscard]] inline std::string citation_read(std::string_view text, mdna_format format) {
    return detail::text([&](mdna_string *out) { return mdna_citation_read(text.data(), text.size(), format, out); });
}
[[nodiscard]] inline std::string citation_template(bool full = false) {
    return detail::text([&](mdna_string *out) { return mdna_citation_template(full, out); });
}
[[nodiscard]] inline std::string vault_config_read(std::string_view text, mdna_format format) {
    return detail::text([&](mdna_string *out) { return mdna_vault_config_read(text.data(), text.size(), format, out); });
}
[[nodiscard]] inline std::string vault_config_template(std::string_view path, bool full = false) {
    return detail::text([&](mdna_string *out) { return mdna_vault_config_template(detail::Text(path), full, out); });
}
/// What stands in the file NAME.checksum.json beside a configuration NAME.json.
[[nodiscard]] inline std::string config_seal(std::string_view json, std::string_view algorithm, std::string_view version) {
    return detail::text([&](mdna_string *out) {
        return mdna_config_seal(json.data(), json.size(), detail::Text(algorithm), detail::Text(version), out);
    });
}
inline void config_verify(std::string_view name, std::string_view json, std::string_view checksum_json) {
    detail::check(mdna_config_verify(detail::Text(name), json.data(), json.size(), detail::Text(checksum_json)));
}
[[nodiscard]] inline Cursor timeline_file_query(std::string_view text, const OptionalText &query_json = std::nullopt) {
    return Cursor(detail::made<mdna_cursor>([&](mdna_cursor **out) {
        return mdna_timeline_file_query(text.data(), text.size(), detail::Text(query_json), out);
    }));
}
[[nodiscard]] inline std::string timeline_file_summary(std::string_view text) {
    return detail::text([&](mdna_string *out) { return mdna_timeline_file_summary(text.data(), text.size(), out); });
}

/// A new id for a record of a collection. See mdna_id_new().
[[nodiscard]] inline std::string id_new(std::string_view collection, const OptionalText &identity_type = std::nullopt) {
    return detail::text(
        [&](mdna_string *out) { return mdna_id_new(detail::Text(collection), detail::Text(identity_type), out); });
}
/// The id of an event of a time, or of now.
[[nodiscard]] inline std::string id_event(const OptionalText &timestamp, std::uint64_t counter) {
    return detail::text([&](mdna_string *out) { return mdna_id_event(detail::Text(timestamp), counter, out); });
}
/// The id of a reflection of an agent and a time, or of now.
[[nodiscard]] inline std::string id_reflection(std::string_view agent, const OptionalText &timestamp, std::uint64_t counter) {
    return detail::text([&](mdna_string *out) {
        return mdna_id_reflection(detail::Text(agent), detail::Text(timestamp), counter, out);
    });
}
/// The id of a version of the DNA of an agent.
[[nodiscard]] inline std::string id_dna(std::string_view agent, std::string_view version) {
    return detail::text([&](mdna_string *out) { return mdna_id_dna(detail::Text(agent), detail::Text(version), out); });
}
inline void id_check(std::string_view collection, std::string_view id) {
    detail::check(mdna_id_check(detail::Text(collection), detail::Text(id)));
}

inline void record_check(std::string_view collection, std::string_view json) {
    detail::check(mdna_record_check(detail::Text(collection), detail::Text(json)));
}
[[nodiscard]] inline std::string schema_text(std::string_view collection) {
    return detail::text([&](mdna_string *out) { return mdna_schema_text(detail::Text(collection), out); });
}
[[nodiscard]] inline std::string snapshot_load(std::string_view path, bool allow_unverified = false) {
    return detail::text([&](mdna_string *out) { return mdna_snapshot_load(detail::Text(path), allow_unverified, out); });
}

/// Hands the log messages of this process to a function of C. See mdna_log_set().
inline void log_set(std::string_view level, mdna_log_fn callback, void *user_data = nullptr) {
    detail::check(mdna_log_set(detail::Text(level), callback, user_data));
}

} // namespace mdna

#endif // MIRRORDNA_HPP
