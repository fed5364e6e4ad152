// The vault from C++: handles that free themselves, exceptions with a status, cursors in a range-for.
//
// c++ -std=c++17 vault.cpp $(pkg-config --cflags --libs mirrordna) -o vault && ./vault my-vault backups
#include <cstdlib>
#include <iostream>
#include <string>

#include <mirrordna.hpp>

namespace {

std::string memory(const std::string &text, const std::string &tier) {
    return R"({"tier":")" + tier + R"(","content":")" + text +
           R"(","source":{"session_id":"sess_20261122_185200_0a1b2c3d","agent_id":"mdna_agt_0123456789abcdef",)" +
           R"("user_id":"mdna_usr_0123456789abcdef"}})";
}

void run(const std::string &path, const std::string &backups) {
    mdna::Vault vault = mdna::Vault::create(path);
    const std::string id = vault.memory_add(memory("The kettle is red", "short_term"));
    vault.memory_add(memory("The door is green", "long_term"));

    const std::string before = vault.snapshot_create();
    vault.memory_promote(id, "long_term");
    for (const std::string &found : vault.memory_search("KETTLE")) {
        std::cout << "found " << found << '\n';
    }

    mdna::View view = vault.snapshot_view(before);
    std::cout << "at the snapshot: " << view.get("memories", id) << '\n';
    mdna::View now = vault.at(vault.state().sequence);
    for (const std::string &difference : view.diff(now)) {
        std::cout << "since then: " << difference << '\n';
    }

    // What cannot be done says why, to what, and what to do about it.
    try {
        std::cout << vault.memory_get("mem_20261122_185200_00000000") << '\n';
    } catch (const mdna::Error &error) {
        std::cout << error.name() << ": " << error.what() << '\n';
    }

    const mdna::Passphrase passphrase("correct horse battery staple");
    mdna::Repository repository = mdna::Repository::init(backups, passphrase);
    repository.create(vault, "first", [](std::string_view phase, std::uint64_t done, std::uint64_t total) {
        std::cout << phase << ' ' << done << '/' << total << '\n';
        return true;
    });
    std::cout << repository.list() << '\n';
    vault.flush();
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 3) {
        std::cerr << "usage: " << argv[0] << " VAULT BACKUPS\n";
        return EXIT_FAILURE;
    }
    try {
        run(argv[1], argv[2]);
    } catch (const mdna::Error &error) {
        std::cerr << error.what() << '\n' << error.hint() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
