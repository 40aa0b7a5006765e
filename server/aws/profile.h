// Profiles in the files that AWS's tools share: `~/.aws/credentials` and `~/.aws/config`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/aws/sigv4.h"
#include "server/base/status.h"

namespace millrace {

// Texts of the two files; empty for a file that does not exist.
struct AwsFiles {
  std::string credentials;
  std::string config;
};

struct AwsProfile {
  bool exists = false;          // in one of the files
  std::optional<AwsKeys> keys;  // absent if the profile has none
};

// Reads a profile. Keys in the credentials file win; those of one file are never combined with those of the other.
// PROVIDER_CREDENTIALS if half of a pair of keys is missing, if a value has what no key has (CleanSecret), or if the
// profile gets its credentials in a way that Millrace does not support: by a role, SSO, a login session or an external
// process.
StatusOr<AwsProfile> ReadAwsProfile(const AwsFiles& files, const std::string& name);

}  // namespace millrace
