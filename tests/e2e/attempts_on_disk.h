// Attempts in the store of a killed server, read before the next server opens the store and without changing it: the
// records at the moment of the kill.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace millrace {

// Attempts of one item.
struct AttemptsOfItem {
  int recorded = 0;       // attempts with a record
  bool answered = false;  // a complete answer is stored, settled or not
};

// Returns the attempts of all items in the store, by item id. Throws std::runtime_error if the store can't be read.
std::map<std::string, AttemptsOfItem> ReadAttemptsOnDisk(const std::filesystem::path& data_dir);

}  // namespace millrace
