#include "backends/bedrock/endpoint.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include "server/http/url.h"

namespace millrace::backend::bedrock {

std::string EndpointOf(const v1::BedrockBackend& config) {
  std::string endpoint = config.endpoint();
  if (endpoint.empty()) {
    const std::string& region = config.region();
    endpoint =
        fmt::format("https://bedrock-runtime.{}.amazonaws.com{}", region, region.starts_with("cn-") ? ".cn" : "");
  }
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint;
}

std::string RegionIn(std::string_view endpoint) {
  // Public, FIPS, dual-stack and interface (`vpce-….bedrock-runtime.REGION.vpce.amazonaws.com`) endpoints.
  static const re2::RE2 host(
      R"((?:[a-z0-9-]+\.)?bedrock-runtime(?:-fips)?\.([a-z0-9-]+)(?:\.vpce)?\.(?:amazonaws\.com(?:\.cn)?|api\.aws))");
  std::string region;
  const StatusOr<HttpUrl> url = ParseHttpUrl(endpoint);
  if (url.ok()) re2::RE2::FullMatch(url->host, host, &region);
  return region;
}

}  // namespace millrace::backend::bedrock
