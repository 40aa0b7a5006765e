#include "server/aws/credentials.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/aws/profile.h"

// GCC 12 takes Asio's allocator of coroutine frames for another one than that which frees them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace millrace {
namespace {

constexpr Duration kRefreshBefore = std::chrono::minutes(10);  // between the 5 and 15 minutes of AWS's own tools
constexpr Duration kFilesAge = std::chrono::minutes(5);
constexpr Duration kRetryAfterFailure = std::chrono::minutes(1);

// Keys, and whether the same source may give others later.
struct LocalKeys {
  AwsKeys keys;
  bool may_change = false;
};

Status NoKeys(std::string_view why) { return MakeError(Reason::kProviderCredentials, why); }

StatusOr<std::optional<AwsKeys>> FromEnvironment(const AwsSystem& system) {
  const auto read = [&system](const std::string& name) -> StatusOr<std::string> {
    const std::string value = system.variable(name);
    if (value.empty()) return value;
    StatusOr<std::string> cleaned = CleanSecret(fmt::format("the environment variable {}", name), value);
    if (!cleaned.ok()) return NoKeys(MessageOf(cleaned.status()));
    return cleaned;
  };
  MR_ASSIGN_OR_RETURN(std::string id, read("AWS_ACCESS_KEY_ID"));
  MR_ASSIGN_OR_RETURN(std::string secret, read("AWS_SECRET_ACCESS_KEY"));
  MR_ASSIGN_OR_RETURN(std::string token, read("AWS_SESSION_TOKEN"));
  AwsKeys keys{.access_key_id = std::move(id),
               .secret_access_key = Secret(std::move(secret)),
               .session_token = Secret(std::move(token))};
  if (keys.access_key_id.empty() && keys.secret_access_key.empty()) return std::nullopt;
  if (keys.access_key_id.empty()) return NoKeys("AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not");
  if (keys.secret_access_key.empty()) return NoKeys("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
  return keys;
}

// Reads the shared files. `profile` is the name in the configuration; empty: none. Blocks.
StatusOr<std::optional<AwsKeys>> FromFiles(const AwsSystem& system, const std::string& profile) {
  std::string name = profile.empty() ? system.variable("AWS_PROFILE") : profile;
  const bool is_named = !name.empty();
  if (!is_named) name = "default";
  const auto read = [&system](const char* setting, const char* file) -> StatusOr<std::string> {
    const std::string configured = system.variable(setting);
    StatusOr<std::optional<std::string>> text =
        system.read_file(configured.empty() ? fmt::format("{}/.aws/{}", system.variable("HOME"), file) : configured);
    if (!text.ok()) return NoKeys(fmt::format("an AWS file: {}", MessageOf(text.status())));
    return std::move(*text).value_or("");
  };
  AwsFiles files;
  MR_ASSIGN_OR_RETURN(files.credentials, read("AWS_SHARED_CREDENTIALS_FILE", "credentials"));
  MR_ASSIGN_OR_RETURN(files.config, read("AWS_CONFIG_FILE", "config"));
  MR_ASSIGN_OR_RETURN(AwsProfile found, ReadAwsProfile(files, name));
  if (is_named && !found.exists) {
    return NoKeys(
        fmt::format("the AWS profile `{}` is in neither the credentials file nor the config file", Excerpt(name)));
  }
  if (!profile.empty() && !found.keys) {
    return NoKeys(fmt::format("the AWS profile `{}` has no `aws_access_key_id`", Excerpt(name)));
  }
  return std::move(found.keys);
}

// Returns the keys of the sources that need no network; nullopt if these have none. Blocks.
StatusOr<std::optional<LocalKeys>> FindLocalKeys(const AwsSystem& system, const std::string& profile) {
  if (profile.empty()) {
    MR_ASSIGN_OR_RETURN(std::optional<AwsKeys> keys, FromEnvironment(system));
    if (keys) return LocalKeys{.keys = std::move(*keys), .may_change = false};
    // AWS's tools would take this before the shared files, so the files may be another identity.
    if (!system.variable("AWS_WEB_IDENTITY_TOKEN_FILE").empty()) {
      return NoKeys(
          "AWS_WEB_IDENTITY_TOKEN_FILE is set, but web identities are not supported: use EKS Pod Identity, "
          "or a profile");
    }
  }
  MR_ASSIGN_OR_RETURN(std::optional<AwsKeys> keys, FromFiles(system, profile));
  if (!keys) return std::nullopt;
  return LocalKeys{.keys = std::move(*keys), .may_change = true};
}

}  // namespace

Status CheckAwsCredentials(const AwsSystem& system, const std::string& profile) {
  return FindLocalKeys(system, profile).status();
}

AwsCredentials::AwsCredentials(AwsSources sources, std::string profile)
    : sources_(std::move(sources)), profile_(std::move(profile)) {}

Task<StatusOr<AwsCredentials::Keys>> AwsCredentials::Get() {
  const TimePoint now = sources_.loop.Now();
  const bool is_usable = keys_ != nullptr && now < usable_until_;
  if (is_usable && (now < refresh_at_ || fetch_ != nullptr)) co_return keys_;
  if (fetch_ != nullptr) {
    const std::shared_ptr<Promise<Status>> fetch = fetch_;
    co_await fetch->Wait();
    MR_CO_RETURN_IF_ERROR(fetch->value());
    co_return keys_;
  }
  const auto fetch = std::make_shared<Promise<Status>>(sources_.loop);
  fetch_ = fetch;
  StatusOr<Found> found = co_await Fetch();
  fetch_ = nullptr;
  const Status status = Take(std::move(found));
  fetch->Set(status);
  if (!status.ok() && (keys_ == nullptr || sources_.loop.Now() >= usable_until_)) co_return status;
  co_return keys_;
}

bool AwsCredentials::Drop(const Keys& refused) {
  if (keys_ != refused) return true;  // others have been fetched since
  if (refresh_at_ == kNever || sources_.loop.Now() < fetched_ + kRetryAfterFailure) return false;
  keys_ = nullptr;
  return true;
}

Status AwsCredentials::Take(StatusOr<Found> found) {
  const TimePoint now = sources_.loop.Now();
  if (!found.ok()) {
    refresh_at_ = now + kRetryAfterFailure;  // while the old keys are usable
    return found.status();
  }
  TimePoint refresh_at = found->may_change ? now + kFilesAge : kNever;
  TimePoint usable_until = kNever;
  if (found->lease.expires_wall_micros) {
    // A steady point in time, so that a jump of the wall clock changes nothing.
    const Duration life =
        std::chrono::microseconds(*found->lease.expires_wall_micros - sources_.loop.clock().WallMicros());
    if (life <= Duration(0)) {
      refresh_at_ = now + kRetryAfterFailure;
      return NoKeys("the AWS credentials that were found have expired, by the clock of this machine");
    }
    usable_until = now + life;
    refresh_at = usable_until - std::min(kRefreshBefore, life / 2);
  }
  keys_ = std::make_shared<const AwsKeys>(std::move(found->lease.keys));
  has_found_ = true;
  fetched_ = now;
  refresh_at_ = refresh_at;
  usable_until_ = usable_until;
  return absl::OkStatus();
}

Task<StatusOr<AwsCredentials::Found>> AwsCredentials::Fetch() {
  auto find = [system = sources_.system, profile = profile_] { return FindLocalKeys(system, profile); };
  MR_CO_ASSIGN_OR_RETURN(std::optional<LocalKeys> local,
                         co_await Compute(sources_.loop, sources_.pool, std::move(find)));
  if (local) {
    Found found{.lease = {.keys = std::move(local->keys), .expires_wall_micros = std::nullopt},
                .may_change = local->may_change};
    co_return std::move(found);
  }
  MR_CO_ASSIGN_OR_RETURN(std::optional<AwsLease> lease, co_await FetchContainerKeys(sources_));
  if (!lease) {
    StatusOr<std::optional<AwsLease>> of_instance = co_await FetchInstanceKeys(sources_);
    if (!of_instance.ok() || !*of_instance) {
      co_return NoKeys(fmt::format(
          "no AWS credentials: AWS_ACCESS_KEY_ID is not set, the shared files have no keys, no container agent "
          "is configured, and {}",
          of_instance.ok() ? "AWS_EC2_METADATA_DISABLED is `true`"
                           : std::string_view(MessageOf(of_instance.status()))));
    }
    lease = std::move(**of_instance);
  }
  Found found{.lease = std::move(*lease), .may_change = true};
  co_return std::move(found);
}

}  // namespace millrace

#pragma GCC diagnostic pop
