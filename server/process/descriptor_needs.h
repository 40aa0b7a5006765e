// Connections that a configuration asks for and that the process's file descriptors do not allow.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "millrace/v1/server_config.pb.h"

namespace millrace {

// Returns a sentence for each kind of connection of which the configuration wants more than its share of `limit`
// descriptors (server/base/descriptors.h). Nothing fails then: calls and clients wait, or are refused until others
// leave.
std::vector<std::string> FindDescriptorNeeds(const v1::ServerConfig& config, int64_t limit);

}  // namespace millrace
