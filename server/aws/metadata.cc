#include "server/aws/metadata.h"

#include <fmt/format.h>
#include <time.h>

#include <boost/asio/ip/address.hpp>
#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/http/url.h"
#include "server/http/whole_body.h"

// GCC 12 takes Asio's allocator of coroutine frames for another one than that which frees them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace millrace {
namespace {

namespace ip = boost::asio::ip;

// The services in messages, and their addresses.
constexpr std::string_view kInstance = "the metadata service of EC2 instances";
constexpr std::string_view kInstanceUrl = "http://169.254.169.254/latest";
constexpr std::string_view kRoles = "/meta-data/iam/security-credentials/";
constexpr std::string_view kAgent = "the container's agent for AWS credentials";
constexpr std::string_view kAgentUrl = "http://169.254.170.2";

Status Refuse(std::string_view why) { return MakeError(Reason::kProviderCredentials, why); }

// Returns the body of a 200. The answers contain secrets, so no message shows a part of them.
Task<StatusOr<std::string>> Ask(const AwsSources& sources, HttpRequest request, Duration limit, std::string who) {
  HttpLimits limits;
  limits.connect = limits.first_byte = limits.idle = limit;
  limits.deadline = sources.loop.Now() + 2 * limit;
  limits.body_bytes_max = 64u << 10;
  WholeBody answer;
  const HttpResult result = co_await sources.http.Send(std::move(request), std::move(limits), answer);
  if (result.outcome != HttpOutcome::kAnswered) {
    co_return Refuse(fmt::format("{} does not answer: {}", who, Excerpt(result.error, 200)));
  }
  if (result.status != 200) co_return Refuse(fmt::format("{} answers with HTTP {}", who, result.status));
  co_return std::move(answer.body);
}

HttpRequest InstanceRequest(std::string method, std::string_view path, HttpHeaders headers) {
  return {.method = std::move(method),
          .url = fmt::format("{}{}", kInstanceUrl, path),
          .headers = std::move(headers),
          .body = ""};
}

Task<StatusOr<std::string>> AskInstance(const AwsSources& sources, HttpRequest request) {
  std::string who(kInstance);
  co_return co_await Ask(sources, std::move(request), std::chrono::seconds(1), std::move(who));
}

std::string TextAt(const json::value& value, std::string_view name) {
  const json::value* found = FindPath(value, name);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

// Parses `2026-01-02T03:04:05Z`.
std::optional<int64_t> WallMicros(const std::string& text) {
  tm parts{};
  const char* const end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return int64_t{::timegm(&parts)} * 1'000'000;
}

StatusOr<std::optional<AwsLease>> ReadLease(const std::string& body, std::string_view who) {
  const StatusOr<json::value> value = ParseJson(body);
  if (!value.ok()) return Refuse(fmt::format("{} does not answer with JSON", who));
  if (const std::string code = TextAt(*value, "Code"); !code.empty() && code != "Success") {
    return Refuse(fmt::format("{} gives no credentials: {}", who, Excerpt(code)));
  }
  AwsLease lease{.keys = {.access_key_id = TextAt(*value, "AccessKeyId"),
                          .secret_access_key = Secret(TextAt(*value, "SecretAccessKey")),
                          .session_token = Secret(TextAt(*value, "Token"))},
                 .expires_wall_micros = std::nullopt};
  if (lease.keys.access_key_id.empty() || lease.keys.secret_access_key.empty()) {
    return Refuse(fmt::format("{} gives no credentials", who));
  }
  if (const std::string expiration = TextAt(*value, "Expiration"); !expiration.empty()) {
    lease.expires_wall_micros = WallMicros(expiration);
    if (!lease.expires_wall_micros) {
      return Refuse(fmt::format("{} gives credentials whose end `{}` is not a time", who, Excerpt(expiration)));
    }
  }
  return lease;
}

// Returns true if the agent's token may be sent there.
bool IsAgentUrl(const HttpUrl& url) {
  if (url.tls || url.host == "localhost") return true;
  boost::system::error_code error;
  const ip::address address = ip::make_address(url.host, error);
  if (error) return false;
  return address.is_loopback() || address == ip::make_address("169.254.170.2") ||
         address == ip::make_address("169.254.170.23") || address == ip::make_address("fd00:ec2::23");
}

Task<StatusOr<std::string>> AgentToken(const AwsSources& sources) {
  std::string token = sources.system.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  // The file wins, and is read each time, because the token in it is replaced.
  if (std::string path = sources.system.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !path.empty()) {
    auto read = [path, read_file = sources.system.read_file] { return read_file(path); };
    auto text = co_await Compute(sources.loop, sources.pool, std::move(read));
    MR_CO_RETURN_IF_ERROR(text.status());
    if (!*text) co_return Refuse("the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE does not exist");
    token = std::move(**text);
    while (token.ends_with('\n') || token.ends_with('\r')) token.pop_back();
  }
  if (token.find_first_of("\r\n") != std::string::npos) {
    co_return Refuse("the authorization token of the container's agent has more than one line");
  }
  co_return token;
}

}  // namespace

Task<StatusOr<std::optional<AwsLease>>> FetchContainerKeys(const AwsSources& sources) {
  const std::string relative = sources.system.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const std::string full = sources.system.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (relative.empty() && full.empty()) co_return std::nullopt;
  HttpRequest request;
  request.method = "GET";
  request.url = relative.empty() ? full : fmt::format("{}{}", kAgentUrl, relative);
  const StatusOr<HttpUrl> url = ParseHttpUrl(request.url);
  if (!url.ok() || !IsAgentUrl(*url)) {
    co_return Refuse(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http to loopback or the address of an agent");
  }
  MR_CO_ASSIGN_OR_RETURN(const std::string token, co_await AgentToken(sources));
  request.headers = {{"Accept", "application/json"}};
  if (!token.empty()) request.headers.emplace_back("Authorization", token);
  std::string who(kAgent);
  MR_CO_ASSIGN_OR_RETURN(const std::string body,
                         co_await Ask(sources, std::move(request), std::chrono::seconds(2), std::move(who)));
  co_return ReadLease(body, kAgent);
}

Task<StatusOr<std::optional<AwsLease>>> FetchInstanceKeys(const AwsSources& sources) {
  const std::string disabled = sources.system.variable("AWS_EC2_METADATA_DISABLED");
  if (disabled == "true" || disabled == "True" || disabled == "TRUE") co_return std::nullopt;
  HttpRequest request = InstanceRequest("PUT", "/api/token", {{"x-aws-ec2-metadata-token-ttl-seconds", "21600"}});
  MR_CO_ASSIGN_OR_RETURN(const std::string token, co_await AskInstance(sources, std::move(request)));
  const HttpHeaders headers = {{"x-aws-ec2-metadata-token", token}};
  request = InstanceRequest("GET", kRoles, headers);
  MR_CO_ASSIGN_OR_RETURN(const std::string roles, co_await AskInstance(sources, std::move(request)));
  const std::string role = roles.substr(0, roles.find_first_of("\r\n"));
  if (role.empty() || role.find_first_of(" \t/?#%") != std::string::npos) {
    co_return Refuse(fmt::format("{} names no role", kInstance));
  }
  request = InstanceRequest("GET", fmt::format("{}{}", kRoles, role), headers);
  MR_CO_ASSIGN_OR_RETURN(const std::string body, co_await AskInstance(sources, std::move(request)));
  co_return ReadLease(body, kInstance);
}

}  // namespace millrace

#pragma GCC diagnostic pop
