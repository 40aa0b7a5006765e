// The models that one episode of a run uses: their identities as of its beginning, so that all its keys agree although
// a model may change meanwhile, and the promise that they are in use.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

// Identities of an alias's models (CanonicalIdentity), by route.
using Identities = std::vector<std::string>;

// The call layer fills it; its owner only keeps it. Engine thread only.
struct ModelLease {
  // By alias. An alias is absent if the revision of its models was never known: its first call learns it.
  std::map<std::string, std::shared_ptr<const Identities>, std::less<>> identities;
  // Ends the use of the models when it is destroyed.
  std::shared_ptr<void> use;
};

}  // namespace millrace
