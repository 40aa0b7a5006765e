#include "server/aws/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace millrace {
namespace {

using Settings = std::map<std::string, std::string, std::less<>>;

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Returns the name of a profile in a section's header, such as `default`, `profile dev` or `profile "a b"`.
std::string_view ProfileIn(std::string_view header) {
  header = Trimmed(header);
  static constexpr std::string_view kPrefix = "profile";
  if (header.starts_with(kPrefix) && header.find_first_of(" \t") == kPrefix.size()) {
    header = Trimmed(header.substr(kPrefix.size()));
  }
  if (header.size() >= 2 && (header.front() == '"' || header.front() == '\'') && header.back() == header.front()) {
    header = header.substr(1, header.size() - 2);
  }
  return header;
}

// Returns the settings of a profile; nullopt if the text has no such section. Sections of one name are combined. A line
// that begins with a blank continues the setting before it, and none of the settings that are read here has such lines.
std::optional<Settings> SettingsOf(std::string_view text, std::string_view profile) {
  std::optional<Settings> settings;
  bool is_inside = false;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line[0] == '#' || line[0] == ';' || line[0] == ' ' || line[0] == '\t') continue;
    if (line[0] == '[') {
      is_inside = ProfileIn(line.substr(1, line.find(']') - 1)) == profile;
      if (is_inside && !settings) settings.emplace();
      continue;
    }
    const size_t equals = line.find_first_of("=:");
    if (!is_inside || equals == std::string_view::npos) continue;
    std::string name(Trimmed(line.substr(0, equals)));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    settings->insert_or_assign(std::move(name), std::string(Trimmed(line.substr(equals + 1))));
  }
  return settings;
}

std::string SettingIn(const Settings& settings, std::string_view name) {
  const auto found = settings.find(name);
  return found == settings.end() ? std::string() : found->second;
}

Status Unsupported(const std::string& profile, const Settings& settings,
                   std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (SettingIn(settings, name).empty()) continue;
    return MakeError(Reason::kProviderCredentials,
                     fmt::format("the AWS profile `{}` uses `{}`, which is not supported: export its credentials into "
                                 "the environment or into a profile with keys",
                                 Excerpt(profile), name));
  }
  return absl::OkStatus();
}

// Replaces a value by CleanSecret's; nothing if it is empty.
Status Clean(const std::string& profile, std::string_view setting, std::string& value) {
  if (value.empty()) return absl::OkStatus();
  StatusOr<std::string> cleaned =
      CleanSecret(fmt::format("`{}` of the AWS profile `{}`", setting, Excerpt(profile)), value);
  if (!cleaned.ok()) return MakeError(Reason::kProviderCredentials, MessageOf(cleaned.status()));
  value = *std::move(cleaned);
  return absl::OkStatus();
}

}  // namespace

StatusOr<AwsProfile> ReadAwsProfile(const AwsFiles& files, const std::string& name) {
  const std::optional<Settings> found[] = {SettingsOf(files.credentials, name), SettingsOf(files.config, name)};
  AwsProfile profile;
  // AWS's own tools prefer a role or SSO to keys, and keys to the others.
  for (const auto& settings : found) {
    if (!settings) continue;
    profile.exists = true;
    MR_RETURN_IF_ERROR(Unsupported(
        name, *settings, {"role_arn", "web_identity_token_file", "sso_session", "sso_start_url", "sso_account_id"}));
  }
  for (const auto& settings : found) {
    if (!settings || profile.keys) continue;
    std::string id = SettingIn(*settings, "aws_access_key_id");
    std::string key = SettingIn(*settings, "aws_secret_access_key");
    if (id.empty() && key.empty()) continue;
    if (id.empty() || key.empty()) {
      return MakeError(Reason::kProviderCredentials,
                       fmt::format("the AWS profile `{}` has no `{}`", Excerpt(name),
                                   id.empty() ? "aws_access_key_id" : "aws_secret_access_key"));
    }
    std::string token = SettingIn(*settings, "aws_session_token");
    MR_RETURN_IF_ERROR(Clean(name, "aws_access_key_id", id));
    MR_RETURN_IF_ERROR(Clean(name, "aws_secret_access_key", key));
    MR_RETURN_IF_ERROR(Clean(name, "aws_session_token", token));
    profile.keys = AwsKeys{.access_key_id = std::move(id),
                           .secret_access_key = Secret(std::move(key)),
                           .session_token = Secret(std::move(token))};
  }
  if (profile.keys) return profile;
  for (const auto& settings : found) {
    if (settings) MR_RETURN_IF_ERROR(Unsupported(name, *settings, {"credential_process", "login_session"}));
  }
  return profile;
}

}  // namespace millrace
