#include "backends/openai/endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace millrace::backend::openai {
namespace {

constexpr size_t kValueBytesMax = 4096;
constexpr size_t kUrlShownMax = 100;

// Returns the text with all characters escaped that a segment of a path does not have (RFC 3986).
std::string PathSegment(std::string_view text) {
  std::string segment;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          std::string_view("-._~").find(c) != std::string_view::npos;
    segment += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return segment;
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

std::string WithoutSlash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string KeyHeader(const v1::OpenaiBackend& config) {
  if (!config.key_header().empty()) return config.key_header();
  return config.api_version().empty() ? "Authorization" : "api-key";
}

// Returns why a header can't be configured; empty if it can.
std::string_view ObjectionTo(const std::string& lower_name) {
  for (const char* name : {"host", "connection", "content-length", "content-type", "content-encoding", "accept",
                           "accept-encoding", "transfer-encoding", "te", "trailer", "upgrade", "expect", "user-agent",
                           "openai-organization", "openai-project"}) {
    if (lower_name == name) return "is set by the backend itself";
  }
  for (const char* name : {"authorization", "proxy-authorization", "cookie", "api-key", "x-api-key"}) {
    if (lower_name == name) return "carries a secret: configure it by `api_key`, and its name by `key_header`";
  }
  return "";
}

bool IsHeaderValue(std::string_view text) {
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  return text.size() <= kValueBytesMax && std::all_of(text.begin(), text.end(), is_printable) &&
         !text.starts_with(' ') && !text.ends_with(' ');
}

}  // namespace

SendHttp RequestTo(const v1::OpenaiBackend& config, std::string_view path, const std::string& model) {
  SendHttp send;
  send.url = WithoutSlash(config.base_url());
  const std::string& version = config.api_version();
  if (!version.empty()) send.url += "/deployments/" + PathSegment(model);
  send.url += path;
  if (!version.empty()) send.url += "?api-version=" + version;
  send.headers = {{"Content-Type", "application/json"}, {"User-Agent", "millrace"}};
  if (!config.organization().empty()) send.headers.emplace_back("OpenAI-Organization", config.organization());
  if (!config.project().empty()) send.headers.emplace_back("OpenAI-Project", config.project());
  // A map of protobuf has no order.
  const std::map<std::string, std::string> extra(config.extra_headers().begin(), config.extra_headers().end());
  send.headers.insert(send.headers.end(), extra.begin(), extra.end());
  if (config.has_api_key()) {
    const std::string header = KeyHeader(config);
    send.auth = HeaderAuth{.header = header, .scheme = Lower(header) == "authorization" ? "Bearer " : ""};
  }
  return send;
}

bool HasVersion(const v1::OpenaiBackend& config) {
  if (!config.api_version().empty()) return true;
  std::string_view path = config.base_url();
  path.remove_prefix(std::min(path.find("://") + 3, path.size()));
  path.remove_prefix(std::min(path.find('/'), path.size()));
  for (size_t slash = path.find("/v"); slash != std::string_view::npos; slash = path.find("/v", slash + 1)) {
    const std::string_view after = path.substr(slash + 2, 1);
    if (!after.empty() && after[0] >= '0' && after[0] <= '9') return true;
  }
  return false;
}

std::string VersionWarning(const v1::OpenaiBackend& config) {
  for (const std::string_view request : {"/chat/completions", "/completions", "/embeddings", "/models"}) {
    std::string_view url = config.base_url();
    while (url.ends_with('/')) url.remove_suffix(1);
    if (!url.ends_with(request)) continue;
    return fmt::format("base_url {} ends with `{}`, which is added to it: requests go to {}; remove it", config.base_url(),
                       request, RequestTo(config, "/chat/completions", "").url);
  }
  if (HasVersion(config)) return "";
  return fmt::format("base_url {} has no version such as /v1 in its path: requests go to {}", config.base_url(),
                     RequestTo(config, "/chat/completions", "").url);
}

std::string UrlAdvice(const v1::OpenaiBackend& config) {
  const std::string url = WithoutSlash(config.base_url());
  if (!config.api_version().empty() && !url.ends_with("/openai")) {
    return fmt::format("base_url {} does not end in /openai, which Azure's dated API has", Excerpt(url, kUrlShownMax));
  }
  if (HasVersion(config)) return fmt::format("base_url {} may be wrong", Excerpt(url, kUrlShownMax));
  return fmt::format("base_url {0} has no version in its path; most servers want {0}/v1", Excerpt(url, kUrlShownMax));
}

std::vector<FieldViolation> CheckEndpoint(const v1::OpenaiBackend& config) {
  std::vector<FieldViolation> violations;
  const std::string url = WithoutSlash(config.base_url());
  if (!config.api_version().empty() && url.ends_with("/v1")) {
    violations.push_back(
        {"api_version", "Azure's v1 API takes no version; leave it out, or let base_url end in /openai"});
  }
  const std::map<std::string, std::string> extra(config.extra_headers().begin(), config.extra_headers().end());
  std::map<std::string, std::string> seen;
  for (const auto& [name, value] : extra) {
    const std::string field = fmt::format("extra_headers.{}", name);
    const std::string lower = Lower(name);
    const std::string_view objection =
        lower == Lower(KeyHeader(config)) ? "is the header of the API key" : ObjectionTo(lower);
    if (!objection.empty()) violations.push_back({field, std::string(objection)});
    if (const auto [other, is_new] = seen.emplace(lower, name); !is_new) {
      violations.push_back({field, fmt::format("is the same header as `{}`", other->second)});
    }
    // The value is not shown: it may be a secret by mistake.
    if (!IsHeaderValue(value)) {
      violations.push_back({field, "must be printable ASCII without blanks at its ends, of at most 4096 bytes"});
    }
  }
  return violations;
}

}  // namespace millrace::backend::openai
