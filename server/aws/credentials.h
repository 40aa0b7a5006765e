// Credentials of an AWS identity, found as AWS's own tools find them and kept until they must be refreshed.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "server/aws/metadata.h"
#include "server/aws/sigv4.h"
#include "server/aws/system.h"
#include "server/base/loop.h"

namespace millrace {

// Checks, as far as that needs no network, that keys can be found: those of the environment and of the shared files are
// whole, and a named profile exists. OK also if only the container's agent and the instance's metadata are left.
// PROVIDER_CREDENTIALS by the name of the variable, file or profile. Blocks for reads of the disk.
Status CheckAwsCredentials(const AwsSystem& system, const std::string& profile);

// Finds keys in this order: the environment (AWS_ACCESS_KEY_ID), the shared files (profile AWS_PROFILE or `default`),
// the container's agent, the instance's metadata. With a configured profile, in that profile only. A way that is
// configured and does not work is an error, not passed over: the next one may be another identity. Loop's thread.
class AwsCredentials {
 public:
  using Keys = std::shared_ptr<const AwsKeys>;

  // `profile` is the name in the configuration; empty: none. The sources outlive the object.
  AwsCredentials(AwsSources sources, std::string profile);
  AwsCredentials(const AwsCredentials&) = delete;

  // Resumes with valid keys, at once if they are at hand. Calls that wait together share one fetch. Temporary keys are
  // fetched again ten minutes before they expire (or after half of a shorter life), by the first call that comes then;
  // the other calls continue with the old ones, and so does that one if the fetch fails. Keys of the shared files are
  // read again after five minutes. PROVIDER_CREDENTIALS, with all that was tried, if no keys are found.
  Task<StatusOr<Keys>> Get();

  // Tells that a service refused the keys, so that the next Get fetches others. Returns false if it can't: they come
  // from the environment, or are less than a minute old.
  bool Drop(const Keys& refused);

  // Returns true if keys have been found before: then a failed fetch is likely to pass.
  bool has_found() const { return has_found_; }

 private:
  struct Found {
    AwsLease lease;
    bool may_change = false;  // a later fetch may give other keys
  };

  Task<StatusOr<Found>> Fetch();
  Status Take(StatusOr<Found> found);

  const AwsSources sources_;
  const std::string profile_;
  Keys keys_;  // null until the first fetch
  bool has_found_ = false;
  TimePoint fetched_{};
  TimePoint refresh_at_{};                  // the next fetch
  TimePoint usable_until_{};                // end of the keys' validity
  std::shared_ptr<Promise<Status>> fetch_;  // in progress; null: none
};

}  // namespace millrace
