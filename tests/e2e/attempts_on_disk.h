// The attempts that a killed server left in its store, read before the next one touches it and without changing it:
// what was recorded at the moment of the kill.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace millrace {

// Of one item.
struct AttemptsOfItem {
  int recorded = 0;       // attempts with a record
  bool answered = false;  // a whole answer of it is stored, settled or not
};

// By item id, of all attempts in the store. Throws std::runtime_error where it can't be read.
std::map<std::string, AttemptsOfItem> ReadAttemptsOnDisk(const std::filesystem::path& data_dir);

}  // namespace millrace
