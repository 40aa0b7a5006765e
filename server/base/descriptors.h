// Division of the process's file descriptors among its parts, so that none of them takes those of another: the store's
// come first, because without them nothing is remembered.
#pragma once

#include <cstdint>

namespace millrace {

struct DescriptorShares {
  int64_t store = 0;     // the store, files of sources and sinks, and the rest of the process
  int64_t tables = 0;    // of these: tables of the store that are open at the same time
  int64_t incoming = 0;  // connections of clients
  int64_t outgoing = 0;  // connections to backends
};

// Divides `limit` descriptors: a quarter for the store, at least 128 (all, if there are fewer); the others get half
// each of the rest.
DescriptorShares DivideDescriptors(int64_t limit);

// Returns the number of descriptors that the process may have open now (RLIMIT_NOFILE), at most 2^20.
int64_t DescriptorLimit();

// Raises the limit to what the system allows, at most 2^16: shells and service managers start processes with 1,024,
// for the sake of programs that use select().
void RaiseDescriptorLimit();

}  // namespace millrace
